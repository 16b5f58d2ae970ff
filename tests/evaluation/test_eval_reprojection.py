"""One view carried into another: on a painted sphere, where everything is known."""

import math

import pytest
import torch
from torch import Tensor

from stylehead.evaluation.metrics.mv_reproj import DepthView, reprojection_error
from stylehead.generator.renderer import camera_rays
from stylehead.geometry import camera_from_angles

RADIUS, SIZE = 0.25, 48


def sphere(yaw_deg: float, *, turned: float = 0.0, swollen: float = 0.0) -> DepthView:
    """A sphere with smooth paint, ray traced; the paint (or the depth) can disagree with the other views."""
    label = camera_from_angles(math.radians(yaw_deg))
    rays = camera_rays(label, SIZE)
    along = -(rays.origins * rays.directions).sum(-1)
    squared = (rays.origins + along[..., None] * rays.directions).square().sum(-1)
    hit = squared < RADIUS**2
    depth = along - (RADIUS**2 - squared).clamp(min=0).sqrt()
    x, y, z = (rays.origins + depth[..., None] * rays.directions).unbind(-1)
    angle = torch.atan2(x, z) + turned
    colour = torch.stack([angle.cos(), angle.sin(), y / RADIUS], dim=1) * 0.5 + 0.5
    image = torch.where(hit[:, None], colour, torch.ones_like(colour))

    def picture(values: Tensor) -> Tensor:
        return values.reshape(1, -1, SIZE, SIZE)

    return DepthView(picture(image), picture(depth + swollen), picture(hit.float()), label)


def test_views_of_one_sphere_agree() -> None:
    assert float(reprojection_error(sphere(0), sphere(20))) < 0.01
    assert float(reprojection_error(sphere(0), sphere(0))) < 1e-4


@pytest.mark.parametrize("turned", [0.2, 0.5])
def test_paint_that_slides_is_seen(turned: float) -> None:
    slid = float(reprojection_error(sphere(0), sphere(20, turned=turned)))
    # two of three channels change by 0.5 |cos(a + turned) - cos(a)|, for even angles turned / pi on average
    assert slid == pytest.approx(2 / 3 * turned / math.pi, rel=0.2)


def test_a_sphere_written_out_pixel_by_pixel() -> None:
    here, there = sphere(0), sphere(25, turned=0.3)
    rays = camera_rays(here.camera_label, SIZE)
    focal = float(there.camera_label[0, 16])
    pose = there.camera_label[0, :16].reshape(4, 4)
    errors = []
    for index in range(SIZE * SIZE):
        row, column = divmod(index, SIZE)
        if here.mask[0, 0, row, column] < 0.9:
            continue
        point = rays.origins[0, index] + rays.directions[0, index] * here.depth[0, 0, row, column]
        local = pose[:3, :3].t() @ (point - pose[:3, 3])
        u, v = (float(local[axis] / local[2]) * focal * SIZE + SIZE / 2 - 0.5 for axis in (0, 1))
        if not (0 <= u < SIZE - 1 and 0 <= v < SIZE - 1):
            continue
        left, top = int(u), int(v)

        def blend(picture: Tensor, left=left, top=top, u=u, v=v) -> Tensor:
            weights = ((1 - u + left) * (1 - v + top), (u - left) * (1 - v + top),
                       (1 - u + left) * (v - top), (u - left) * (v - top))  # fmt: skip
            corners = ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1))
            return sum(w * picture[0, :, r, c] for w, (r, c) in zip(weights, corners, strict=True))

        distance = float((point - pose[:3, 3]).norm())
        if abs(float(blend(there.depth)) - distance) < 0.03 and float(blend(there.mask)) > 0.9:
            errors.append(float((blend(there.image_01) - here.image_01[0, :, row, column]).abs().mean()))
    assert len(errors) > 400
    assert float(reprojection_error(here, there)) == pytest.approx(sum(errors) / len(errors), rel=1e-3)


def test_hidden_points_are_not_compared() -> None:
    """From behind, nothing of the front is in sight."""
    assert reprojection_error(sphere(0), sphere(180)).isnan().all()
    assert reprojection_error(sphere(0), sphere(10, swollen=0.2)).isnan().all()


def test_batches_are_independent() -> None:
    pairs = [(sphere(0), sphere(20)), (sphere(-15), sphere(10, turned=0.4))]
    alone = torch.cat([reprojection_error(*pair) for pair in pairs])
    joined = [
        DepthView(*(torch.cat(part) for part in zip(*side, strict=True))) for side in zip(*pairs, strict=True)
    ]
    torch.testing.assert_close(reprojection_error(*joined), alone)
