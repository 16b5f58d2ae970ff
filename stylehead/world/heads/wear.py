"""What a person wears: glasses and a shirt."""

from dataclasses import dataclass

import numpy as np

from stylehead.world.heads.anatomy import Anatomy
from stylehead.world.heads.eyes import Eyes
from stylehead.world.heads.traits import Glasses, Shirt
from stylehead.world.heads.triangles import MeshPart, Surface, join, make_part, tube, unit


@dataclass(frozen=True)
class Frame:
    """Shape of a pair of glasses, metres.

    Attributes:
        width: Half the width of a lens, for eyes 62 mm apart.
        height: Half its height.
        squareness: Exponent of the outline: 2 is an ellipse, more is squarer.
        wire: Radius of the frame.
        tinted: Whether the lenses are drawn.
    """

    width: float
    height: float
    squareness: float
    wire: float
    tinted: bool = False


FRAMES: dict[Glasses, Frame] = {
    "thin": Frame(0.024, 0.020, 2.2, 0.0011),
    "thick": Frame(0.026, 0.0205, 3.6, 0.0024),
    "sun": Frame(0.029, 0.0235, 2.8, 0.0017, tinted=True),
}

_SHIRT_LIFT: dict[Shirt, float] = {"crew": 0.004, "vneck": 0.004, "hoodie": 0.010}
_BELOW_EYES = 0.004  # the middle of a lens is a little lower than the eye


def glasses_parts(kind: Glasses, anatomy: Anatomy, skin: np.ndarray, eyes: Eyes) -> list[MeshPart]:
    """Glasses in front of the eyes, on the bridge of the nose, with temples to the ears.

    Args:
        kind: Which glasses, not "none".
        anatomy: Finds the landmarks.
        skin: Skin vertices [N, 3] of the head.
        eyes: The eyes of the head.
    """
    frame = FRAMES[kind]
    marks = {name: skin[vertex] for name, vertex in anatomy.landmarks.items()}
    left, right = eyes.centres
    half_distance = abs(left[0] - right[0]) / 2
    width = frame.width * half_distance / 0.0312
    depth = 0.004 + max(left[2] + eyes.radius + 0.009, marks["nose_bridge"][2] + 0.002)

    set_back = 0.002 + 0.1 * width**1.2  # of the hinges, behind the middle of the lenses

    outlines = [_outline(eye, side, frame, width, depth) for eye, side in ((left, 1), (right, -1))]
    wires = [tube(outline, frame.wire, closed=True) for outline in outlines]
    wires.append(tube(_bridge(left[1], half_distance - width, depth), 1.1 * frame.wire))
    for eye, side, name in ((left, 1, "left"), (right, -1, "right")):
        hinge = np.array([eye[0] + side * (width + 0.001), eye[1] + 0.004, depth - set_back])
        ear, temple = marks[f"{name}_ear"], marks[f"{name}_temple"]
        wires.append(tube(_temple(hinge, side, ear, temple, set_back), 1.1 * frame.wire))
    parts = [make_part("glasses", join(wires))]
    if frame.tinted:
        lenses = join([_lens(outline) for outline in outlines])
        parts.append(make_part("glasses", lenses, detail_a=np.ones((1,))))
    return parts


def _outline(eye: np.ndarray, side: int, frame: Frame, width: float, depth: float) -> np.ndarray:
    """A superellipse [40, 3] around the eye, bent back towards the temple."""
    angle = np.arange(40) / 40 * 2 * np.pi
    across, up = (
        np.sign(wave) * np.abs(wave) ** (2 / frame.squareness) for wave in (np.cos(angle), np.sin(angle))
    )
    across, up = across * width, up * frame.height
    bent = 0.10 * np.maximum(0, side * across) ** 1.2
    return np.stack([eye[0] + side * 0.0015 + across, eye[1] - _BELOW_EYES + up, depth - bent], axis=1)


def _bridge(height: float, half_width: float, depth: float) -> np.ndarray:
    """An arch [9, 3] over the nose."""
    across = np.linspace(-1, 1, 9)
    arch = height - _BELOW_EYES + 0.005 * (1 - across**2) + 0.004
    return np.stack([across * (half_width + 0.002), arch, np.full(9, depth + 0.001)], axis=1)


def _temple(hinge: np.ndarray, side: int, ear: np.ndarray, temple: np.ndarray, set_back: float) -> np.ndarray:
    """From the hinge outwards, past the temple, to the top of the ear, [10, 3]."""
    along = np.linspace(0, 1, 10)
    outside = side * max(abs(ear[0]) - 0.003, abs(temple[0]) + 0.004, abs(hinge[0]))
    end = np.array([outside, ear[1] + 0.012, ear[2] - 0.012 - set_back])
    return hinge + (end - hinge) * np.stack([np.minimum(1, 3 * along), along, along], axis=1)


def _lens(outline: np.ndarray) -> Surface:
    """A shallow dome inside an outline: a fan of triangles around its middle."""
    count = len(outline)
    middle = outline.mean(axis=0)
    ring = np.arange(count)
    normals = np.tile([0, 0.05, 1.0], (count + 1, 1))
    normals[:count] += 8 * (outline - middle)
    triangles = np.stack([ring, (ring + 1) % count, np.full(count, count)], axis=1)
    return Surface(np.vstack([outline, middle + np.array([0, 0, 0.002])]), unit(normals), triangles)


def shirt_part(kind: Shirt, anatomy: Anatomy, skin: Surface) -> MeshPart:
    """A shirt over chest, shoulders and neck; the material cuts its neckline."""
    chosen = anatomy.shirt.vertices
    x, y, z = average = anatomy.average[chosen].T
    folds = 0.006 * np.abs(np.sin(70 * x + 40 * y) * np.sin(55 * y + 30 * z))
    lift = _SHIRT_LIFT[kind] + 0.35 * folds
    points = skin.positions[chosen] + skin.normals[chosen] * lift[:, None]
    azimuth, openness = anatomy.azimuth_deg[chosen], anatomy.openness[chosen]
    detail = np.stack([azimuth, 0 * azimuth, openness], axis=1)
    surface = anatomy.shirt.topology.surface(points)
    return make_part("shirt", surface, canonical=average.T, detail_a=detail)
