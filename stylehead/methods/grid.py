"""Four views as one picture, (G) of `ld.py`, and views seen in the mirror, (M).

A grid's tiles stand top left, top right, bottom left, bottom right. Heads are nearly symmetric: a score on a
view, flipped, is one on the mirrored view of the same head.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from stylehead.images import resize

TILES = 4


def merge(tiles: Tensor) -> Tensor:
    """Tile groups of four images [4 K, C, h, w] (identity-major) into [K, C, 2 h, 2 w]."""
    top_left, top_right, bottom_left, bottom_right = tiles.unflatten(0, (-1, TILES)).unbind(dim=1)
    top = torch.cat([top_left, top_right], dim=-1)
    bottom = torch.cat([bottom_left, bottom_right], dim=-1)
    return torch.cat([top, bottom], dim=-2)


def split(grid: Tensor) -> Tensor:
    """Cut grids [K, C, 2 h, 2 w] back into tiles [4 K, C, h, w]: `split(merge(x)) == x`."""
    rows = [half.chunk(2, dim=-1) for half in grid.chunk(2, dim=-2)]
    return torch.stack([tile for row in rows for tile in row], dim=1).flatten(0, 1)


def tile_raw(image_raw: Tensor, *, size: int) -> Tensor:
    """Enlarge raw renders and tile them.

    Args:
        image_raw: Raw renders [4 K, C, r, r], identity-major; enlarged bilinearly with aligned corners.
        size: Height and width of the grid, even.

    Returns:
        [K, C, size, size].
    """
    half = size // 2
    if image_raw.shape[-1] != half:
        image_raw = F.interpolate(image_raw, (half, half), mode="bilinear", align_corners=True)
    return merge(image_raw)


def tile_final(image: Tensor, *, size: int) -> Tensor:
    """Shrink final images [4 K, C, H, W], antialiased, and tile them to [K, C, size, size]."""
    return merge(resize(image, size // 2))


def flip(values: Tensor) -> Tensor:
    """Flip images or latents [B, C, h, w] left to right."""
    return values.flip(-1)


def flip_tiles(grid: Tensor) -> Tensor:
    """Flip every tile of two-by-two grids [K, C, 2 h, 2 w] in place: the tiles stay where they are."""
    return merge(flip(split(grid)))
