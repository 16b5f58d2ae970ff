"""One number for the work of an iteration: operations counted as if all were done in half precision."""

from collections.abc import Mapping
from typing import NamedTuple

import torch

COST_OF = {torch.float16: 1.0, torch.bfloat16: 1.0, torch.float32: 2.0, torch.float64: 2.0}
"""What an operation costs beside one in half precision.

Single precision runs through TF32, at half the rate; doubles are the 4x4 decompositions of rank weighing.
"""


def half_equivalents(flops: Mapping[torch.dtype, int]) -> float:
    """Return operations, by type of number, as the number in half precision that would take as long."""
    return sum(COST_OF[dtype] * number for dtype, number in flops.items())


class Card(NamedTuple):
    """What a graphics card does in a second, as its maker says.

    Attributes:
        half: Operations in half precision.
        bandwidth: Bytes to and from its memory.
        memory: Bytes that it has.
    """

    half: float
    bandwidth: float
    memory: float


CARDS = {
    "A100 SXM 40 GB": Card(312e12, 1.555e12, 40e9),
    "H100 SXM 80 GB": Card(989e12, 3.35e12, 80e9),
}
"""Peaks without sparsity, from the data sheets."""
REACHED, STREAMED = 0.5, 0.7
"""Which share of its arithmetic and of its bandwidth a card is assumed to reach."""


def computed_seconds(card: Card, flops: Mapping[torch.dtype, int], traffic: int) -> float:
    """Return how long work would take on a card: computed, measured by nobody.

    Args:
        card: Which.
        flops: Operations by type of number.
        traffic: Bytes read and written.
    """
    return half_equivalents(flops) / (REACHED * card.half) + traffic / (STREAMED * card.bandwidth)
