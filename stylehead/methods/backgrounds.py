"""Plain backgrounds behind renders, so that becoming transparent never looks like becoming a colour."""

import torch
from torch import Tensor

from stylehead.images import on_colour, resize, to_pm1


def random_backgrounds(count: int, *, rng: torch.Generator) -> Tensor:
    """Draw plain colours, uniform in 0..1, [count, 3, 1, 1]."""
    return torch.rand(count, 3, 1, 1, generator=rng, device=rng.device)


def recolour(image_pm1: Tensor, mask: Tensor, background_01: Tensor) -> Tensor:
    """Put another plain colour behind images that were rendered on white.

    The mask is resized to the images; see `on_colour`.

    Args:
        image_pm1: Images on white [B, 3, H, W], nominally -1..1.
        mask: Opacity of the head [B, 1, h, w], 0..1.
        background_01: Colours [B, 3, 1, 1], 0..1.
    """
    mask = resize(mask, (image_pm1.shape[-2], image_pm1.shape[-1]), antialias=False)
    return on_colour(image_pm1, mask, to_pm1(background_01))
