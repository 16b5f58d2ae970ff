"""Diversity of looks: perceptual distances between different people; near 0 after a mode collapse."""

import torch
from torch import Tensor

from stylehead.evaluation.columns import Column
from stylehead.evaluation.comparison import Comparison
from stylehead.evaluation.intervals import pair_statistic
from stylehead.evaluation.numbers import Number, Provenance, number


def squared_distances(vectors: Tensor) -> Tensor:
    """Squared Euclidean distances [N, N] of every two vectors [N, F], as of `perceptual_vectors`."""
    gram = (vectors @ vectors.t()).double()
    lengths = gram.diagonal()
    return (lengths[:, None] + lengths[None, :] - 2 * gram).clamp(min=0)


def measure_diversity(comparison: Comparison) -> Number:
    """Perceptual distance of stylised pictures of different people, side by side."""
    portraits = comparison.stylised.portraits
    network = comparison.encoders.require("features")
    columns = range(len(portraits.yaws_deg))
    distances = torch.stack([squared_distances(comparison.stylised.perceptual(column)) for column in columns])
    return number(pair_statistic(distances.mean(dim=0)), Provenance.of(portraits, network.name))


COLUMN = Column(
    name="diversity",
    better="higher",
    group="people",
    digits=3,
    about="perceptual distance between different people, same side; near 0 after a collapse",
    measure=measure_diversity,
)
