"""Frechet distance between two Gaussians fitted to features (arXiv 1706.08500, Eq. 6)."""

import torch
from torch import Tensor

from stylehead.errors import UsageError


def frechet_distances(features: Tensor, reference: Tensor, counts: Tensor) -> Tensor:
    """Measure `|m - m_r|^2 + tr(C + C_r - 2 (C C_r)^(1/2))` of two sets of features; 0 for equal sets.

    Covariances are unbiased. The distance is biased upwards for few pictures, the more the fewer: compare
    only numbers of equally many, and have at least as many pictures as features.

    Args:
        features: [n, D].
        reference: [m, D].
        counts: How often each of the n pictures counts, whole numbers [R, n], R times over.

    Returns:
        [R], float64.

    Raises:
        UsageError: A set has fewer than two pictures.
    """
    if len(features) < 2 or len(reference) < 2:
        raise UsageError("A Frechet distance needs two pictures or more on both sides.")
    mean_r, covariance_r = _moments(reference.double(), torch.ones(len(reference), dtype=torch.float64))
    root, features = _square_root(covariance_r), features.double()
    distances = []
    for row in counts.double():
        mean, covariance = _moments(features, row)
        overlap = torch.linalg.eigvalsh(root @ covariance @ root).clamp(min=0).sqrt().sum()
        spread = covariance.trace() + covariance_r.trace() - 2 * overlap
        distances.append(((mean - mean_r).square().sum() + spread).clamp(min=0))
    return torch.stack(distances)


def _moments(features: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    total = counts.sum()
    mean = counts @ features / total
    centred = features - mean
    return mean, (centred * counts[:, None]).t() @ centred / (total - 1)


def _square_root(matrix: Tensor) -> Tensor:
    """Square root of a symmetric matrix without negative eigenvalues."""
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.t()
