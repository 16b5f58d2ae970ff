"""Kernel Inception distance: discrepancy of Inception features under a cubic kernel (arXiv 1801.01401)."""

from torch import Tensor

from stylehead.evaluation.columns import Column
from stylehead.evaluation.comparison import Comparison
from stylehead.evaluation.distributions import discrepancy_number, feature_sets
from stylehead.evaluation.mmd import Kernels
from stylehead.evaluation.numbers import Number


def cubic_kernels(features: Tensor, reference: Tensor) -> Kernels:
    """The kernel `(x . y / D + 1)^3` within and between two sets of features."""

    def kernel(one: Tensor, other: Tensor) -> Tensor:
        return (one.double() @ other.double().t() / one.shape[1] + 1) ** 3

    return Kernels(kernel(features, features), kernel(reference, reference), kernel(features, reference))


def measure_kid(comparison: Comparison) -> Number:
    """KID to the reference pictures, over all of them (no random subsets)."""
    sets = feature_sets(comparison, "inception", comparison.encoders.require("inception").name)
    return discrepancy_number(cubic_kernels(sets.features.flatten(0, 1), sets.reference), sets)


COLUMN = Column(
    name="kid",
    better="lower",
    group="style",
    digits=4,
    about="kernel Inception distance to the reference pictures, unbiased",
    measure=measure_kid,
)
