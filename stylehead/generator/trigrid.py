"""Three perpendicular stacks of feature planes, sampled trilinearly at points in space.

Two implementations give the same numbers: `grid_sample`, and a gather of weighted rows that is faster on a
CPU.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from stylehead.precision import like

SampleMethod = Literal["auto", "grid_sample", "gather"]

# World axes (x, y, z = 0, 1, 2) along width, height and depth of each stack.
_PLANE_AXES = ((0, 1, 2), (0, 2, 1), (1, 2, 0))


@dataclass(frozen=True, eq=False)
class TriGrid:
    """Planes of K identities, with the rows that the gather reads prepared once.

    Attributes:
        planes: [K, 3 C D, H, W]; channel = stack (C D) + feature D + slice.
        rows: [K 3 H W D, C], or None for the `grid_sample` implementation.
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
            method: "auto" gathers on a CPU and uses `grid_sample` elsewhere.
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
        planes: [K, 3 C D, H, W], or those prepared (then `depth` and `method` are taken from there).
        points: World coordinates [K, P, 3]; the cube of edge `box_warp` around the origin covers the planes.
        depth: D, slices of each stack.
        box_warp: Edge of the cube in world units.
        method: Implementation; both give equal values and gradients.

    Returns:
        Features [K, 3, P, C].
    """
    grid = planes if isinstance(planes, TriGrid) else TriGrid.prepare(planes, depth=depth, method=method)
    points = points * (2 / box_warp)
    if grid.rows is None:
        return _grid_sample(grid, points)
    batch, count = points.shape[:2]
    owners = torch.arange(batch, device=points.device).repeat_interleave(count)
    sampled = _weighted_rows(grid, points.flatten(0, 1), owners, stacks=3)
    return sampled.unflatten(0, (batch, count)).transpose(1, 2)


def sample_trigrid_mean(grid: TriGrid, points: Tensor, owners: Tensor, *, box_warp: float) -> Tensor:
    """Mean of `sample_trigrid` over the three stacks, without the stacks in between.

    Args:
        grid: Prepared planes of K identities.
        points: World coordinates [N, 3] of any number of points of each identity.
        owners: Whose they are, [N] in 0..K-1, ascending.
        box_warp: Edge of the cube in world units.

    Returns:
        Features [N, C].
    """
    points = points * (2 / box_warp)
    if grid.rows is not None:
        return _weighted_rows(grid, points, owners, stacks=1)[:, 0]
    if len(grid.planes) == 1:
        return _grid_sample(grid, points[None])[0].mean(dim=0)
    if points.device.type == "cpu":
        parts = points.split(torch.bincount(owners, minlength=len(grid.planes)).tolist())
    else:  # there all points are sampled, see `HeadField`: their numbers need not be asked for
        parts = points.tensor_split(len(grid.planes))
    sampled = [_grid_sample(grid.identity(k), part[None])[0].mean(dim=0) for k, part in enumerate(parts)]
    return torch.cat(sampled)


def _grid_sample(grid: TriGrid, points: Tensor) -> Tensor:
    batch, channels, height, width = grid.planes.shape
    count = points.shape[1]
    volume = grid.planes.reshape(batch * 3, channels // (3 * grid.depth), grid.depth, height, width)
    along = points.unbind(dim=-1)
    where = torch.stack([torch.stack([along[a] for a in axes], dim=-1) for axes in _PLANE_AXES], dim=1)
    sampled = functional.grid_sample(
        volume,
        where.reshape(batch * 3, 1, 1, count, 3),
        mode="bilinear",
        padding_mode="zeros",
        align_corners=False,
    )
    return sampled.reshape(batch, 3, -1, count).transpose(2, 3)


class _Corners(NamedTuple):
    """The eight texels around N points in each stack, stack by stack: rows of the table and weights, [N, 24].

    A corner beyond the planes has some row and no weight.
    """

    rows: Tensor
    weights: Tensor


def _corners(grid: TriGrid, points: Tensor, owners: Tensor) -> _Corners:
    """Find the corners around points [N, 3], in -1..1 over the planes, of identities [N].

    The number of a row is linear in the texels along the three axes, and a weight is a product of three: both
    are written by matrix products, point by point, in the order in which rows are gathered. Texels and
    strides are whole numbers of few bits, so the products are exact.
    """
    height, width = grid.planes.shape[-2:]
    axes = points.t().contiguous()
    across = _neighbours(axes, width)
    along = across if height == width else _neighbours(axes, height)
    inward = _neighbours(axes, grid.depth)
    texels, weights = (torch.cat(part).t() for part in zip(across, along, inward, strict=True))
    picks = _CORNER_PICKS.to(points)
    strides = like((grid.depth, width * grid.depth, 1), points)
    stack = height * width * grid.depth
    first = torch.arange(3, dtype=points.dtype, device=points.device).repeat_interleave(8) * stack
    with torch.autocast("cpu" if points.is_meta else points.device.type, enabled=False):
        rows = torch.addmm(first, texels, (picks * strides[:, None, None]).sum(dim=0)).int()
        share_across, share_along, share_inward = (weights @ pick for pick in picks)
    if len(grid.planes) > 1:
        rows += (owners * (3 * stack)).int()[:, None]
    return _Corners(rows, share_across * share_along * share_inward)


def _corner_picks() -> Tensor:
    """Which of the 18 neighbours a corner takes [3, 18, 24]: one across, one along and one inward.

    Neighbours are those across the three axes, two each, then those along and inward; corners are ordered by
    stack, then along, across and inward.
    """
    picks = torch.zeros(3, 3, 3, 2, 24)  # direction, block, axis, neighbour, corner
    for corner, (stack, along, across, inward) in enumerate(
        itertools.product(range(3), (0, 1), (0, 1), (0, 1))
    ):
        for direction, (axis, neighbour) in enumerate(
            zip(_PLANE_AXES[stack], (across, along, inward), strict=True)
        ):
            picks[direction, direction, axis, neighbour, corner] = 1
    return picks.reshape(3, 18, 24)


_CORNER_PICKS = _corner_picks()


def _neighbours(axes: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Find the two texels around coordinates [3, N] in -1..1 on each axis, and their weights, both [6, N]."""
    texel = axes * (size / 2) + (size - 1) / 2
    low = texel.detach().floor()
    fraction = texel - low
    corner = torch.stack([low, low + 1], dim=1)
    inside = (corner >= 0) & (corner <= size - 1)
    weight = torch.stack([1 - fraction, fraction], dim=1) * inside
    return corner.clamp(0, size - 1).flatten(0, 1), weight.flatten(0, 1)


