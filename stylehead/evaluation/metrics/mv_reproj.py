"""Consistency of views: one is warped into another by the rendered depth and compared on the head."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from stylehead.errors import MissingError
from stylehead.evaluation.columns import Column
from stylehead.evaluation.comparison import Comparison
from stylehead.evaluation.numbers import Number, Provenance, mean_over_people
from stylehead.evaluation.portraits import Portraits
from stylehead.generator.renderer import camera_rays
from stylehead.geometry import camera_from_angles, project_points
from stylehead.images import bytes_to_01, resize

DEPTH_TOLERANCE = 0.03
"""Largest difference of distances, in world units, at which two views mean the same point of the surface."""

NEIGHBOURS_DEG = 45.0
"""Views at most so far apart are carried into each other."""

_SOLID = 0.9


class DepthView(NamedTuple):
    """B pictures of heads and what is known of their geometry."""

    image_01: Tensor
    """[B, 3, r, r] in 0..1."""
    depth: Tensor
    """Distance along the ray [B, 1, r, r]."""
    mask: Tensor
    """Opacity [B, 1, r, r]; only what is nearly opaque counts."""
    camera_label: Tensor
    """[B, 25]."""


def reprojection_error(view: DepthView, other: DepthView, *, tolerance: float = DEPTH_TOLERANCE) -> Tensor:
    """Mean absolute colour difference on the surface that two views share.

    Every pixel of `view` is lifted by its depth, projected into the camera of `other`, and compared with the
    colour there, unless something nearer hides it. All of it happens at the resolution of the depth.

    Args:
        view: Whose pixels are lifted.
        other: Where they are looked up, bilinearly.
        tolerance: See `DEPTH_TOLERANCE`.

    Returns:
        [B] in 0..1, lower is better; NaN where the two see nothing in common.
    """
    resolution = view.depth.shape[-1]
    rays = camera_rays(view.camera_label, resolution)
    points = rays.origins + rays.directions * view.depth.flatten(1)[..., None]
    where, distance = project_points(points, other.camera_label)
    where = where.unflatten(1, (resolution, resolution))

    def looked_up(picture: Tensor) -> Tensor:
        return functional.grid_sample(picture, where, padding_mode="zeros", align_corners=False)

    seen = (looked_up(other.depth)[:, 0].flatten(1) - distance).abs() < tolerance
    solid = (view.mask > _SOLID)[:, 0].flatten(1) & (looked_up(other.mask)[:, 0].flatten(1) > _SOLID)
    shared = (seen & solid & (where.abs() < 1).all(dim=-1).flatten(1)).to(view.depth)
    difference = (looked_up(other.image_01) - view.image_01).abs().mean(dim=1).flatten(1)
    return (difference * shared).sum(dim=1) / shared.sum(dim=1)


def measure_mv_reproj(comparison: Comparison) -> Number:
    """Disagreement of neighbouring views about the surface that they share."""
    portraits = comparison.stylised.portraits
    if portraits.depths is None or portraits.masks is None:
        raise MissingError("These are pictures without geometry.")
    pairs = [
        (here, there)
        for here, yaw in enumerate(portraits.yaws_deg)
        for there, other in enumerate(portraits.yaws_deg)
        if here != there and abs((yaw - other + 180) % 360 - 180) <= NEIGHBOURS_DEG
    ]
    if not pairs:
        raise MissingError(f"No two views are within {NEIGHBOURS_DEG:g} degrees of each other.", "--yaws")
    views = [_view(portraits, column) for column in range(len(portraits.yaws_deg))]
    errors = torch.stack([reprojection_error(views[here], views[there]) for here, there in pairs], dim=1)
    yaws = [yaw for column, yaw in enumerate(portraits.yaws_deg) if any(column in pair for pair in pairs)]
    note = f"{len(pairs)} ordered pairs of neighbouring views"
    return mean_over_people(errors.nanmean(dim=1), Provenance(portraits.seeds, yaws, note=note))


def _view(portraits: Portraits, column: int) -> DepthView:
    """One side of all people, at the resolution of the depth."""
    assert portraits.depths is not None
    assert portraits.masks is not None
    depth = portraits.depths[:, column]
    image = resize(bytes_to_01(portraits.images[:, column]), depth.shape[-1])
    label = camera_from_angles(torch.deg2rad(torch.tensor(portraits.yaws_deg[column])))
    return DepthView(image, depth, portraits.masks[:, column], label.expand(len(image), -1))


COLUMN = Column(
    name="mv_reproj",
    better="lower",
    group="shape",
    digits=4,
    about="colour difference of the surface that neighbouring views share",
    measure=measure_mv_reproj,
)
