"""What is where on the skin of the average head: beard, fur, shirt, landmarks.

Worked out once on the average adult's positions; the regions then follow every head, as its vertices do.
"""

from dataclasses import dataclass

import numpy as np

from stylehead.world.heads.curves import curve, smoothstep
from stylehead.world.heads.hair_grid import axis_depth
from stylehead.world.heads.source import HeadSource
from stylehead.world.heads.traits import Beard
from stylehead.world.heads.triangles import Region, Topology

_LANDMARKS = {
    "nose_bridge": (0, 0.004, 0.104),
    "crown": (0, 0.121, -0.01),
    "chin": (0, -0.116, 0.085),
    "nape": (0, 0.04, -0.105),
    "left_ear": (0.083, 0.006, 0.004),
    "right_ear": (-0.083, 0.006, 0.004),
    "left_temple": (0.072, 0.01, 0.035),
    "right_temple": (-0.072, 0.01, 0.035),
}

# Height of a full beard's edges over z, from below the ear to the chin.
_BEARD_TOP = ((0.005, 0.005), (0.02, -0.012), (0.045, -0.047), (0.07, -0.058), (0.09, -0.05), (0.11, -0.046))
_BEARD_BOTTOM = ((0.0, -0.105), (0.03, -0.128), (0.06, -0.130), (0.09, -0.130))

_SKIN_ENDS = -0.235  # below this height the skin is always under the shirt
_SHIRT_STARTS = -0.105


@dataclass(frozen=True, eq=False)
class Shell:
    """A layer of hair on part of the skin: its triangles, and its density at all skin vertices [N]."""

    region: Region
    density: np.ndarray


class Anatomy:
    """Regions of the skin.

    Args:
        source: The cut-out head.

    Attributes:
        average: Skin of the average adult [N, 3], where every pattern is drawn.
        azimuth_deg: How far around the head's axis a vertex is [N], 0 in front, 180 behind.
        lips: [N], 1 there; likewise eyelids and ears.
        openness: How much of the world a vertex sees [N].
        topology: All of the skin.
        visible_triangles: Those that a shirt never covers [T, 3].
        shirt: The region that shirts cover.
        beards: Shell of each kind of beard that grows.
        fur: Shell of a werewolf's fur.
        landmarks: Name -> skin vertex.
        parts: What is inside the skin, over coarse vertices: mouth, sockets, teeth, tongue, lashes, eyes.
    """

    def __init__(self, source: HeadSource) -> None:
        self.average = source.skin_average.astype(np.float64)
        x, _, z = self.average.T
        self.azimuth_deg = np.rad2deg(np.abs(np.arctan2(x, z - axis_depth(self.average[:, 1]))))
        self.lips, self.eyelids, self.ears = source.lips, source.eyelids, source.ears
        self.openness = source.openness

        triangles = source.skin_triangles
        height = self.average[:, 1]
        self.topology = Topology(triangles, len(self.average))
        self.visible_triangles = triangles[(height > _SKIN_ENDS)[triangles].any(axis=1)]
        self.shirt = Region(triangles[(height < _SHIRT_STARTS)[triangles].all(axis=1)])
        self.beards = {kind: self._shell(density, 0.02) for kind, density in self._beard_densities().items()}
        self.fur = self._shell(self._fur_density(), 0.05)
        self.landmarks = {name: self._nearest(point) for name, point in _LANDMARKS.items()}
        self.parts = {name: Region(part) for name, part in source.parts.items()}

    def _shell(self, density: np.ndarray, least: float) -> Shell:
        triangles = self.topology.triangles
        return Shell(Region(triangles[density[triangles].max(axis=1) > least]), density)

    def _nearest(self, point: tuple[float, float, float]) -> int:
        return int(np.argmin(self._distance(point)))

    def _distance(self, point: tuple[float, float, float]) -> np.ndarray:
        return np.linalg.norm(self.average - np.array(point), axis=1)

    def _beard_densities(self) -> dict[Beard, np.ndarray]:
        """Density [N] of each kind of beard, 0..1."""
        x, y, z = self.average.T
        upper_edge, lower_edge = curve(z, _BEARD_TOP), curve(z, _BEARD_BOTTOM)
        full = (
            smoothstep(0, 0.012, upper_edge - y)
            * smoothstep(-0.010, 0.004, y - lower_edge)
            * smoothstep(0, 0.016, z)
            * (1 - smoothstep(0.2, 0.6, self.lips))
            * (1 - smoothstep(0.2, 0.6, self.ears))
        )
        nose = (np.abs(x) < 0.022) & (y > -0.048)
        full = np.where(nose, 0, full)
        upper_lip = (
            smoothstep(0.034, 0.026, np.abs(x))
            * smoothstep(-0.072, -0.066, y)
            * smoothstep(-0.042, -0.048, y)
            * smoothstep(0.07, 0.085, z)
        )
        around_mouth = smoothstep(0.034, 0.024, np.abs(x)) * smoothstep(-0.040, -0.05, y)
        return {
            "stubble": 0.55 * full,
            "moustache": upper_lip * full,
            "goatee": around_mouth * full,
            "full": full,
        }

    def _fur_density(self) -> np.ndarray:
        """Density [N] of a werewolf's fur: everywhere but on eyes, nose, mouth, ears and below the neck."""
        x, y, z = self.average.T
        from_eyes = np.hypot((np.abs(x) - 0.031) * 0.85, (y - 0.005) * 1.25) + 10 * (z < 0.03)
        from_mouth = np.hypot(x, (y + 0.055) * 1.1) + 10 * (z < 0.07)
        return (
            smoothstep(0.018, 0.03, from_eyes)
            * smoothstep(0.010, 0.022, self._distance((0, -0.036, 0.118)))
            * (1 - 0.9 * smoothstep(0.045, 0.02, from_mouth))
            * (1 - smoothstep(0.1, 0.5, self.lips))
            * (1 - 0.85 * smoothstep(0.3, 0.7, self.ears))
            * smoothstep(-0.26, -0.16, y)
        )
