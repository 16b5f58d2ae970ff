"""The surface of a head's density: where renders see it, closed, simplified to a number of triangles."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stylehead.errors import JobError
from stylehead.export.faint import with_faint_parts
from stylehead.generator import DensityEdits, PanoHead, TriGrid, camera_rays
from stylehead.geometry import camera_from_angles

_SOLID = 0.98
_DEPTH_SAMPLES = 64
_POINTS_AT_ONCE = 200_000
_EMPTY = -1000.0
_ATTEMPTS = 6

FloatArray = NDArray[np.float32]


class ClosedSurface(NamedTuple):
    """A closed surface."""

    vertices: FloatArray
    """[V, 3], world units."""
    faces: NDArray[np.uint32]
    """[F, 3] vertex indices, counter-clockwise seen from outside."""
    normals: FloatArray
    """Unit normals at the vertices [V, 3], outwards."""


def extract_surface(
    generator: PanoHead,
    ws: Tensor,
    *,
    resolution: int,
    level: float | None = None,
    triangles: int | None = None,
) -> ClosedSurface:
    """Find the surface of a head.

    Args:
        generator: In evaluation mode.
        ws: [1, num_ws, w_dim].
        resolution: Grid points along an edge of the box.
        level: Density logit on the surface; higher makes the head thinner. None finds the one at which the
            surface lies where renders see it.
        triangles: Most triangles; None: as many as there are.

    Returns:
        The largest connected piece, with outward normals.

    Raises:
        JobError: The head is not solid anywhere, or its density reaches the level nowhere.
    """
    with torch.no_grad():
        grid = generator.prepare(generator.planes(ws))
        if level is None:
            level = surface_level(generator, grid, ws)
        density = _density_volume(generator, grid, resolution)
    vertices, faces = surface(density, level=level, box=generator.config.rendering.box_warp)
    if triangles is not None and len(faces) > triangles:
        vertices, faces = simplified(vertices, faces, triangles)
    return ClosedSurface(vertices, faces, vertex_normals(vertices, faces))


def simplified(
    vertices: FloatArray, faces: NDArray[np.uint32], triangles: int
) -> tuple[FloatArray, NDArray[np.uint32]]:
    """Merge edges until a surface has at most so many triangles, by quadric error (Garland & Heckbert, 1997).

    Merging can pinch a thin part until four triangles meet in an edge. Then a slightly smaller number is
    tried, so that the surface stays closed; if none helps, it is as it is.
    """
    import fast_simplification

    best = None
    for attempt in range(_ATTEMPTS):
        wanted = max(4, int(triangles * (1 - 0.01 * attempt)))
        points, indices = fast_simplification.simplify(vertices, faces.astype(np.int64), target_count=wanted)
        found = points.astype(np.float32), indices.astype(np.uint32)
        best = best or found
        if is_closed(found[1]):
            return found
    assert best is not None
    return best


def is_closed(faces: NDArray[np.uint32]) -> bool:
    """Whether every edge of triangles [F, 3] belongs to exactly two of them."""
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    _, counts = np.unique(edges, axis=0, return_counts=True)
    return bool((counts == 2).all())


def surface_level(generator: PanoHead, grid: TriGrid, ws: Tensor) -> float:
    """Find the density at which a head's surface lies where renders see it.

    Along a ray, the highest level that is passed before the rendered depth is the largest density up to it.
    The median over the rays that end in the head, from four sides, is passed too early as often as too late.
    Where density jumps to a plateau, half the plateau is taken.

    Args:
        generator: In evaluation mode.
        grid: The head's tri-grid.
        ws: [1, num_ws, w_dim].

    Raises:
        JobError: No ray ends in the head.
    """
    config = generator.config
    labels = camera_from_angles(torch.arange(4) * (torch.pi / 2)).to(ws.device)
    seen = generator.render_raw(grid, ws, labels)
    rays = camera_rays(labels, config.neural_rendering_resolution)
    solid = seen.weight_sum.flatten(1) > _SOLID
    if not solid.any():
        raise JobError("The head is not solid anywhere, so it has no surface.", "give a --mesh-level")
    depth = seen.depth.flatten(1)[solid][:, None]
    half = config.rendering.box_warp / 2
    offsets = torch.linspace(-half, half, _DEPTH_SAMPLES, device=ws.device)
    points = rays.origins[solid][:, None] + rays.directions[solid][:, None] * (depth + offsets)[..., None]
    flat = points.reshape(1, -1, 3)
    density = generator.sample_points(grid, flat).density[..., 0]
    density = DensityEdits().apply(density, flat, config.rendering)
    along = density.reshape(points.shape[:-1])
    passed = along[:, offsets <= 0].amax(dim=1).median()
    return float(torch.minimum(passed, along.amax(dim=1).median() / 2))


def surface(density: FloatArray, *, level: float, box: float) -> tuple[FloatArray, NDArray[np.uint32]]:
    """Turn a density volume into the closed surface of its largest solid piece.

    Args:
        density: [N, N, N] along x, y, z; its outermost layers count as empty.
        level: Density on the surface; what stands off it, is fainter and still seen belongs to it, too.
        box: Edge of the cube that the volume spans, centred on the origin.

    Returns:
        Vertices [V, 3] and faces [F, 3], counter-clockwise seen from outside.

    Raises:
        JobError: The density reaches the level nowhere.
    """
    from skimage.measure import label, marching_cubes

    density = density.copy()
    for axis in range(3):
        np.moveaxis(density, axis, 0)[[0, -1]] = _EMPTY
    density = with_faint_parts(density, level=level, box=box)
    pieces = label(density > level, connectivity=1)
    if pieces.max() == 0:
        raise JobError(
            f"There is no surface at density {level:g}: the densest point has {density.max():.3g}.",
            "use a lower --mesh-level",
        )
    largest = 1 + int(np.bincount(pieces.ravel())[1:].argmax())
    density[(pieces != largest) & (pieces != 0)] = _EMPTY
    # Empty space far below the level would pull the surface onto the grid; a mild floor keeps it smooth.
    density = np.maximum(density, level - 4 * (abs(level) + 1))
    corners, faces, _, _ = marching_cubes(density, level, gradient_direction="ascent", allow_degenerate=False)
    vertices = (corners / (density.shape[0] - 1) - 0.5) * box
    return vertices.astype(np.float32), faces.astype(np.uint32)


def vertex_normals(vertices: FloatArray, faces: NDArray[np.uint32]) -> FloatArray:
    """Average the normals of the faces around each vertex, weighted by area; [V, 3], unit length."""
    corners = vertices[faces].astype(np.float64)
    face_normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    summed = np.zeros(vertices.shape)
    for corner in range(3):
        np.add.at(summed, faces[:, corner], face_normals)
    length = np.linalg.norm(summed, axis=1, keepdims=True)
    return (summed / np.maximum(length, 1e-30)).astype(np.float32)


def _density_volume(generator: PanoHead, grid: TriGrid, resolution: int) -> FloatArray:
    """Density logits [N, N, N] along x, y, z, cropped as the renderer crops them."""
    box = generator.config.rendering.box_warp
    edge = torch.linspace(-box / 2, box / 2, resolution, device=grid.planes.device)
    y, z = torch.meshgrid(edge, edge, indexing="ij")
    edits = DensityEdits()
    slabs = []
    per_slab = max(1, _POINTS_AT_ONCE // resolution**2)
    for x in edge.split(per_slab):
        points = torch.stack(torch.broadcast_tensors(x[:, None, None], y[None], z[None]), dim=-1).reshape(
            1, -1, 3
        )
        density = generator.sample_points(grid, points).density[..., 0]
        slabs.append(
            edits.apply(density, points, generator.config.rendering).reshape(-1, resolution, resolution).cpu()
        )
    return np.asarray(torch.cat(slabs).numpy(), dtype=np.float32)
