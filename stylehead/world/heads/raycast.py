"""Rays against a triangle mesh: how hidden each vertex is, and where rays from inside the head leave it.

Runs once, while the source is cut; uses `warp`, which comes with anny. Its kernels are compiled from their
source: the types in them are those of warp, not of Python.
"""

# mypy: disable-error-code="attr-defined,arg-type,valid-type"

from typing import Any

import numpy as np
import warp as wp

_LIFT = 0.0006  # metres that rays start above the surface, so that they do not hit it at once

wp.set_module_options({"enable_backward": False})
if hasattr(wp.config, "log_level"):
    wp.config.log_level = wp.LOG_WARNING
else:
    wp.config.quiet = True


@wp.kernel
def _openness_kernel(
    mesh: wp.uint64,
    positions: wp.array(dtype=wp.vec3),
    normals: wp.array(dtype=wp.vec3),
    rays: int,
    reach: float,
    openness: wp.array(dtype=float),
) -> None:
    i = wp.tid()
    state = wp.rand_init(42, i)
    total = float(0.0)  # noqa: UP018 - a variable to warp, where 0.0 would be a constant
    normal = normals[i]
    for _ in range(rays):
        # A unit vector plus the normal is distributed by the cosine.
        direction = wp.normalize(normal * 1.001 + wp.sample_unit_sphere_surface(state))
        hit = wp.mesh_query_ray(mesh, positions[i] + normal * _LIFT, direction, reach)
        if hit.result:
            total += wp.min(hit.t / reach, 1.0)
        else:
            total += 1.0
    openness[i] = total / float(rays)


@wp.kernel
def _first_hit_kernel(
    mesh: wp.uint64,
    origins: wp.array(dtype=wp.vec3),
    directions: wp.array(dtype=wp.vec3),
    reach: float,
    faces: wp.array(dtype=int),
    weights: wp.array(dtype=wp.vec3),
) -> None:
    i = wp.tid()
    hit = wp.mesh_query_ray(mesh, origins[i], directions[i], reach)
    if hit.result:
        faces[i] = hit.face
        weights[i] = wp.vec3(hit.u, hit.v, 1.0 - hit.u - hit.v)
    else:
        faces[i] = -1


def openness(
    vertices: np.ndarray, triangles: np.ndarray, points: np.ndarray, normals: np.ndarray
) -> np.ndarray:
    """Tell how much of the world each point sees: 1 in the open, towards 0 in folds.

    Args:
        vertices: Of everything that hides [V, 3], metres.
        triangles: [T, 3].
        points: Points [N, 3] on the surface.
        normals: Unit normals there [N, 3].

    Returns:
        [N], mean of 160 rays that see 10 cm far; the same at every call.
    """
    mesh = _mesh(vertices, triangles)
    result = wp.zeros(len(points), dtype=float, device="cpu")
    inputs = [mesh.id, _vec3(points), _vec3(normals), 160, 0.10]
    wp.launch(_openness_kernel, len(points), inputs=inputs, outputs=[result], device="cpu")
    return result.numpy()


def first_hits(
    vertices: np.ndarray, triangles: np.ndarray, origins: np.ndarray, directions: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Follow rays [N] for at most 50 cm: triangles hit [N] (-1 for none), weights of their corners [N, 3]."""
    mesh = _mesh(vertices, triangles)
    faces = wp.zeros(len(origins), dtype=int, device="cpu")
    weights = wp.zeros(len(origins), dtype=wp.vec3, device="cpu")
    inputs = [mesh.id, _vec3(origins), _vec3(directions), 0.5]
    wp.launch(_first_hit_kernel, len(origins), inputs=inputs, outputs=[faces, weights], device="cpu")
    return faces.numpy(), weights.numpy()


def _mesh(vertices: np.ndarray, triangles: np.ndarray) -> Any:
    return wp.Mesh(_vec3(vertices), wp.array(triangles.reshape(-1).astype(np.int32), dtype=int, device="cpu"))


def _vec3(values: np.ndarray) -> Any:
    return wp.array(values.astype(np.float32), dtype=wp.vec3, device="cpu")