def _cells(grid: TriGrid, points: Tensor, owners: Tensor) -> Tensor:
    """Number the cells between texels that points lie in, [3, N]; cells reach one texel beyond the planes."""
    height, width = grid.planes.shape[-2:]
    axes = points.t().contiguous()

    def gaps(size: int) -> Tensor:
        return (axes * (size / 2) + (size - 1) / 2).floor().clamp(-1, size - 1).int() + 1

    across, along, inward = gaps(width), gaps(height), gaps(grid.depth)
    w_axes, h_axes, d_axes = (list(axes) for axes in zip(*_PLANE_AXES, strict=True))
    cells = (owners.int() * (height + 1) + along[h_axes]) * (width + 1) + across[w_axes]
    return cells * (grid.depth + 1) + inward[d_axes]


def _weighted_rows(grid: TriGrid, points: Tensor, owners: Tensor, *, stacks: int) -> Tensor:
    """Sum the rows at the corners of points [N, 3]: by stack, [N, 3, C], or their mean, [N, 1, C]."""
    assert grid.rows is not None
    rows, weights = _corners(grid, points, owners)
    weights = weights * (stacks / 3)
    if weights.requires_grad:
        return _sum_rows(grid.rows, rows, weights, stacks)
    return _GatherRows.apply(grid, grid.rows, _Corners(rows, weights), points, owners, stacks)


