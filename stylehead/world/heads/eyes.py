"""Eyeballs: spheres in the middle of MakeHuman's own, which have no iris."""

from dataclasses import dataclass

import numpy as np

from stylehead.world.heads.anatomy import Anatomy
from stylehead.world.heads.triangles import MeshPart, Surface, grid_triangles, make_part, unit

_ROWS, _COLUMNS = 18, 28


@dataclass(frozen=True, eq=False)
class Eyes:
    """Centres [3] of the left and the right eyeball, and their radius, metres."""

    centres: tuple[np.ndarray, np.ndarray]
    radius: float

    @property
    def middle(self) -> np.ndarray:
        """Point [3] between the eyes."""
        return (self.centres[0] + self.centres[1]) / 2

    def moved(self, shift: np.ndarray, *, scale: float = 1.0) -> "Eyes":
        """The eyes elsewhere, and of another size."""
        left, right = self.centres
        return Eyes((left + shift, right + shift), self.radius * scale)


def find_eyes(anatomy: Anatomy, coarse: np.ndarray) -> Eyes:
    """Fit spheres to the eyes of a head with coarse vertices [V, 3]."""
    centres, radii = [], []
    for name in ("left_eye", "right_eye"):
        points = coarse[anatomy.parts[name].vertices]
        centre = (points.max(axis=0) + points.min(axis=0)) / 2
        centres.append(centre)
        radii.append(np.linalg.norm(points - centre, axis=1).mean())
    return Eyes((centres[0], centres[1]), float(np.mean(radii)))


def eye_parts(eyes: Eyes, gaze: np.ndarray) -> list[MeshPart]:
    """Both eyeballs.

    Args:
        eyes: Where they are.
        gaze: Tangents [2] of the angles to the left and up.
    """
    ball = _sphere()
    forward = unit(np.array([np.sin(gaze[0]), np.sin(gaze[1]), 1.0]))
    right = unit(np.cross([0, 1.0, 0], forward))
    turn = np.stack([right, np.cross(forward, right), forward])
    normals = ball @ turn
    triangles = grid_triangles(_ROWS, _COLUMNS)
    surfaces = [Surface(centre + eyes.radius * normals, normals, triangles) for centre in eyes.centres]
    return [make_part("eye", surface, canonical=ball) for surface in surfaces]


def _sphere() -> np.ndarray:
    """Points of a unit sphere whose pole, the pupil, looks along +z."""
    around = np.arange(_COLUMNS) / _COLUMNS * 2 * np.pi
    down = np.linspace(0, np.pi, _ROWS)[:, None]
    grid = [np.sin(down) * np.cos(around), np.sin(down) * np.sin(around), np.cos(down) + 0 * around]
    return np.stack(grid, axis=-1).reshape(-1, 3)
