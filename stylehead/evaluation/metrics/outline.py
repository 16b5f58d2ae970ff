"""Overlap of outlines."""

from torch import Tensor
from torch.nn import functional


def outline_iou(mask: Tensor, truth: Tensor) -> Tensor:
    """Intersection over union [B] of masks [B,1,r,r] (resized) and true ones [B,1,R,R], cut at 0.5."""
    resized = functional.interpolate(mask, size=truth.shape[-1], mode="bilinear", align_corners=False)
    ours, theirs = resized > 0.5, truth > 0.5
    both = (ours & theirs).sum(dim=(1, 2, 3)).float()
    return both / (ours | theirs).sum(dim=(1, 2, 3)).clamp(min=1)
