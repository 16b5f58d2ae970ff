"""How far to trust a number: bootstrap intervals over identities.

Every metric that goes into a table can be computed with each identity counted a whole number of times. With
all counts 1 that is the metric itself; with the counts of a random draw with replacement it is one bootstrap
replicate.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

RESAMPLES = 1000
LEVEL = 0.95
_SEED = 20_240_601

Statistic = Callable[[Tensor], Tensor]
"""From how often each identity counts [R, N] (float64, whole numbers), R times over, to the metric [R]."""


class Interval(NamedTuple):
    """A number and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


def bootstrap(statistic: Statistic, identities: int, *, resamples: int = RESAMPLES) -> Interval:
    """Measure a metric and its percentile interval over identities (Efron, 1979).

    Draws are always the same for the same number of identities, so that two rows of a table differ by what
    was measured and not by luck.

    Args:
        statistic: The metric; replicates that are not finite (a draw without any usable identity) are left
            out.
        identities: N, at least 1.
        resamples: Number of replicates.
    """
    rng = torch.Generator().manual_seed(_SEED)
    draws = torch.randint(identities, (resamples, identities), generator=rng)
    counts = torch.zeros(resamples, identities, dtype=torch.float64)
    counts.scatter_add_(1, draws, torch.ones_like(draws, dtype=torch.float64))
    value = float(statistic(torch.ones(1, identities, dtype=torch.float64)))
    replicates = statistic(counts)
    finite = replicates[replicates.isfinite()]
    if not len(finite):
        return Interval(value, value, value)
    tail = (1 - LEVEL) / 2
    low, high = finite.quantile(torch.tensor([tail, 1 - tail], dtype=torch.float64)).tolist()
    return Interval(value, low, high)


def mean_statistic(values: Tensor) -> Statistic:
    """The mean over identities of values [N]; NaN marks an identity that could not be measured."""
    present = values.isfinite().double()
    kept = torch.where(values.isfinite(), values, torch.zeros_like(values)).double()
    return lambda counts: (counts @ kept) / (counts @ present)


def pair_statistic(distances: Tensor) -> Statistic:
    """The mean over pairs of different identities of distances [N, N], symmetric.

    An identity drawn twice makes no pair with itself: those are not two people.
    """
    apart = distances.double().clone()
    apart.fill_diagonal_(0)

    def mean(counts: Tensor) -> Tensor:
        pairs = counts.sum(dim=1).square() - counts.square().sum(dim=1)
        return ((counts @ apart) * counts).sum(dim=1) / pairs

    return mean
