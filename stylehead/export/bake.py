"""Colours of a surface from finished renders: every point takes those of the views that see it best.

The raw field's colours know nothing of super-resolution, in which much of a style lives. So the head is
rendered from all around, and every point of the surface takes a weighted mean of the views that nothing
hides it from; the weight is a power of the cosine between the normal and the direction to the camera.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from stylehead.export.rasterise import nearest_depth, rasterise
from stylehead.export.unwrap import Atlas
from stylehead.generator import PanoHead
from stylehead.geometry import camera_from_angles, project_points
from stylehead.images import Pixels, resize

VIEWS_DEG = (
    *((float(yaw), 0.0) for yaw in range(0, 360, 20)),
    *((float(yaw), pitch) for pitch in (-28.0, 28.0) for yaw in range(0, 360, 40)),
    *((float(yaw), pitch) for pitch in (-65.0, 60.0) for yaw in range(0, 360, 90)),
)
"""Yaw and nominal pitch of the renders, degrees; a negative pitch looks from above."""

_SHARPNESS = 6
"""Power of the cosine with which a view counts: high, so that few views mix and details stay sharp."""
_LEAST_COSINE = 0.15
_LEAST_SOLID = 0.3
"""Below this, the colour of a head can not be told from that of the background."""
_CAMERAS_AT_ONCE = 2
_HIDDEN_BY = 0.012
"""A point is hidden when the surface lies so far before it, in world units."""


class PaintedView(NamedTuple):
    """A finished render and what is needed to look a point up in it."""

    image: Tensor
    """The head alone, without the white behind it, [1, 3, R, R] in -1..1."""
    solid: Tensor
    """How far a pixel shows the head rather than what is behind it, [1, 1, R, R] in 0..1."""
    nearest: Tensor
    """Distance from the camera to the surface in every pixel [1, 1, S, S]; infinite beside it."""
    camera_label: Tensor
    """[1, 25]."""


class Points(NamedTuple):
    """Points of a surface."""

    places: NDArray[np.float32]
    """[P, 3], world units."""
    normals: NDArray[np.float32]
    """Unit normals [P, 3], outwards."""


@torch.no_grad()
def paint_views(
    generator: PanoHead,
    ws: Tensor,
    triangles: NDArray[np.float32],
    *,
    done: Callable[[int], Any] = lambda _count: None,
) -> list[PaintedView]:
    """Render a head from all around.

    Args:
        generator: In evaluation mode.
        ws: [1, num_ws, w_dim].
        triangles: Corners of the surface [F, 3, 3].
        done: Called with the number of finished views, for progress.
    """
    yaws, pitches = (torch.deg2rad(torch.tensor(angles)) for angles in zip(*VIEWS_DEG, strict=True))
    labels = camera_from_angles(yaws, pitches).to(ws.device)
    grid = generator.prepare(generator.planes(ws))
    views: list[PaintedView] = []
    for chunk in labels.split(_CAMERAS_AT_ONCE):
        out = generator.render(grid, ws, chunk, background="white")
        solid = resize(out.mask.clamp(0, 1), out.image.shape[-1], antialias=False)
        # image = head * mask + white * (1 - mask), solved for the head
        alone = 1 + (out.image - 1) / solid.clamp(min=_LEAST_SOLID)
        for row, label in enumerate(chunk):
            nearest = surface_distance(triangles, label[None].cpu(), 2 * out.image.shape[-1])
            image = alone[row : row + 1].clamp(-1, 1)
            views.append(PaintedView(image, solid[row : row + 1], nearest.to(ws.device), label[None]))
        done(len(views))
    return views


def surface_distance(triangles: NDArray[np.float32], camera_label: Tensor, size: int) -> Tensor:
    """Distance from a camera [1, 25] to triangles [F, 3, 3], [1, 1, size, size]; infinite beside them."""
    where, distance = project_points(torch.from_numpy(triangles).reshape(1, -1, 3), camera_label)
    corners = ((where[0].double() + 1) / 2 * size).reshape(-1, 3, 2).numpy()
    depths = distance[0].double().reshape(-1, 3).numpy()
    return torch.from_numpy(nearest_depth(corners, depths, size)).float()[None, None]


def paint(surface: Points, views: list[PaintedView]) -> tuple[Pixels, NDArray[np.bool_]]:
    """Blend what views show of points.

    Returns:
        Colours [P, 3], and which points [P] any view shows.
    """
    device = views[0].image.device
    points, normals = (torch.from_numpy(part).to(device) for part in surface)
    total = points.new_zeros(len(points), 3)
    weight = points.new_zeros(len(points))
    for view in views:
        own, colour = _look_up(points, normals, view)
        total += own[:, None] * colour
        weight += own
    seen = weight > 1e-8
    mean = total / weight.clamp(min=1e-8)[:, None]
    pixels = ((mean.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return pixels.cpu().numpy(), seen.cpu().numpy()


def _look_up(points: Tensor, normals: Tensor, view: PaintedView) -> tuple[Tensor, Tensor]:
    """How much a view counts for points [P], and the colours [P, 3] that it shows there."""
    where, distance = project_points(points[None], view.camera_label)
    towards = functional.normalize(view.camera_label[0, [3, 7, 11]] - points, dim=1)
    cosine = (towards * normals).sum(dim=1)
    there = where[:, :, None]  # [1, P, 1, 2]
    solid = functional.grid_sample(view.solid, there, align_corners=False)[0, 0, :, 0]
    nearest = functional.grid_sample(view.nearest, there, mode="nearest", align_corners=False)[0, 0, :, 0]
    colour = functional.grid_sample(view.image, there, padding_mode="border", align_corners=False)
    visible = (distance[0] < nearest + _HIDDEN_BY) & (cosine > _LEAST_COSINE) & (solid > _LEAST_SOLID)
    return visible * cosine.clamp(min=0) ** _SHARPNESS * solid**4, colour[0, :, :, 0].T


def bake_texture(surface: Points, atlas: Atlas, views: list[PaintedView], *, size: int) -> Pixels:
    """Paint a texture [size, size, 3]; gaps between charts and what no view shows take the nearest colour.

    Args:
        surface: Vertices of the closed surface and their normals.
        atlas: Where they are in the texture.
        views: From `paint_views`.
        size: Height and width.
    """
    texture = np.zeros((size * size, 3), np.uint8)
    painted = np.zeros(size * size, bool)
    corners = atlas.source[atlas.faces]
    for part in rasterise(atlas.uv.astype(np.float64)[atlas.faces] * size, size):
        weights = part.weights.astype(np.float32)[..., None]
        points = (surface.places[corners[part.triangles]] * weights).sum(axis=1)
        normals = (surface.normals[corners[part.triangles]] * weights).sum(axis=1)
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        colours, seen = paint(Points(points, normals), views)
        texture[part.pixels[seen]] = colours[seen]
        painted[part.pixels[seen]] = True
    return bleed(texture.reshape(size, size, 3), painted.reshape(size, size))


def bleed(texture: Pixels, painted: NDArray[np.bool_]) -> Pixels:
    """Give every other pixel of a texture [S, S, 3] the colour of the nearest painted one [S, S]."""
    from scipy import ndimage

    if not painted.any():
        return texture
    nearest = ndimage.distance_transform_edt(~painted, return_distances=False, return_indices=True)
    bled: Pixels = texture[tuple(nearest)]
    return bled


def texture_size(image_size: int) -> int:
    """Height and width of a texture for renders of a size: a power of two, about as fine all around."""
    return min(2048, 2 ** math.ceil(math.log2(8 * image_size)))
