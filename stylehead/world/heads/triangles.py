"""Triangle meshes: normals, regular grids, tubes, and the parts that are handed to the graphics card."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

VERTEX_FLOATS = 17


@dataclass(frozen=True, eq=False)
class MeshPart:
    """A piece of a head that is drawn with one material.

    Attributes:
        material: Name of a file in `shaders/materials/`.
        vertices: float32 [N, 17]: position 3, normal 3, canonical position 3, detail_a 4, detail_b 4. The
            material's file says what the two details mean.
        triangles: int32 [T, 3].
    """

    material: str
    vertices: np.ndarray
    triangles: np.ndarray


def make_part(
    material: str,
    surface: "Surface",
    *,
    canonical: np.ndarray | None = None,
    detail_a: np.ndarray | None = None,
    detail_b: np.ndarray | None = None,
) -> MeshPart:
    """Pack a surface for the graphics card.

    Args:
        material: Name of the material.
        surface: Positions, normals and triangles.
        canonical: Where each vertex [N, 3] is on the average head: patterns are drawn there, so that they
            stick to the skin. The positions themselves when None.
        detail_a: [N, up to 4] or [4] values for the material; zeros when None.
        detail_b: The same.
    """
    vertices = np.zeros((len(surface.positions), VERTEX_FLOATS), np.float32)
    vertices[:, 0:3] = surface.positions
    vertices[:, 3:6] = surface.normals
    vertices[:, 6:9] = surface.positions if canonical is None else canonical
    for column, detail in ((9, detail_a), (13, detail_b)):
        if detail is not None:
            vertices[:, column : column + detail.shape[-1]] = detail
    return MeshPart(material, vertices, np.ascontiguousarray(surface.triangles, np.int32))


@dataclass(frozen=True, eq=False)
class Surface:
    """A triangle mesh with normals: positions [N, 3] in metres, normals [N, 3], triangles [T, 3]."""

    positions: np.ndarray
    normals: np.ndarray
    triangles: np.ndarray


class Topology:
    """Triangles of a mesh whose vertices move; makes normals fast.

    Args:
        triangles: Vertex indices [T, 3].
        vertex_count: Of the mesh.
    """

    def __init__(self, triangles: np.ndarray, vertex_count: int) -> None:
        self.triangles = np.ascontiguousarray(triangles, np.int32)
        owners = np.tile(np.arange(len(triangles)), 3)
        corners = self.triangles.T.reshape(-1)
        shape = (vertex_count, len(triangles))
        self._triangles_of_vertex = sparse.csr_matrix(
            (np.ones(triangles.size, np.float32), (corners, owners)), shape=shape
        )

    def normals(self, positions: np.ndarray) -> np.ndarray:
        """Unit normals [N, 3]: means over the triangles around a vertex by area; zero where there is none."""
        first, second, third = (positions[self.triangles[:, corner]] for corner in range(3))
        return unit(self._triangles_of_vertex @ cross(second - first, third - first))

    def surface(self, positions: np.ndarray) -> Surface:
        """The mesh with its vertices at the given positions [N, 3]."""
        return Surface(positions, self.normals(positions), self.triangles)


class Region:
    """Some triangles of a bigger mesh, with only the vertices that they use.

    Attributes:
        vertices: Indices [N] into the bigger mesh.
        topology: The triangles, over those N vertices.
    """

    def __init__(self, triangles: np.ndarray) -> None:
        self.vertices, local = np.unique(triangles, return_inverse=True)
        self.topology = Topology(local.reshape(-1, 3), len(self.vertices))


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors [..., 3] scaled to length 1; zero vectors stay zero."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cross products of vectors [N, 3]; a few times as fast as `numpy.cross`."""
    ax, ay, az = a.T
    bx, by, bz = b.T
    return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)


def split_quads(quads: np.ndarray) -> np.ndarray:
    """Two triangles [2F, 3] for each quad [F, 4]."""
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def grid_triangles(rows: int, columns: int, *, closed_rows: bool = False) -> np.ndarray:
    """Triangles over rows x columns vertices, row by row, the last column joined to the first.

    Args:
        rows: Vertices along the grid.
        columns: Vertices around it.
        closed_rows: Join the last row to the first too, as in a ring.
    """
    row, column = np.meshgrid(np.arange(rows if closed_rows else rows - 1), np.arange(columns), indexing="ij")
    here, right = row * columns + column, row * columns + (column + 1) % columns
    below = (row + 1) % rows * columns + column
    below_right = (row + 1) % rows * columns + (column + 1) % columns
    return np.concatenate(
        [
            np.stack([here, below, right], axis=-1).reshape(-1, 3),
            np.stack([right, below, below_right], axis=-1).reshape(-1, 3),
        ]
    )


def tube(path: np.ndarray, radius: float, *, sides: int = 8, closed: bool = False) -> Surface:
    """A round wire along a path [N, 3]; closed paths lie roughly in a vertical plane facing forward."""
    around = np.roll(path, -1, axis=0) - np.roll(path, 1, axis=0)
    tangents = unit(around if closed else np.gradient(path, axis=0))
    side = unit(np.cross(tangents, [0.0, 0, 1] if closed else [0.0, 1, 0]))
    other = np.cross(tangents, side)
    angle = np.arange(sides) / sides * 2 * np.pi
    normals = np.cos(angle)[:, None] * side[:, None] + np.sin(angle)[:, None] * other[:, None]
    positions = path[:, None] + radius * normals
    triangles = grid_triangles(len(path), sides, closed_rows=closed)
    return Surface(positions.reshape(-1, 3), normals.reshape(-1, 3), triangles)


def join(surfaces: list[Surface]) -> Surface:
    """Several surfaces as one mesh."""
    offsets = np.cumsum([0] + [len(surface.positions) for surface in surfaces[:-1]])
    return Surface(
        np.concatenate([surface.positions for surface in surfaces]),
        np.concatenate([surface.normals for surface in surfaces]),
        np.concatenate([s.triangles + offset for s, offset in zip(surfaces, offsets, strict=True)]),
    )
