"""Which pixels triangles cover, all at once: for texture atlases and for what hides what."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_PIXELS_AT_ONCE = 4_000_000


class Fragments(NamedTuple):
    """Pixels that triangles cover; one covered by several triangles appears several times."""

    pixels: NDArray[np.int64]
    """Flat indices [P], row by row."""
    triangles: NDArray[np.int64]
    """Index of the triangle [P]."""
    weights: NDArray[np.float64]
    """Barycentric coordinates of the pixel's centre [P, 3], in the order of the corners."""


def rasterise(corners: NDArray[np.float64], size: int) -> Iterator[Fragments]:
    """Find the pixels whose centres lie in triangles.

    Args:
        corners: Of F triangles [F, 3, 2] in pixels, x to the right and y down; the centre of the first pixel
            is (0.5, 0.5). What lies outside is cut off; triangles of no area cover nothing.
        size: Height and width.

    Yields:
        Fragments of a part of the triangles at a time, so that memory stays bounded.
    """
    low = np.clip(np.ceil(corners.min(axis=1) - 0.5), 0, size).astype(np.int64)
    high = np.clip(np.floor(corners.max(axis=1) - 0.5) + 1, 0, size).astype(np.int64)
    boxes = np.maximum(high - low, 0)
    areas = boxes[:, 0] * boxes[:, 1]
    start = 0
    totals = np.cumsum(areas)
    while start < len(corners):
        before = totals[start - 1] if start else 0
        end = max(start + 1, int(np.searchsorted(totals, before + _PIXELS_AT_ONCE, side="right")))
        yield _fragments(corners[start:end], low[start:end], boxes[start:end], size, offset=start)
        start = end


def _fragments(
    corners: NDArray[np.float64],
    low: NDArray[np.int64],
    boxes: NDArray[np.int64],
    size: int,
    *,
    offset: int,
) -> Fragments:
    counts = boxes[:, 0] * boxes[:, 1]
    owner = np.repeat(np.arange(len(corners)), counts)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    width = boxes[owner, 0]
    x, y = low[owner, 0] + within % np.maximum(width, 1), low[owner, 1] + within // np.maximum(width, 1)
    weights = _barycentric(corners[owner], x + 0.5, y + 0.5)
    inside = (weights >= -1e-9).all(axis=1)
    return Fragments((y * size + x)[inside], owner[inside] + offset, weights[inside])


def _barycentric(
    corners: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Barycentric coordinates [P, 3] of points in their triangles [P, 3, 2]; -1 in those of no area."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (c[:, 0] - a[:, 0]) * (b[:, 1] - a[:, 1])
    flat = np.abs(area) < 1e-12
    scale = 1 / np.where(flat, 1.0, area)
    second = ((x - a[:, 0]) * (c[:, 1] - a[:, 1]) - (c[:, 0] - a[:, 0]) * (y - a[:, 1])) * scale
    third = ((b[:, 0] - a[:, 0]) * (y - a[:, 1]) - (x - a[:, 0]) * (b[:, 1] - a[:, 1])) * scale
    weights = np.stack([1 - second - third, second, third], axis=1)
    weights[flat] = -1
    return weights


def nearest_depth(
    corners: NDArray[np.float64], depths: NDArray[np.float64], size: int
) -> NDArray[np.float64]:
    """Depth [size, size] of the nearest triangle in every pixel; infinite where there is none.

    Args:
        corners: Triangles in pixels [F, 3, 2].
        depths: Of their corners [F, 3].
        size: Height and width.
    """
    nearest = np.full(size * size, np.inf)
    for part in rasterise(corners, size):
        depth = (depths[part.triangles] * part.weights).sum(axis=1)
        np.minimum.at(nearest, part.pixels, depth)
    return nearest.reshape(size, size)
