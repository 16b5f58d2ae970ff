"""Plain backgrounds behind renders, so that becoming transparent never looks like becoming a colour."""

import torch
import torch.nn.functional as F
from torch import Tensor


def random_backgrounds(count: int, *, generator: torch.Generator) -> Tensor:
    """Draw plain colours, uniform in 0..1, [count, 3, 1, 1]."""
    return torch.rand(count, 3, 1, 1, generator=generator, device=generator.device)


def recolour(image_pm1: Tensor, mask: Tensor, background_01: Tensor) -> Tensor:
    """Put another plain colour behind images that were rendered on white.

    image + (1 - mask) (background - white), with the mask resized to the image: exact where the image really
    is head * mask + white * (1 - mask). Gradients flow to image and mask.

    Args:
        image_pm1: Images on white [B, 3, H, W], nominally -1..1.
        mask: Opacity of the head [B, 1, h, w], 0..1.
        background_01: Colours [B, 3, 1, 1], 0..1.
    """
    if mask.shape[-2:] != image_pm1.shape[-2:]:
        mask = F.interpolate(mask, image_pm1.shape[-2:], mode="bilinear", align_corners=False)
    return image_pm1 + (1 - mask) * 2 * (background_01 - 1)
