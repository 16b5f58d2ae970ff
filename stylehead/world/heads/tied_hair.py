"""What is left over of tied hair: a ponytail at the back, or a bun between the back and the crown."""

import numpy as np

from stylehead.world.heads.curves import smoothstep
from stylehead.world.heads.identity import Identity
from stylehead.world.heads.triangles import MeshPart, Surface, Topology, grid_triangles, make_part, unit

_SIDES = 24


def ponytail(person: Identity, nape: np.ndarray) -> MeshPart:
    """A tail that leaves the head at the nape and hangs behind the neck."""
    along = np.linspace(0, 1, 22)
    length = 0.17 + 0.05 * np.tanh(person.hair_length)
    start = nape + np.array([0, 0.035, 0.004])
    leaving = np.clip(2.2 * along, 0, 1)
    fallen = 1.15 * length * np.clip(along - 0.12, 0, 1) ** 1.15
    path = np.stack(
        [
            0 * along,
            start[1] + 0.018 * np.sin(np.pi * leaving) - fallen,
            start[2] - 0.055 * np.sqrt(leaving) + 0.02 * along,
        ],
        axis=1,
    )
    fullness = 1 + 0.022 * np.clip(person.hair_volume, -2, 2)
    opening = np.sqrt(np.clip(5 * along + 0.18, 0, 1))
    radius = 0.030 * opening * (1 - 0.55 * smoothstep(0.55, 1.0, along)) * fullness
    radius[-1] *= 0.2
    return _tube(path, radius, along, wound=False)


def bun(person: Identity, nape: np.ndarray, crown: np.ndarray) -> MeshPart:
    """A ball of wound hair; longer hair carries it higher."""
    along = (1 - np.cos(np.linspace(0, np.pi, 18))) / 2
    size = 0.036 + 0.006 * np.tanh(person.hair_volume)
    high = 0.5 + 0.5 * np.tanh(1.5 * person.hair_length)
    lifted = np.array([0, 0.02 + 0.012 * high, -0.016 * (1 - high) - 0.02 * high])
    centre = nape * (1 - high) + crown * high + lifted
    from_middle = 1 - 2 * along
    path = np.stack([0 * along, centre[1] + size * from_middle, centre[2] + 0 * along], axis=1)
    radius = 1.08 * size * np.sqrt(np.clip(1 - from_middle**2, 0, 1)) + 1e-4
    return _tube(path, radius, along, wound=True)


def _tube(path: np.ndarray, radius: np.ndarray, along: np.ndarray, *, wound: bool) -> MeshPart:
    """A bumpy tube; its strands run along it, or around it when it is wound."""
    rows = len(path)
    angle = np.arange(_SIDES) / _SIDES * 2 * np.pi
    across = np.array([1.0, 0, 0])
    upright = np.cross(unit(np.gradient(path, axis=0)), across)
    bumps = 1 + 0.05 * np.sin(7 * angle + 1) + 0.03 * np.sin(13 * angle)
    ring = np.cos(angle)[:, None] * across + np.sin(angle)[:, None] * upright[:, None]
    points = path[:, None] + (radius[:, None] * bumps)[..., None] * ring

    topology = Topology(grid_triangles(rows, _SIDES), rows * _SIDES)
    normals = topology.normals(points.reshape(-1, 3))
    if (normals.reshape(points.shape) * (points - path[:, None])).sum() < 0:
        normals = -normals
    if wound:
        around = np.stack([-np.sin(angle), 0 * angle, np.cos(angle)], axis=1)
        tangents = np.broadcast_to(around, points.shape)
    else:
        tangents = unit(np.gradient(points, axis=0))

    shape = (rows, _SIDES)
    column = np.broadcast_to(along[:, None], shape)
    strand = [0 * column, 0.2 * column, np.full(shape, 0.03), 0.6 + 0.4 * smoothstep(0, 0.2, column)]
    pattern = [
        np.broadcast_to(0.08 * np.cos(angle), shape),
        1.0 + 0.1 * column,
        np.broadcast_to(0.08 * np.sin(angle) - 0.005, shape),
    ]
    return make_part(
        "hair",
        Surface(points.reshape(-1, 3), normals, topology.triangles),
        canonical=np.stack(pattern, axis=-1).reshape(-1, 3),
        detail_a=np.stack(strand, axis=-1).reshape(-1, 4),
        detail_b=np.concatenate([tangents, np.ones((*shape, 1))], axis=-1).reshape(-1, 4),
    )
