"""Three perpendicular stacks of feature planes, sampled trilinearly at points in space.

Two implementations give the same numbers: ``grid_sample``, and a gather of weighted rows that is faster on a CPU.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

SampleMethod = Literal["auto", "grid_sample", "gather"]

# World axes (x, y, z = 0, 1, 2) along width, height and depth of each stack.
_PLANE_AXES = ((0, 1, 2), (0, 2, 1), (1, 2, 0))


@dataclass(frozen=True, eq=False)
class TriGrid:
    """Planes of K identities, with the rows that the gather reads prepared once.

    Attributes:
        planes: [K, 3 C D, H, W]; channel = stack (C D) + feature D + slice.
        rows: [K 3 H W D, C], or None for the ``grid_sample`` implementation.
        depth: D, slices of each stack.
    """

    planes: Tensor
    rows: Tensor | None
    depth: int

    @classmethod
    def prepare(cls, planes: Tensor, *, depth: int, method: SampleMethod = "auto") -> "TriGrid":
        """Arrange planes for sampling; worth keeping while one identity is rendered many times.

        Args:
            planes: [K, 3 C D, H, W].
            depth: D.
            method: "auto" gathers on a CPU and uses ``grid_sample`` elsewhere.
        """
        if method == "auto":
            method = "gather" if planes.device.type == "cpu" else "grid_sample"
        if method == "grid_sample":
            return cls(planes, None, depth)
        batch, channels, height, width = planes.shape
        features = channels // (3 * depth)
        stacks = planes.reshape(batch, 3, features, depth, height, width)
        rows = stacks.permute(0, 1, 4, 5, 3, 2).reshape(-1, features)
        return cls(planes, rows, depth)


def sample_trigrid(
    planes: Tensor | TriGrid,
    points: Tensor,
    *,
    depth: int = 3,
    box_warp: float = 1.0,
    method: SampleMethod = "auto",
) -> Tensor:
    """Sample every stack at every point: trilinear, zeros outside, texel centres half a texel from the edge.

    Differentiable in the planes and in the points.

    Args:
        planes: [K, 3 C D, H, W], or those prepared (then ``depth`` and ``method`` are taken from there).
        points: World coordinates [K,P,3]; the cube of edge ``box_warp`` around the origin covers the planes.
        depth: D, slices of each stack.
        box_warp: Edge of the cube in world units.
        method: Implementation; both give equal values and gradients.

    Returns:
        Features [K,3,P,C].
    """
    grid = planes if isinstance(planes, TriGrid) else TriGrid.prepare(planes, depth=depth, method=method)
    if grid.rows is None:
        return _grid_sample(grid, points * (2 / box_warp))
    indices, weights = _corners(grid, points * (2 / box_warp))
    batch, count = points.shape[:2]
    sampled = functional.embedding_bag(
        indices.reshape(-1, 8), grid.rows, mode="sum", per_sample_weights=weights.reshape(-1, 8)
    )
    return sampled.reshape(batch, count, 3, -1).transpose(1, 2)


def sample_trigrid_mean(grid: TriGrid, points: Tensor, *, box_warp: float) -> Tensor:
    """Mean of :func:`sample_trigrid` over the three stacks, [K,P,C], without the stacks in between."""
    if grid.rows is None:
        return _grid_sample(grid, points * (2 / box_warp)).mean(dim=1)
    indices, weights = _corners(grid, points * (2 / box_warp))
    batch, count = points.shape[:2]
    sampled = functional.embedding_bag(
        indices.reshape(-1, 24), grid.rows, mode="sum", per_sample_weights=weights.reshape(-1, 24) / 3
    )
    return sampled.reshape(batch, count, -1)


def _grid_sample(grid: TriGrid, points: Tensor) -> Tensor:
    batch, channels, height, width = grid.planes.shape
    count = points.shape[1]
    volume = grid.planes.reshape(batch * 3, channels // (3 * grid.depth), grid.depth, height, width)
    where = torch.stack([points[..., axes] for axes in _PLANE_AXES], dim=1)
    sampled = functional.grid_sample(
        volume,
        where.reshape(batch * 3, 1, 1, count, 3),
        mode="bilinear",
        padding_mode="zeros",
        align_corners=False,
    )
    return sampled.reshape(batch, 3, -1, count).transpose(2, 3)


def _corners(grid: TriGrid, points: Tensor) -> tuple[Tensor, Tensor]:
    """Row numbers and trilinear weights [K,P,3,8] of the eight texels around each point in each stack."""
    height, width = grid.planes.shape[-2:]
    across, across_weight = _neighbours(points, width)
    along, along_weight = (across, across_weight) if height == width else _neighbours(points, height)
    inward, inward_weight = _neighbours(points, grid.depth)
    w_axes, h_axes, d_axes = (list(axes) for axes in zip(*_PLANE_AXES, strict=True))

    batch, count = points.shape[:2]
    first = torch.arange(batch * 3, dtype=torch.int32, device=points.device).reshape(batch, 1, 3, 1) * height
    rows = first + along[:, :, h_axes]  # [K,P,3,2]
    rows = rows[..., :, None] * width + across[:, :, w_axes][..., None, :]  # [K,P,3,2,2]
    rows = rows[..., None] * grid.depth + inward[:, :, d_axes][..., None, None, :]  # [K,P,3,2,2,2]
    flat = along_weight[:, :, h_axes][..., :, None] * across_weight[:, :, w_axes][..., None, :]
    weights = flat[..., None] * inward_weight[:, :, d_axes][..., None, None, :]
    return rows.reshape(batch, count, 3, 8), weights.reshape(batch, count, 3, 8)


def _neighbours(points: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Per axis, the two texels around each coordinate and their weights, [K,P,3,2]; weight 0 outside."""
    texel = points * (size / 2) + (size - 1) / 2
    low = texel.detach().floor()
    fraction = texel - low
    corner = torch.stack([low, low + 1], dim=-1)
    inside = (corner >= 0) & (corner <= size - 1)
    weight = torch.stack([1 - fraction, fraction], dim=-1) * inside
    return corner.clamp(0, size - 1).int(), weight
