"""Perceptual distance of pictures: squared differences of normalised feature maps (arXiv 1801.03924, w = 1).

It is what LPIPS measures, without its learned weights and over another network: not to be called LPIPS.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def perceptual_vectors(maps: Sequence[Tensor]) -> Tensor:
    """Write feature maps as vectors whose squared Euclidean distance is the perceptual distance.

    Every layer is scaled to unit length at each position; its share is a mean over positions, and shares add
    up over layers.

    Args:
        maps: Feature maps [B,C_l,h_l,w_l], one a layer.

    Returns:
        [B, sum of C_l h_l w_l].
    """
    parts = []
    for layer in maps:
        unit = functional.normalize(layer, dim=1)
        parts.append(unit.flatten(1) / math.sqrt(layer.shape[2] * layer.shape[3]))
    return torch.cat(parts, dim=1)


def perceptual_distance(vectors: Tensor, others: Tensor) -> Tensor:
    """Distance of pictures and others, one by one, from their vectors [B,F]; [B], 0 for equal pictures."""
    return (vectors - others).square().sum(dim=1)
