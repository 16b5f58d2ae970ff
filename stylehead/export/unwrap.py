"""A flat map of a surface: charts of few seams, packed into one square atlas by xatlas."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

_SMOOTHING_ROUNDS = 10
_TRIANGLES_A_PIECE = 2500
_PADDING = 4


class Atlas(NamedTuple):
    """A surface cut open along seams."""

    source: NDArray[np.int64]
    """Which vertex of the closed surface each vertex is [V']; those on seams appear more than once."""
    faces: NDArray[np.int64]
    """[F, 3] indices into `source`; the triangles of the closed surface in another order."""
    uv: FloatArray
    """Place of each vertex in the atlas [V', 2], 0..1, v down as in pictures."""


def unwrap(vertices: FloatArray, faces: NDArray[np.uint32], *, size: int) -> Atlas:
    """Unwrap a surface.

    What is unwrapped is a smoothed copy (the ripples of marching cubes make charts), in pieces (xatlas takes
    more than twice the time for twice the triangles); the map holds for the surface itself.

    Args:
        vertices: [V, 3].
        faces: [F, 3].
        size: Height and width of the texture, for the gaps between charts.
    """
    import xatlas

    smooth = smoothed(vertices, faces)
    atlas, used = xatlas.Atlas(), []
    for piece in _pieces(smooth[faces].mean(axis=1)):
        ids, local = np.unique(faces[piece], return_inverse=True)
        used.append(ids)
        atlas.add_mesh(smooth[ids], local.reshape(-1, 3).astype(np.uint32))
    options = xatlas.PackOptions()
    options.resolution, options.padding, options.bilinear = size, _PADDING, True
    atlas.generate(pack_options=options)
    sources, indices, places, count = [], [], [], 0
    for number, ids in enumerate(used):
        own, triangles, uv = atlas[number]
        sources.append(ids[own])
        indices.append(triangles.astype(np.int64) + count)
        places.append(uv)
        count += len(own)
    return Atlas(
        np.concatenate(sources).astype(np.int64),
        np.concatenate(indices),
        np.concatenate(places).astype(np.float32),
    )


def smoothed(vertices: FloatArray, faces: NDArray[np.uint32], rounds: int = _SMOOTHING_ROUNDS) -> FloatArray:
    """Move every vertex [V, 3] halfway to the mean of its neighbours, several times."""
    edges = np.unique(
        np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1), axis=0
    )
    count = np.bincount(edges.ravel(), minlength=len(vertices))[:, None]
    moved = vertices.astype(np.float64)
    for _ in range(rounds):
        summed = np.zeros_like(moved)
        for one, other in ((0, 1), (1, 0)):
            for axis in range(3):
                summed[:, axis] += np.bincount(
                    edges[:, one], weights=moved[edges[:, other], axis], minlength=len(vertices)
                )
        moved = 0.5 * moved + 0.5 * summed / np.maximum(count, 1)
    return moved.astype(np.float32)


def _pieces(centres: FloatArray) -> list[NDArray[np.int64]]:
    """Triangles in pieces of at most `_TRIANGLES_A_PIECE`, halved along the longest side again and again."""
    parts = [np.arange(len(centres))]
    while len(parts[0]) > _TRIANGLES_A_PIECE:
        halves = []
        for part in parts:
            axis = int(np.ptp(centres[part], axis=0).argmax())
            order = np.argsort(centres[part, axis], kind="stable")
            halves += [part[order[: len(order) // 2]], part[order[len(order) // 2 :]]]
        parts = halves
    return parts
