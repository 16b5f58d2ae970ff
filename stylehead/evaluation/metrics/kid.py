"""Kernel Inception distance: the discrepancy of Inception features under a cubic kernel (arXiv 1801.01401).

Over the features of another network it is the same formula and must have another name.
"""

from torch import Tensor

from stylehead.evaluation.metrics.mmd import Kernels, unbiased_mmd2


def kernel_distance(features: Tensor, reference: Tensor) -> float:
    """Measure the unbiased discrepancy of features [n,D] and [m,D] over all pictures (no random subsets)."""
    return float(unbiased_mmd2(cubic_kernels(features, reference)))


def cubic_kernels(features: Tensor, reference: Tensor) -> Kernels:
    """The kernel ``(x . y / D + 1)^3`` within and between two sets of features."""

    def kernel(one: Tensor, other: Tensor) -> Tensor:
        return (one.double() @ other.double().t() / one.shape[1] + 1) ** 3

    return Kernels(kernel(features, features), kernel(reference, reference), kernel(features, reference))
