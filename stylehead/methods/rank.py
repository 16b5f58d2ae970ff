"""Rank weighing, (R) of `ld.py`: a score as a matrix of channels by pixels, its singular values weighed."""

from collections.abc import Sequence

import torch
from torch import Tensor

from stylehead.constants import like
from stylehead.errors import UsageError

_RENORMALISE_EPS = 1e-5


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


def match_channel_statistics(values: Tensor, like: Tensor) -> Tensor:
    """Give every channel of `values` the spatial mean and deviation of the same channel of `like`.

    Args:
        values: [B, C, h, w].
        like: [B, C, h, w].
    """
    mean, deviation = _statistics(values)
    wanted_mean, wanted_deviation = _statistics(like)
    return (values - mean) / deviation * wanted_deviation + wanted_mean


def _statistics(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return spatial mean and standard deviation per channel, guarded as released, each [B, C, 1, 1]."""
    deviation, mean = torch.std_mean(values, dim=(2, 3), keepdim=True)
    return mean, deviation + _RENORMALISE_EPS
