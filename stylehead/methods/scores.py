"""The predicted noise of a noised latent, turned into a gradient on the clean latent: (LD) of `ld.py`.

All follow from the chain rule through x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps. A minimiser moves the
latent *against* what these functions return.
"""

from typing import Literal

from torch import Tensor

from stylehead.teacher import EpsPair

Score = Literal["likelihood", "paper", "classifier", "sds"]
"""The gradients below, by name."""


def latent_gradient(
    kind: Score,
    pair: EpsPair,
    eps: Tensor,
    *,
    cfg_scale: float,
    alpha_bar: Tensor,
    limit: float | None = None,
) -> Tensor:
    """Return the gradient of the chosen score with respect to the clean latent.

    Args:
        kind: `likelihood`, `paper`, `classifier` or `sds`.
        pair: Noise predicted with and without the prompt, each [B, C, h, w].
        eps: The noise that was added, [B, C, h, w]; subtracted by `likelihood` and `sds`.
        cfg_scale: Guidance scale s.
        alpha_bar: Cumulative alpha at each sample's timestep, [B, 1, 1, 1].
        limit: Largest weight of `likelihood` and `paper`; see `likelihood_weight`.

    Returns:
        [B, C, h, w].
    """
    if kind == "likelihood":
        return centred_likelihood_gradient(pair, eps, cfg_scale=cfg_scale, alpha_bar=alpha_bar, limit=limit)
    if kind == "paper":
        return likelihood_gradient(pair, cfg_scale=cfg_scale, alpha_bar=alpha_bar, limit=limit)
    if kind == "classifier":
        return classifier_gradient(pair, cfg_scale=cfg_scale, alpha_bar=alpha_bar)
    return sds_gradient(pair, eps, cfg_scale=cfg_scale, alpha_bar=alpha_bar)


def classifier_gradient(pair: EpsPair, *, cfg_scale: float, alpha_bar: Tensor) -> Tensor:
    """Return sqrt(abar_t) s (eps_text - eps_null): only what the prompt adds (CSD, arXiv 2310.19415)."""
    return alpha_bar.sqrt() * cfg_scale * (pair.eps_cond - pair.eps_uncond)


def likelihood_weight(alpha_bar: Tensor, limit: float | None = None) -> Tensor:
    """Return sqrt(abar_t / (1 - abar_t)), at most `limit` [B, 1, 1, 1].

    It is 1.28 at timestep 281 and 24.2 at timestep 1 of Stable Diffusion's schedule: of the step indices 35
    to 49, drawn evenly, the last one alone brings four fifths of the squared gradient.
    """
    weight = (alpha_bar / (1 - alpha_bar)).sqrt()
    return weight if limit is None else weight.clamp_max(limit)


def likelihood_gradient(
    pair: EpsPair, *, cfg_scale: float, alpha_bar: Tensor, limit: float | None = None
) -> Tensor:
    """Return sqrt(abar_t) eps_cfg / sqrt(1 - abar_t): likelihood distillation as the paper writes it.

    It is minus grad_{x_t} log p(x_t | y), times dx_t/dx_0; the noise that was drawn is not subtracted
    (arXiv 2411.13536).
    """
    return likelihood_weight(alpha_bar, limit) * pair.guided(cfg_scale)


def centred_likelihood_gradient(
    pair: EpsPair, eps: Tensor, *, cfg_scale: float, alpha_bar: Tensor, limit: float | None = None
) -> Tensor:
    """Return sqrt(abar_t) (eps_cfg - eps) / sqrt(1 - abar_t): the paper's gradient minus one of mean zero.

    The noise is drawn independently of the picture, so its mean is zero at every noise level and taking it
    away leaves the gradient's expectation as it is: a control variate. What is left is abar_t / (1 - abar_t)
    times the step from the one-step denoised latent to the latent; it vanishes where the teacher is content.
    """
    return likelihood_weight(alpha_bar, limit) * (pair.guided(cfg_scale) - eps)


def sds_gradient(pair: EpsPair, eps: Tensor, *, cfg_scale: float, alpha_bar: Tensor) -> Tensor:
    """Return w(t) (eps_cfg - eps) with w(t) = 1 - abar_t: score distillation sampling (arXiv 2209.14988)."""
    return (1 - alpha_bar) * (pair.guided(cfg_scale) - eps)
