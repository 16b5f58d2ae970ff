"""Meshes: the surface of a head's density, coloured at its vertices.

y is up and the face looks along +z, as GLB wants it. The surface is closed: where the rendered box ends, the
mesh ends with a flat cut.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stylehead.errors import JobError, MissingError
from stylehead.generator import DensityEdits, PanoHead, TriGrid, camera_rays
from stylehead.geometry import camera_from_angles

DEFAULT_RESOLUTION = 192
_SOLID = 0.98
_DEPTH_SAMPLES = 64
_POINTS_AT_ONCE = 200_000
_EMPTY = -1000.0

FloatArray = NDArray[np.float32]


class Mesh(NamedTuple):
    """A closed surface.

    Attributes:
        vertices: [V,3] world units, float32.
        faces: [F,3] vertex indices, uint32, counter-clockwise seen from outside.
        normals: [V,3] unit length, pointing outwards.
        colours: [V,3] sRGB, 0..255.
    """

    vertices: FloatArray
    faces: NDArray[np.uint32]
    normals: FloatArray
    colours: NDArray[np.uint8]


def extract_mesh(
    generator: PanoHead,
    ws: Tensor,
    *,
    resolution: int = DEFAULT_RESOLUTION,
    level: float | None = None,
) -> Mesh:
    """Find the surface of a head.

    Args:
        generator: In evaluation mode.
        ws: [1,num_ws,w_dim].
        resolution: Grid points along an edge of the box.
        level: Density logit on the surface; higher makes the head thinner. None finds the one at which the
            surface lies where renders see it.

    Returns:
        The largest connected piece, with outward normals.

    Raises:
        MissingError: scikit-image is not installed.
        JobError: The head is not solid anywhere, or its density reaches the level nowhere.
    """
    require_mesh_tools()
    with torch.no_grad():
        grid = generator.prepare(generator.planes(ws))
        if level is None:
            level = surface_level(generator, grid, ws)
        density = _density_volume(generator, grid, resolution)
        vertices, faces = surface(density, level=level, box=generator.config.rendering.box_warp)
        colours = _vertex_colours(generator, grid, ws, vertices)
    return Mesh(vertices, faces, vertex_normals(vertices, faces), colours)


def require_mesh_tools() -> None:
    """Check for the optional package before any work is done.

    Raises:
        MissingError: scikit-image is not installed.
    """
    try:
        import skimage.measure  # noqa: F401
    except ImportError:
        raise MissingError(
            "Meshes need scikit-image, which is not installed.", 'pip install "stylehead[mesh]"'
        ) from None


def surface_level(generator: PanoHead, grid: TriGrid, ws: Tensor) -> float:
    """Find the density at which a head's surface lies where renders see it.

    Along a ray, the highest level that is passed before the rendered depth is the largest density up to it.
    The median over the rays that end in the head, from four sides, is passed too early as often as too late.
    Where density jumps to a plateau, half the plateau is taken.

    Args:
        generator: In evaluation mode.
        grid: The head's tri-grid.
        ws: [1,num_ws,w_dim].

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
        density: [N,N,N] along x, y, z; its outermost layers count as empty.
        level: Density on the surface.
        box: Edge of the cube that the volume spans, centred on the origin.

    Returns:
        Vertices [V,3] and faces [F,3], counter-clockwise seen from outside.

    Raises:
        JobError: The density reaches the level nowhere.
    """
    from skimage.measure import label, marching_cubes

    density = density.copy()
    for axis in range(3):
        np.moveaxis(density, axis, 0)[[0, -1]] = _EMPTY
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
    """Average the normals of the faces around each vertex, weighted by area; [V,3], unit length."""
    corners = vertices[faces].astype(np.float64)
    face_normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    summed = np.zeros(vertices.shape)
    for corner in range(3):
        np.add.at(summed, faces[:, corner], face_normals)
    length = np.linalg.norm(summed, axis=1, keepdims=True)
    return (summed / np.maximum(length, 1e-30)).astype(np.float32)


def _density_volume(generator: PanoHead, grid: TriGrid, resolution: int) -> FloatArray:
    """Density logits [N,N,N] along x, y, z, cropped as the renderer crops them."""
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


def _vertex_colours(
    generator: PanoHead, grid: TriGrid, ws: Tensor, vertices: FloatArray
) -> NDArray[np.uint8]:
    """The raw colour that the renderer would give to each vertex, [V,3]."""
    points = torch.from_numpy(vertices).to(ws.device)
    colours = []
    for chunk in points.split(_POINTS_AT_ONCE):
        features = generator.sample_points(grid, chunk[None]).features
        picture = features.transpose(1, 2)[..., None]  # [1,32,P,1]: one column of pixels
        if generator.config.rendering.decoder_activation == "sigmoid":
            picture = picture * 2 - 1
        if generator.config.rendering.use_torgb_raw:
            picture = generator.torgb(picture, ws[:, -1])
        colours.append(picture[0, :3, :, 0].T)
    bytes_01 = (torch.cat(colours).clamp(-1, 1) + 1) / 2 * 255
    return np.asarray(bytes_01.round().to(torch.uint8).cpu().numpy())
