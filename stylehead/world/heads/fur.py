"""Hair that grows out of the skin in shells: beards, and a werewolf's fur; and the wolf's ears.

A shell is a patch of skin, lifted along its normals; the material discards most of it and leaves strands.
"""

import numpy as np

from stylehead.world.heads.anatomy import Anatomy, Shell
from stylehead.world.heads.curves import smoothstep
from stylehead.world.heads.identity import Identity
from stylehead.world.heads.triangles import MeshPart, Surface, Topology, grid_triangles, make_part, unit

_FUR_LAYERS = (0.45, 1.0)  # shares of the fur's length


def beard_part(person: Identity, anatomy: Anatomy, skin: Surface) -> MeshPart:
    """The beard of a person who has a moustache, a goatee or a full beard."""
    shell = anatomy.beards[person.beard]
    chosen = shell.region.vertices
    average, density = anatomy.average[chosen], shell.density[chosen]
    _, y, z = average.T
    chin = smoothstep(-0.045, -0.105, y) * smoothstep(0.0, 0.06, z)
    whole = person.beard in ("goatee", "full")
    length = 0.0022 + 0.0015 * whole + (0.003 * whole + 0.017 * person.beard_length) * chin
    length = length * smoothstep(0.0, 0.8, density)
    uneven = 0.8 + 0.25 * np.sin(average @ np.array([310, 190, 270]))
    hanging = (length * smoothstep(-0.085, -0.12, y))[:, None] * np.array([0, -1.0, 0.25])

    normals = skin.normals[chosen]
    points = skin.positions[chosen] + normals * (length * uneven)[:, None] + hanging
    return _shell_part("beard", anatomy, shell, _lifted(shell, points, normals, 0.6))


def fur_parts(anatomy: Anatomy, skin: Surface) -> list[MeshPart]:
    """Layers of fur over the face and the neck, longest on the cheeks."""
    shell = anatomy.fur
    chosen = shell.region.vertices
    average, density = anatomy.average[chosen], shell.density[chosen]
    x, y, z = average.T
    cheeks = smoothstep(0.03, 0.06, np.abs(x)) * smoothstep(-0.0, -0.07, y) * smoothstep(-0.02, 0.02, z)
    uneven = 0.75 + 0.3 * np.sin(average @ np.array([210, 160, 230])) * np.sin(
        average @ np.array([-150, 230, 120])
    )
    normals = skin.normals[chosen]
    parts = []
    for layer in _FUR_LAYERS:
        length = ((0.005 + 0.016 * cheeks) * density * uneven * layer)[:, None]
        combed = 0.7 * length * np.array([0, -1.0, -0.3])
        points = skin.positions[chosen] + normals * length + combed
        surface = _lifted(shell, points, normals, 0.5)
        parts.append(_shell_part("fur", anatomy, shell, surface, layer=layer))
    return parts


def _lifted(shell: Shell, points: np.ndarray, skin_normals: np.ndarray, follow_skin: float) -> Surface:
    """The shell's own surface, lit partly as the skin below it."""
    topology = shell.region.topology
    normals = unit(topology.normals(points) + follow_skin * skin_normals)
    return Surface(points, normals, topology.triangles)


def _shell_part(
    material: str, anatomy: Anatomy, shell: Shell, surface: Surface, *, layer: float = 0.0
) -> MeshPart:
    chosen = shell.region.vertices
    height = np.full(len(chosen), layer)
    return make_part(
        material,
        surface,
        canonical=anatomy.average[chosen],
        detail_a=np.stack(
            [anatomy.lips[chosen], height, anatomy.openness[chosen], shell.density[chosen]], axis=1
        ),
        detail_b=np.stack([anatomy.eyelids[chosen], anatomy.ears[chosen]], axis=1),
    )


def wolf_ear(side: int, crown: np.ndarray, temple: np.ndarray) -> MeshPart:
    """A pointed ear, hollow in front.

    Args:
        side: 1 for the head's left, -1 for its right.
        crown: Top of the head [3].
        temple: Temple of that side [3].
    """
    rows, columns, length = 14, 16, 0.115
    along, angle = np.linspace(0, 1, rows), np.arange(columns) / columns * 2 * np.pi
    base = (0.62 * crown + 0.38 * temple) * np.array([1.15, 1, 1]) + np.array([0.016 * side, -0.012, 0.004])
    axis = unit(np.array([0.42 * side, 1.0, -0.05]))
    across = unit(np.cross(axis, [0, 0, 1.0]))
    front = np.cross(across, axis)
    forward = np.sin(angle) * np.sign(front[2])  # 1 at the front of the ear, -1 at its back

    width = 0.034 * (1 - along) ** 0.75 * (1 + 0.35 * np.sin(np.pi * along))
    ring = np.cos(angle)[:, None] * across + 0.42 * np.sin(angle)[:, None] * front
    spine = (base + (length * along)[:, None] * axis)[:, None]
    points = spine + width[:, None, None] * ring
    points[..., 2] -= 0.62 * np.maximum(np.sin(angle), 0) * width[:, None] * np.sign(front[2])

    topology = Topology(grid_triangles(rows, columns), rows * columns)
    normals = topology.normals(points.reshape(-1, 3))
    if (normals * (points - spine).reshape(-1, 3)).sum() < 0:
        normals = -normals
    inside = (forward > 0.25) & (np.abs(np.cos(angle)) < 0.92) & (along[:, None] < 0.85)
    detail = np.stack([inside * 1.0, np.full(inside.shape, 0.8), *np.ones((2, *inside.shape))], axis=-1)
    surface = Surface(points.reshape(-1, 3), normals, topology.triangles)
    return make_part("fur", surface, detail_a=detail.reshape(-1, 4))
