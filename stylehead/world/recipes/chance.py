"""What recipes do at random to batches of pictures; `rng` lies where the pictures do."""

import torch
from torch import Tensor
from torch.nn import functional


def without_detail(images: Tensor, factor: int) -> Tensor:
    """Pictures [B, C, R, R] without what is smaller than `factor` pixels."""
    size = images.shape[-1]
    small = functional.interpolate(images, size=size // factor, mode="area")
    return functional.interpolate(small, size=size, mode="bilinear", align_corners=False)


def for_some(part: float, count: int, rng: torch.Generator) -> Tensor:
    """1 for about `part` of `count` pictures, else 0; [B, 1, 1, 1]."""
    return (torch.rand(count, 1, 1, 1, generator=rng, device=rng.device) < part).float()


def one_each(low: float, high: float, count: int, rng: torch.Generator) -> Tensor:
    """A number for each of `count` pictures, [B, 1, 1, 1]."""
    return low + (high - low) * torch.rand(count, 1, 1, 1, generator=rng, device=rng.device)
