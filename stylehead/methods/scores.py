"""The predicted noise of a noised latent, turned into a gradient on the clean one: (LD) and (R) of `ld.py`.

The scores follow from the chain rule through x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps. A minimiser
moves the latent *against* what these functions return. Rank weighing takes a score as a matrix of channels
by pixels.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from stylehead.errors import UsageError
from stylehead.precision import like
from stylehead.teacher import EpsPair

Score = Literal["likelihood", "paper", "classifier", "sds"]
"""The gradients below, by name."""
_RENORMALISE_EPS = 1e-5


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


def rank_weigh(score: Tensor, weights: Sequence[float], *, renormalise: bool = False) -> Tensor:
    """Multiply the singular values of each sample's score by weights, largest value first.

    Each sample [C, h w] is U diag(s) V^T; the result is U diag(w s) V^T. Computed as U diag(w) U^T times the
    score, with U from the C x C Gram matrix in double precision: the same matrix, without a C x hw
    decomposition.

    Args:
        score: [B, C, h, w], finite.
        weights: C factors.
        renormalise: Afterwards give every channel the mean and deviation it had before, which undoes the
            attenuation and keeps only the changed pattern (the released script's choice).

    Returns:
        [B, C, h, w].

    Raises:
        UsageError: The number of weights is not the number of channels.
    """
    if len(weights) != score.shape[1]:
        raise UsageError(
            f"`--rank-weights` (={tuple(weights)}) must be {score.shape[1]} factors, one per latent channel."
        )
    matrix = score.flatten(2)
    exact = matrix.double()
    _, basis = torch.linalg.eigh(exact @ exact.mT)  # ascending eigenvalues: the squared singular values
    factors = like(tuple(reversed(weights)), exact)
    mixing = (basis * factors) @ basis.mT
    weighed = (mixing @ exact).to(score.dtype).reshape(score.shape)
    return match_channel_statistics(weighed, score) if renormalise else weighed


def match_channel_statistics(values: Tensor, wanted: Tensor) -> Tensor:
    """Give every channel of `values` the spatial mean and deviation of the same channel of `wanted`.

    Args:
        values: [B, C, h, w].
        wanted: [B, C, h, w].
    """
    mean, deviation = _statistics(values)
    wanted_mean, wanted_deviation = _statistics(wanted)
    return (values - mean) / deviation * wanted_deviation + wanted_mean


def _statistics(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return spatial mean and standard deviation per channel, guarded as released, each [B, C, 1, 1]."""
    deviation, mean = torch.std_mean(values, dim=(2, 3), keepdim=True)
    return mean, deviation + _RENORMALISE_EPS
