"""The mirror M, (M) of `ld.py`: a score on a view, flipped, is one on the mirrored view of the same head."""

from torch import Tensor

from stylehead.methods.grid import merge, split


def flip(values: Tensor) -> Tensor:
    """Flip images or latents [B, C, h, w] left to right."""
    return values.flip(-1)


def flip_tiles(grid: Tensor) -> Tensor:
    """Flip every tile of two-by-two grids [K, C, 2 h, 2 w] in place: the tiles stay where they are."""
    return merge(flip(split(grid)))
