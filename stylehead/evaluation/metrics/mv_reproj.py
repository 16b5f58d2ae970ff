"""Do views agree? One is carried into another by the rendered depth; compared where both see the head."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from stylehead.generator.renderer import camera_rays
from stylehead.geometry import split_label

DEPTH_TOLERANCE = 0.03
"""Largest difference of distances, in world units, at which two views mean the same point of the surface."""

_SOLID = 0.9


class View(NamedTuple):
    """B pictures of heads and what is known of their geometry.

    Attributes:
        image_01: [B,3,r,r] in 0..1.
        depth: Distance along the ray [B,1,r,r].
        mask: Opacity [B,1,r,r]; only what is nearly opaque counts.
        camera_label: [B,25].
    """

    image_01: Tensor
    depth: Tensor
    mask: Tensor
    camera_label: Tensor


def reprojection_error(view: View, other: View, *, tolerance: float = DEPTH_TOLERANCE) -> Tensor:
    """Mean absolute colour difference on the surface that two views share.

    Every pixel of `view` is put where its depth says, seen from the camera of `other`, and compared with the
    colour there, unless something nearer hides it. All of it happens at the resolution of the depth.

    Args:
        view: Where colours are asked for.
        other: Where they are looked up, bilinearly.
        tolerance: See `DEPTH_TOLERANCE`.

    Returns:
        [B] in 0..1, lower is better; NaN where the two see nothing in common.
    """
    resolution = view.depth.shape[-1]
    rays = camera_rays(view.camera_label, resolution)
    points = rays.origins + rays.directions * view.depth.flatten(1)[..., None]
    where, distance = _project(points, other.camera_label)
    where = where.unflatten(1, (resolution, resolution))

    def looked_up(picture: Tensor) -> Tensor:
        return functional.grid_sample(picture, where, padding_mode="zeros", align_corners=False)

    seen = (looked_up(other.depth)[:, 0].flatten(1) - distance).abs() < tolerance
    solid = (view.mask > _SOLID)[:, 0].flatten(1) & (looked_up(other.mask)[:, 0].flatten(1) > _SOLID)
    shared = (seen & solid & (where.abs() < 1).all(dim=-1).flatten(1)).to(view.depth)
    difference = (looked_up(other.image_01) - view.image_01).abs().mean(dim=1).flatten(1)
    return (difference * shared).sum(dim=1) / shared.sum(dim=1)


def _project(points: Tensor, camera_label: Tensor) -> tuple[Tensor, Tensor]:
    """Where world points [B,M,3] are in a picture, -1..1 [B,M,2], and how far from the camera [B,M]."""
    cam2world, intrinsics = split_label(camera_label)
    offset = points - cam2world[:, None, :3, 3]
    seen = offset @ cam2world[:, :3, :3]
    pixels = (seen / seen[..., 2:].clamp(min=1e-6)) @ intrinsics.transpose(1, 2)
    return pixels[..., :2] * 2 - 1, torch.linalg.vector_norm(offset, dim=-1)
