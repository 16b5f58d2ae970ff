"""Perceptual distance to the true stylised pictures, where they are known."""

import torch

from stylehead.evaluation.columns import Column
from stylehead.evaluation.comparison import Comparison
from stylehead.evaluation.numbers import Number, Provenance, mean_over_people, shared


def measure_gt_perceptual(comparison: Comparison) -> Number:
    """Perceptual distance to the true stylised pictures."""
    network, truth = comparison.encoders.require("features"), comparison.target.need_truth()
    both = shared(comparison.stylised.portraits, truth.portraits, "The true pictures")
    values = []
    for here, there in zip(*both.columns, strict=True):
        vectors, true_vectors = comparison.stylised.perceptual(here), truth.perceptual(there)
        values.append((vectors[both.rows[0]] - true_vectors[both.rows[1]]).square().sum(dim=1))
    return mean_over_people(torch.stack(values, dim=1), Provenance.of(both, network.name))


COLUMN = Column(
    name="gt_perceptual",
    better="lower",
    group="shape",
    digits=3,
    about="perceptual distance to the true stylised picture",
    measure=measure_gt_perceptual,
)