def _sum_rows(table: Tensor, rows: Tensor, weights: Tensor, stacks: int) -> Tensor:
    """Weighted sums of rows of a table [R, C]: rows and weights [N, 24] to [N, stacks, C]."""
    shape = (len(rows) * stacks, 24 // stacks)
    sums = functional.embedding_bag(
        rows.view(shape), table, mode="sum", per_sample_weights=weights.view(shape)
    )
    return sums.view(len(rows), stacks, table.shape[1])


class _Rows(torch.autograd.Function):
    """Planes [K, 3 C D, H, W] as rows [K 3 H W D, C].

    The gradient is laid out once, channels last; a view of it in the order of the rows would be copied by
    every layer that it passes through.
    """

    @staticmethod
    def forward(ctx: Any, planes: Tensor, depth: int) -> Tensor:
        batch, channels, *edges = planes.shape
        ctx.table = (batch, 3, *edges, depth, channels // (3 * depth))
        stacks = planes.permute(0, 2, 3, 1).unflatten(3, (3, -1, depth))  # [K, H, W, 3, C, D]
        return stacks.permute(0, 3, 1, 2, 5, 4).reshape(-1, channels // (3 * depth))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        stacks = gradient.view(ctx.table).permute(0, 2, 3, 1, 5, 4)
        return stacks.flatten(3).permute(0, 3, 1, 2), None


class _GatherRows(torch.autograd.Function):
    """`_sum_rows` with a faster backward pass for constant weights.

    The gradient of a row is itself a weighted sum of rows, of the incoming gradient. Points in the same cell
    share their eight texels: with points sorted by cell, one `embedding_bag` sums what the corners of every
    cell in which there are points get, and a second one sums the eight cells around every texel.
    """

    @staticmethod
    def forward(
        ctx: Any,
        grid: TriGrid,
        table: Tensor,
        corners: _Corners,
        points: Tensor,
        owners: Tensor,
        stacks: int,
    ) -> Tensor:
        ctx.save_for_backward(corners.weights, points, owners)
        ctx.grid = TriGrid(grid.planes.detach(), None, grid.depth)
        return _sum_rows(table, corners.rows, corners.weights, stacks)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        if not ctx.needs_input_grad[1]:
            return (None,) * 6
        weights, points, owners = ctx.saved_tensors
        batch, sizes = len(ctx.grid.planes), (*ctx.grid.planes.shape[-2:], ctx.grid.depth)
        shape = (batch, *(size + 1 for size in sizes))
        by_stack = weights.view(-1, 3, 8).transpose(0, 1).contiguous()
        cells, table = _cells(ctx.grid, points, owners), []
        for stack in range(3):
            arriving = gradient[:, stack % gradient.shape[1]]
            found, sums = _cell_sums(cells[stack], arriving, by_stack[stack], math.prod(shape))
            rows = _rows_around_texels(found, shape)
            sums = functional.embedding_bag(rows, sums, mode="sum")
            table.append(sums.view(batch, -1, gradient.shape[2]))
        return None, torch.stack(table, dim=1).flatten(0, 2), None, None, None, None


def _cell_sums(cells: Tensor, arriving: Tensor, weights: Tensor, limit: int) -> tuple[Tensor, Tensor]:
    """Sum what the eight corners of every cell get from the points in it.

    Args:
        cells: Number of the cell of each point, int32 [N].
        arriving: What the points give, [N, C].
        weights: How much of it to each corner, [N, 8].
        limit: How many cells there are.

    Returns:
        The numbers of the U cells with points, ascending; and the sums [8 (U + 1), C], corner by corner: of
        these cells in order, then a row of zeros for all other cells.
    """
    cells, order = torch.sort(cells, stable=True)
    if cells.is_meta:  # how many cells have points is not known there: as many as there can be
        found = counts = cells[:limit]
    else:
        found, counts = torch.unique_consecutive(cells, return_counts=True)
    starts = functional.pad(counts.cumsum(dim=0), (1, 0))
    corners = torch.arange(8, device=cells.device)[:, None]
    # Sorted first, and not gathered eight times in this order: what is read in a row is in the cache.
    sums = functional.embedding_bag(
        torch.arange(len(cells), dtype=torch.int32, device=cells.device).repeat(8),
        arriving.index_select(0, order),
        (starts + len(cells) * corners).flatten().int(),
        mode="sum",
        per_sample_weights=weights.index_select(0, order).t().flatten(),
    )
    return found, sums


def _rows_around_texels(found: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Where the eight cells around every texel stand among the sums of `_cell_sums`.

    Args:
        found: Cells with points.
        shape: Of all cells, [K, H+1, W+1, D+1].

    Returns:
        int32 [K H W D, 8], in the order of the corners.
    """
    ranks = found.new_full((math.prod(shape),), len(found))
    ranks[found] = torch.arange(len(found), dtype=found.dtype, device=found.device)
    corners = torch.arange(8, dtype=found.dtype, device=found.device) * (len(found) + 1)
    return ranks.index_select(0, _cells_around_texels(shape, found.device)).view(-1, 8) + corners


def _cells_around_texels(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Number the cells [K, H+1, W+1, D+1] of which a texel is the first, second, ... corner, [K H W D 8]."""
    cells = torch.arange(math.prod(shape), dtype=torch.int32, device=device).view(shape)
    strides = torch.tensor(cells.stride()[1:], dtype=torch.int32, device=device)
    corners = torch.tensor(list(itertools.product((0, 1), repeat=3)), dtype=torch.int32, device=device)
    return (cells[:, 1:, 1:, 1:, None] - (corners * strides).sum(dim=1, dtype=torch.int32)).flatten()
