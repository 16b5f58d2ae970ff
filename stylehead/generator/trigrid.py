"""Three perpendicular stacks of feature planes, sampled trilinearly at points in space.

Two implementations give the same numbers: ``grid_sample``, and a gather of weighted rows that is faster on a
CPU.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

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
            return cls(planes.contiguous(), None, depth)
        return cls(planes, _Rows.apply(planes, depth), depth)

    def identity(self, index: int) -> "TriGrid":
        """Return the grid of one of the K identities, without a copy."""
        rows = None if self.rows is None else self.rows.unflatten(0, (len(self.planes), -1))[index]
        return TriGrid(self.planes[index : index + 1], rows, self.depth)


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
    sampled = _weighted_rows(grid, _corners(grid, points * (2 / box_warp)), stacks=3)
    return sampled.unflatten(1, points.shape[:2]).transpose(0, 1)


def sample_trigrid_mean(grid: TriGrid, points: Tensor, *, box_warp: float) -> Tensor:
    """Mean of :func:`sample_trigrid` over the three stacks, [K,P,C], without the stacks in between."""
    if grid.rows is None:
        return _grid_sample(grid, points * (2 / box_warp)).mean(dim=1)
    sampled = _weighted_rows(grid, _corners(grid, points * (2 / box_warp)), stacks=1)
    return sampled.unflatten(1, points.shape[:2])[0]


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


class _Corners(NamedTuple):
    """The eight texels around each of P points in each stack; points run fastest, for long rows are quick.

    `rows` [3,8,P] of the table, `weights` [3,8,P] trilinear, `cells` [3,P] numbers of the cells between
    texels. A corner beyond the planes has some row and no weight; cells reach one texel beyond.
    """

    rows: Tensor
    weights: Tensor
    cells: Tensor


def _corners(grid: TriGrid, points: Tensor) -> _Corners:
    """Find the corners around points [K,P,3], in -1..1 over the planes."""
    batch, count = points.shape[:2]
    height, width = grid.planes.shape[-2:]
    w_axes, h_axes, d_axes = (list(axes) for axes in zip(*_PLANE_AXES, strict=True))
    axes = points.reshape(-1, 3).t().contiguous()
    across = _neighbours(axes, width)
    along = across if height == width else _neighbours(axes, height)
    inward = _neighbours(axes, grid.depth)

    texels = height * width * grid.depth
    stack = torch.arange(3, dtype=torch.int32, device=points.device)[:, None] * texels
    identity = torch.arange(batch, dtype=torch.int32, device=points.device).repeat_interleave(count)
    first = stack + identity * (3 * texels)
    rows = along.texels[h_axes] * (width * grid.depth) + first[:, None]
    rows = rows[:, :, None] + (across.texels[w_axes] * grid.depth)[:, None]
    rows = rows[:, :, :, None] + inward.texels[d_axes][:, None, None]
    weights = along.weights[h_axes][:, :, None] * across.weights[w_axes][:, None]
    weights = weights[:, :, :, None] * inward.weights[d_axes][:, None, None]
    cells = (identity * (height + 1) + along.gap[h_axes]) * (width + 1) + across.gap[w_axes]
    cells = cells * (grid.depth + 1) + inward.gap[d_axes]
    return _Corners(rows.flatten(1, 3), weights.flatten(1, 3), cells)


class _Neighbours(NamedTuple):
    """Per axis and point, the two texels around it [3,2,P], their weights, and the gap between them [3,P]."""

    texels: Tensor
    weights: Tensor
    gap: Tensor


def _neighbours(axes: Tensor, size: int) -> _Neighbours:
    """Find the neighbours of coordinates [3,P] in -1..1; weight 0 outside, gap 0 before the first texel."""
    texel = axes * (size / 2) + (size - 1) / 2
    low = texel.detach().floor()
    fraction = texel - low
    corner = torch.stack([low, low + 1], dim=1)
    inside = (corner >= 0) & (corner <= size - 1)
    weight = torch.stack([1 - fraction, fraction], dim=1) * inside
    return _Neighbours(corner.clamp(0, size - 1).int(), weight, low.clamp(-1, size - 1).int() + 1)


def _weighted_rows(grid: TriGrid, corners: _Corners, *, stacks: int) -> Tensor:
    """Sum the rows at the corners of each point: by stack, [3,P,C], or their mean, [1,P,C]."""
    assert grid.rows is not None
    weights = corners.weights * (stacks / 3)
    if not weights.requires_grad:
        table = (len(grid.planes), *grid.planes.shape[-2:], grid.depth)
        return _GatherRows.apply(grid.rows, corners._replace(weights=weights), stacks, table)
    return _sum_rows(grid.rows, corners.rows, weights, stacks)


def _sum_rows(rows: Tensor, indices: Tensor, weights: Tensor, stacks: int) -> Tensor:
    """Weighted sums of rows of a table [R,C]: indices and weights [3,8,P] to [stacks,P,C]."""
    flat_indices, flat_weights = (
        part.reshape(stacks, 24 // stacks, -1).transpose(1, 2).flatten(0, 1) for part in (indices, weights)
    )
    sums = functional.embedding_bag(flat_indices, rows, mode="sum", per_sample_weights=flat_weights)
    return sums.reshape(stacks, indices.shape[2], rows.shape[1])


class _Rows(torch.autograd.Function):
    """Planes [K,3 C D,H,W] as rows [K 3 H W D, C].

    The gradient is laid out once, channels last; a view of it in the order of the rows would be copied by
    every layer that it passes through.
    """

    @staticmethod
    def forward(ctx: Any, planes: Tensor, depth: int) -> Tensor:
        batch, channels, *edges = planes.shape
        ctx.table = (batch, 3, *edges, depth, channels // (3 * depth))
        stacks = planes.permute(0, 2, 3, 1).unflatten(3, (3, -1, depth))  # [K,H,W,3,C,D]
        return stacks.permute(0, 3, 1, 2, 5, 4).reshape(-1, channels // (3 * depth))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        stacks = gradient.view(ctx.table).permute(0, 2, 3, 1, 5, 4)
        return stacks.flatten(3).permute(0, 3, 1, 2), None


class _GatherRows(torch.autograd.Function):
    """:func:`_sum_rows` with a faster backward pass for constant weights.

    The gradient of a row is itself a weighted sum of rows, of the incoming gradient. Points in the same cell
    share their eight texels: with points sorted by cell, one ``embedding_bag`` per corner sums what that
    corner of every cell gets, and the eight sums, each shifted to its texels, add up.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, corners: _Corners, stacks: int, table: tuple[int, ...]) -> Tensor:
        ctx.save_for_backward(corners.weights, corners.cells)
        ctx.table = table
        return _sum_rows(rows, corners.rows, corners.weights, stacks)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None, None, None]:
        if not ctx.needs_input_grad[0]:
            return None, None, None, None
        weights, cells = ctx.saved_tensors
        batch, *sizes = ctx.table
        gaps = [size + 1 for size in sizes]
        every = torch.arange(batch * math.prod(gaps), dtype=cells.dtype, device=cells.device)
        padded = gradient.new_zeros(batch, 3, *(size + 2 for size in sizes), gradient.shape[2])
        for stack in range(3):
            arriving = gradient[stack % len(gradient)].contiguous()
            cell, order = torch.sort(cells[stack], stable=True)
            starts = torch.searchsorted(cell, every)
            for corner, shift in enumerate(itertools.product((0, 1), repeat=3)):
                share = weights[stack, corner].index_select(0, order)
                sums = functional.embedding_bag(order, arriving, starts, mode="sum", per_sample_weights=share)
                height, width, depth = (
                    slice(start, start + gap) for start, gap in zip(shift, gaps, strict=True)
                )
                padded[:, stack, height, width, depth] += sums.view(batch, *gaps, -1)
        return padded[:, :, 1:-1, 1:-1, 1:-1].reshape(-1, gradient.shape[2]), None, None, None
