"""What is denoised together: single views, and grids of four views, each with its mask and its condition.

Four views are one picture, (G) of `ld.py`: tiles stand top left, top right, bottom left, bottom right. Heads
are nearly symmetric: a score on a view, flipped, is one on the mirrored view of the same head, (M).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from stylehead.images import resize, to_01
from stylehead.methods.contract import DepthFunction
from stylehead.methods.draws import TILES
from stylehead.methods.scene import Scene, Views
from stylehead.teacher import (
    ControlCondition,
    Teacher,
    canny_condition,
    depth_condition,
    estimated_depth_condition,
)
from stylehead.teacher.editing.teaching import PICTURE

if TYPE_CHECKING:
    from stylehead.methods.ld import LdSettings


@dataclass(frozen=True)
class Stage:
    """Pictures that are denoised together: single views, or grids of four.

    Args:
        name: `single` or `grid`.
        images: What is encoded [N, 3, S, S], differentiable.
        mirrored: The same of the mirrored cameras, or None.
        mask: What the score is multiplied by [N, 1, h, w], or None.
        condition: The ControlNet's input, or None.
        weights: Of the score on `images` and on `mirrored`.
        mirror_map: Turns a score on `images` into one on `mirrored`.
    """

    name: str
    images: Tensor
    mirrored: Tensor | None
    mask: Tensor | None
    condition: ControlCondition | None
    weights: tuple[float, float]
    mirror_map: Callable[[Tensor], Tensor]


def single_stage(scene: Scene, config: "LdSettings", teacher: Teacher) -> Stage:
    """Prepare single views: final images, conditioned on the edges of the reference's images."""
    size = teacher.image_size
    condition = None
    if config.teacher == "edit":
        condition = _untouched(resize(scene.reference_views["single"].final(), size))
    elif config.canny:
        edges = scene.once("edges", lambda: _edges(scene, config, size=size))
        condition = ControlCondition("canny", edges, config.canny_scale)
    mirrored = scene.views.get("single_mirrored")
    mask = _mask(scene, config, "single")
    return Stage(
        name="single",
        images=resize(scene.views["single"].final(), size),
        mirrored=None if mirrored is None else resize(mirrored.final(), size),
        mask=None if mask is None else resize(mask, teacher.latent_size),
        condition=condition,
        weights=_shares(config, mirror=config.mirror),
        mirror_map=flip,
    )


def grid_stage(
    scene: Scene, config: "LdSettings", teacher: Teacher, *, depth_estimator: DepthFunction | None
) -> Stage:
    """Prepare grids of four views, conditioned on the depth of the reference's views."""
    mask = _mask(scene, config, "grid")
    base, mirror = _shares(config, mirror=config.grid_mirror)
    condition = None
    if config.teacher == "edit":
        condition = _untouched(_tile(scene.reference_views["grid"], config, size=teacher.image_size))
    elif config.depth != "none":
        drawn = scene.once("depth", lambda: _depth(scene, size=teacher.image_size, estimator=depth_estimator))
        condition = ControlCondition("depth", drawn, config.depth_scale)
    return Stage(
        name="grid",
        images=_tile(scene.views["grid"], config, size=teacher.image_size),
        mirrored=(
            _tile(scene.views["grid_mirrored"], config, size=teacher.image_size)
            if "grid_mirrored" in scene.views
            else None
        ),
        mask=None if mask is None else merge(resize(mask, teacher.latent_size // 2)),
        condition=condition,
        weights=(config.grid_weight * base, config.grid_weight * mirror),
        mirror_map=flip_tiles,
    )


def _shares(config: "LdSettings", *, mirror: bool) -> tuple[float, float]:
    """Return the weights of a score on its own view and on the mirrored one."""
    return (config.base_weight, config.mirror_weight) if mirror else (1.0, 0.0)


def _untouched(picture_pm1: Tensor) -> ControlCondition:
    """Show an editor what it edits."""
    return ControlCondition(PICTURE, to_01(picture_pm1).clamp(0, 1))


def _tile(views: Views, config: "LdSettings", *, size: int) -> Tensor:
    if config.grid_mode == "before_sr":
        return tile_raw(views.image_raw, size=size)
    return tile_final(views.final(), size=size)


def _mask(scene: Scene, config: "LdSettings", group: str) -> Tensor | None:
    """Return the opacity that multiplies the score, at the raw resolution, as a constant."""
    if config.mask == "none":
        return None
    trained = config.mask == "generator" or (config.mask == "mixed" and group == "single")
    views = scene.views if trained else scene.reference_views
    return views[group].mask.detach()


def _edges(scene: Scene, config: "LdSettings", *, size: int) -> Tensor:
    """Draw the edges of the reference's views."""
    picture = resize(scene.reference_views["single"].final(), size)
    return canny_condition(picture, channel=config.canny_channel, truncate=config.canny_bytes == "truncated")


def _depth(scene: Scene, *, size: int, estimator: DepthFunction | None) -> Tensor:
    """Draw the depth of the reference's four views, each normalised by itself, as one picture."""
    views = scene.reference_views["grid"]
    if estimator is None:
        tiles = depth_condition(views.depth, views.mask, size=size // 2)
    else:
        with torch.no_grad():
            tiles = estimated_depth_condition(estimator(views.final()), size=size // 2)
    return merge(tiles)


# ------------------------------------------------------------------------------------- grid and mirror


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
