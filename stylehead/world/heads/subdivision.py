"""Catmull-Clark subdivision, as one sparse matrix from coarse to fine vertices."""

import numpy as np
from scipy import sparse


def catmull_clark(quads: np.ndarray, vertex_count: int) -> tuple[np.ndarray, sparse.csr_matrix]:
    """Subdivide a mesh of quads once.

    The fine vertices are, in this order: one for each coarse vertex that a quad uses, one for each edge, one
    for each quad. Edges with a single quad are borders: they stay on a curve of their own.

    Args:
        quads: Vertex indices [F, 4].
        vertex_count: Number of coarse vertices V.

    Returns:
        Fine quads [4F, 4], and the matrix [N, V] that makes N fine vertices of the coarse ones.
    """
    quad_count = len(quads)
    used = np.unique(quads)
    compact = np.full(vertex_count, -1)
    compact[used] = np.arange(len(used))
    ends, edge_of_side, quads_of_edge = _edges(quads)

    quad_points = _averages(quads, vertex_count)
    edge_middles = _averages(ends, vertex_count)
    border = quads_of_edge == 1
    edge_points = _edge_points(quad_points, edge_middles, edge_of_side, border)
    vertex_points = _vertex_points(compact[quads], compact[ends], quad_points, edge_middles, used, border)
    matrix = sparse.vstack([vertex_points, edge_points, quad_points]).tocsr()

    edge = len(used) + edge_of_side.reshape(4, quad_count).T
    centre = len(used) + len(ends) + np.arange(quad_count)
    fine = [
        np.stack([compact[quads[:, i]], edge[:, i], centre, edge[:, (i + 3) % 4]], axis=1) for i in range(4)
    ]
    return np.concatenate(fine), matrix


def _edges(quads: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unique edges [E, 2]; the edge of each side [4F], side by side; how many quads meet at an edge [E]."""
    sides = np.concatenate([quads[:, [i, (i + 1) % 4]] for i in range(4)])
    ends, edge_of_side, count = np.unique(
        np.sort(sides, axis=1), axis=0, return_inverse=True, return_counts=True
    )
    return ends, edge_of_side.reshape(-1), count


def _averages(groups: np.ndarray, vertex_count: int) -> sparse.csr_matrix:
    """The matrix [G, V] that averages the vertices of each group [G, k]."""
    count, size = groups.shape
    rows = np.repeat(np.arange(count), size)
    weights = np.full(groups.size, 1 / size)
    return sparse.csr_matrix((weights, (rows, groups.reshape(-1))), shape=(count, vertex_count))


def _edge_points(
    quad_points: sparse.csr_matrix, middles: sparse.csr_matrix, edge_of_side: np.ndarray, border: np.ndarray
) -> sparse.csr_matrix:
    """Mean of an edge's middle and of the points of its quads; the middle alone on the border."""
    quad_of_side = np.tile(np.arange(quad_points.shape[0]), 4)
    shape = (len(border), quad_points.shape[0])
    quads_of_edge = sparse.csr_matrix((np.ones(len(edge_of_side)), (edge_of_side, quad_of_side)), shape=shape)
    around = _scaled_rows(quads_of_edge, 1 / _row_sums(quads_of_edge)) @ quad_points
    return _scaled_rows(middles, np.where(border, 1.0, 0.5)) + _scaled_rows(
        around, np.where(border, 0.0, 0.5)
    )


def _vertex_points(
    quads: np.ndarray,
    ends: np.ndarray,
    quad_points: sparse.csr_matrix,
    middles: sparse.csr_matrix,
    used: np.ndarray,
    border: np.ndarray,
) -> sparse.csr_matrix:
    """Inside (Q + 2 R + (n - 3) P) / n of quads' points Q and edges' middles R; or half way to the border."""
    count = len(used)
    quads_of_vertex = _incidence(quads, count)
    edges_of_vertex = _incidence(ends, count)
    shape = (count, middles.shape[1])
    itself = sparse.csr_matrix((np.ones(count), (np.arange(count), used)), shape=shape)

    valence = _row_sums(edges_of_vertex)
    quad_mean = _scaled_rows(quads_of_vertex, 1 / _row_sums(quads_of_vertex)) @ quad_points
    edge_mean = _scaled_rows(edges_of_vertex, 1 / valence) @ middles
    inner = (
        _scaled_rows(quad_mean, 1 / valence)
        + _scaled_rows(edge_mean, 2 / valence)
        + _scaled_rows(itself, (valence - 3) / valence)
    )

    border_edges = edges_of_vertex @ sparse.diags(border.astype(float))
    border_mean = _scaled_rows(border_edges, 1 / np.maximum(_row_sums(border_edges), 1)) @ middles
    outer = 0.5 * itself + 0.5 * border_mean

    on_border = np.zeros(count)
    on_border[np.unique(ends[border])] = 1
    return _scaled_rows(inner, 1 - on_border) + _scaled_rows(outer, on_border)


def _incidence(groups: np.ndarray, vertex_count: int) -> sparse.csr_matrix:
    """Ones [V, G] where a group [G, k] uses a vertex."""
    owners = np.repeat(np.arange(len(groups)), groups.shape[1])
    ones = np.ones(groups.size)
    return sparse.csr_matrix((ones, (groups.reshape(-1), owners)), shape=(vertex_count, len(groups)))


def _row_sums(matrix: sparse.csr_matrix) -> np.ndarray:
    return np.asarray(matrix.sum(axis=1)).ravel()


def _scaled_rows(matrix: sparse.csr_matrix, factors: np.ndarray) -> sparse.csr_matrix:
    return sparse.diags(factors) @ matrix
