"""Maximum mean discrepancy of two sets of features, unbiased (Gretton et al., 2012, Eq. 3)."""

from typing import NamedTuple

import torch
from torch import Tensor

from stylehead.errors import UsageError


class Kernels(NamedTuple):
    """A kernel among features [n, n], among reference features [m, m], and between the two [n, m]."""

    own: Tensor
    reference: Tensor
    cross: Tensor


def unbiased_mmd2(kernels: Kernels, *, counts: Tensor | None = None) -> Tensor:
    """Estimate the squared discrepancy; on average 0 for two samples of one distribution, at any size.

    Pairs of a picture with itself are left out, which is what makes it unbiased; it can be negative.

    Args:
        kernels: Kernel matrices.
        counts: How often each of the n pictures counts, whole numbers [R, n], R times over; once when not
            given.

    Returns:
        One estimate for each row of counts, [R] (or [1]), float64.

    Raises:
        UsageError: A set has fewer than two pictures.
    """
    own, reference, cross = (part.double() for part in kernels)
    if len(own) < 2 or len(reference) < 2:
        raise UsageError("A discrepancy needs two pictures or more on both sides.")
    weights = torch.ones(1, len(own), dtype=torch.float64) if counts is None else counts.double()
    total, squares = weights.sum(dim=1), weights.square()
    among = ((weights @ own) * weights).sum(dim=1) - squares @ own.diagonal()
    among = among / (total.square() - squares.sum(dim=1))
    count = len(reference)
    among_reference = (reference.sum() - reference.diagonal().sum()) / (count * (count - 1))
    between = (weights @ cross).sum(dim=1) / (total * count)
    return among + among_reference - 2 * between
