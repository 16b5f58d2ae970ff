"""Meshes that keep the style: the surface of a head, with a texture baked from its finished renders.

y is up and the face looks along +z, as GLB wants it. The surface is closed: where the rendered box ends, the
mesh ends with a flat cut.
"""

import importlib.util
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from stylehead.errors import MissingError
from stylehead.export.bake import VIEWS_DEG, Points, bake_texture, paint, paint_views, texture_size
from stylehead.export.surface import ClosedSurface, extract_surface
from stylehead.export.unwrap import Atlas, unwrap
from stylehead.generator import PanoHead
from stylehead.images import Pixels

DEFAULT_RESOLUTION = 192
DEFAULT_TRIANGLES = 40_000
PAINTED_VIEWS = len(VIEWS_DEG)
"""Renders from which a mesh takes its colours."""
TOOLS = {
    "skimage": "scikit-image",
    "fast_simplification": "fast-simplification",
    "xatlas": "xatlas",
    "trimesh": "trimesh",
}
"""Optional packages behind meshes: what is imported, and its name."""


class Mesh(NamedTuple):
    """A coloured surface, closed, and cut open for its texture."""

    surface: ClosedSurface
    """The closed surface."""
    colours: NDArray[np.uint8]
    """Of its vertices, sRGB [V, 3]."""
    atlas: Atlas
    """The same surface, cut open and laid flat."""
    texture: Pixels
    """Its colours, sRGB [S, S, 3]."""


def extract_mesh(
    generator: PanoHead,
    ws: Tensor,
    *,
    resolution: int = DEFAULT_RESOLUTION,
    level: float | None = None,
    triangles: int = DEFAULT_TRIANGLES,
    done: Callable[[int], Any] = lambda _count: None,
) -> Mesh:
    """Make the mesh of a head.

    Args:
        generator: In evaluation mode, with the style applied.
        ws: [1, num_ws, w_dim].
        resolution: Grid points along an edge of the box.
        level: Density logit on the surface; None finds the one at which renders see it.
        triangles: Most triangles of the mesh.
        done: Called with the number of views that are painted, of `PAINTED_VIEWS`, for progress.

    Raises:
        MissingError: A package is not installed.
        JobError: The head is not solid anywhere, or its density reaches the level nowhere.
    """
    require_mesh_tools()
    surface = extract_surface(generator, ws, resolution=resolution, level=level, triangles=triangles)
    size = texture_size(generator.config.img_resolution)
    atlas = unwrap(surface.vertices, surface.faces, size=size)
    views = paint_views(generator, ws, surface.vertices[surface.faces], done=done)
    vertices = Points(surface.vertices, surface.normals)
    texture = bake_texture(vertices, atlas, views, size=size)
    return Mesh(surface, _vertex_colours(vertices, atlas, texture, paint(vertices, views)), atlas, texture)


def require_mesh_tools() -> None:
    """Check for the optional packages before any work is done.

    Raises:
        MissingError: One of them is not installed.
    """
    for module, name in TOOLS.items():
        if importlib.util.find_spec(module) is None:
            raise MissingError(
                f"Meshes need {name}, which is not installed.", 'pip install "stylehead[mesh]"'
            )


def _vertex_colours(
    vertices: Points, atlas: Atlas, texture: Pixels, painted: tuple[NDArray[np.uint8], NDArray[np.bool_]]
) -> NDArray[np.uint8]:
    """What views show of vertices [V, 3]; those that none shows take the texture's bled colour."""
    colours, seen = painted
    size = len(texture)
    places = np.clip((atlas.uv * size).astype(int), 0, size - 1)
    looked_up = np.zeros_like(colours)
    looked_up[atlas.source] = texture[places[:, 1], places[:, 0]]
    return np.where(seen[:, None], colours, looked_up)
