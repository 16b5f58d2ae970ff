"""Hair as a skin of its own: the hair grid, lifted off the scalp by the thickness of the cut.

Strands are drawn by the material (`shaders/materials/hair.glsl`), which also cuts off what is below the edge.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stylehead.world.heads import hair_grid
from stylehead.world.heads.curves import bump, curve, smoothstep
from stylehead.world.heads.hair_grid import CAP_ROWS, COLUMNS, ROWS
from stylehead.world.heads.haircuts import HAIRCUTS, Fall, Haircut
from stylehead.world.heads.identity import Identity
from stylehead.world.heads.source import HeadSource
from stylehead.world.heads.triangles import MeshPart, Topology, grid_triangles, make_part, unit

Points = Sequence[tuple[float, float]]

_HEAD_RADIUS = 0.085
_FRINGE_FROM, _CENTRE_PARTING_BELOW = 0.55, -0.3


def haircut_of(person: Identity, *, never_bald: bool) -> Haircut | None:
    """The haircut to grow, None for bald; a style may forbid bald and shaved heads."""
    if never_bald and person.hair in ("bald", "buzz"):
        return HAIRCUTS["short"]
    return HAIRCUTS.get(person.hair)


def hairline(person: Identity) -> Points:
    """Height of the hairline at azimuths from 0 (front) to 180 degrees (back); it recedes in old men."""
    lift = 0.006 * np.clip(person.hairline, -2, 2)
    receding = 0.010 * person.wrinkles * (1 - person.gender) + 0.004 * max(0, person.hairline)
    front = [
        (0, 0.084 + lift),
        (18, 0.086 + lift + 0.6 * receding),
        (34, 0.083 + lift + 1.2 * receding),
        (48, 0.068 + 0.5 * lift + 0.6 * receding),
    ]
    temple = [(58, 0.046), (66, 0.024), (73, 0.004), (79, -0.012), (83, -0.012)]
    behind_ear = [(88, 0.020), (98, 0.022), (106, 0.006), (116, -0.040), (135, -0.070), (180, -0.082)]
    return front + temple + behind_ear


@dataclass(frozen=True, eq=False)
class _Edge:
    """Where hair ends: its height [128], and whether it grows there (1) or hangs there (0) [128]."""

    height: np.ndarray
    rooted: np.ndarray


class HairGrower:
    """Makes the hair of a person.

    Args:
        source: The cut-out head.
    """

    def __init__(self, source: HeadSource) -> None:
        self._corners, self._weights = source.hair_corners, source.hair_weights
        origins, self._directions = hair_grid.rays()
        self._average = self._roots(source.skin_average)
        height = np.concatenate([self._average[:CAP_ROWS, :, 1], origins[CAP_ROWS:, :, 1]])
        self._height = height
        self._azimuth = hair_grid.column_azimuths()
        self._azimuth_deg = np.abs((np.rad2deg(self._azimuth) + 180) % 360 - 180)
        self._towards_top = smoothstep(0.02, 0.10, height)
        self._towards_front = smoothstep(70, 10, self._azimuth_deg) * self._towards_top
        self._clumps = 0.7 * _solid_noise(self._average, 60, 1) + 0.45 * _solid_noise(self._average, 160, 2)
        self._frizz = _solid_noise(self._average, 330, 3)
        self._locks, self._strands = _ring_noise(self._azimuth, 14, 5), _ring_noise(self._azimuth, 30, 6)
        self._topology = Topology(grid_triangles(ROWS, COLUMNS), ROWS * COLUMNS)

    def grow(self, person: Identity, cut: Haircut, skin: np.ndarray) -> MeshPart:
        """Hair on a head.

        Args:
            person: Whose hair.
            cut: The haircut (`person.hair`, or what a style makes of it).
            skin: Skin vertices [N, 3] of that head.
        """
        edge = self._edge(person, cut)
        above_edge = self._above_edge(edge)
        thickness = self._thickness(person, cut, edge, above_edge)
        roots = _smoothed(_smoothed(self._roots(skin), 0.25), 0.25)
        surface = roots + self._directions * thickness[..., None]
        if cut.fall:
            surface = self._draped(surface, roots, cut.fall)
        surface = _smoothed(surface, 0.12)
        if cut.fall:
            surface = _smoothed_shoulder(surface)
        return self._part(surface, thickness, above_edge, edge.rooted)

    def _roots(self, skin: np.ndarray) -> np.ndarray:
        """Points [64, 128, 3] where the grid meets the skin."""
        return (skin[self._corners] * self._weights[..., None]).sum(axis=2)

    def _edge(self, person: Identity, cut: Haircut) -> _Edge:
        rooted = np.ones(COLUMNS)
        if cut.fall:
            points, rooted = self._hanging_edge(person, cut.fall)
        else:
            points = list(cut.own_hairline) if cut.own_hairline else hairline(person)
        height = curve(self._azimuth_deg, points)
        ragged = 0.0012 * self._strands + 0.001 * self._locks
        return _Edge(height + ragged + 0.006 * self._strands * (1 - rooted), rooted)

    def _hanging_edge(self, person: Identity, fall: Fall) -> tuple[Points, np.ndarray]:
        """Lower end of long hair, open in front of the face; a fringe closes it down to the brows."""
        length = fall.length + fall.spread * np.clip(person.hair_length, fall.shortest, fall.longest)
        opening = 64 + 8 * np.tanh(person.hairline)  # degrees to either side
        curtain = [(opening + 6, -0.8 * length), (opening + 16, -length), (180.0, -length - 0.01)]
        if person.fringe > _FRINGE_FROM:
            low = 0.030 + 0.01 * np.clip(person.fringe - 1.2, -0.6, 0.8)
            front = [(0.0, low), (25.0, low), (38.0, low - 0.004), (46.0, low - 0.02)]
            return [*front, (opening - 6, 0.0), (opening, -0.03), *curtain], np.zeros(COLUMNS)
        lift = 0.006 * np.clip(person.hairline, -2, 2)
        front = [(0.0, 0.084 + lift), (20.0, 0.086 + lift), (38.0, 0.080), (50.0, 0.064)]
        rooted = smoothstep(opening - 2, opening - 14, self._azimuth_deg)
        return [*front, (opening - 6, 0.034), (opening, -0.02), *curtain], rooted

    def _above_edge(self, edge: _Edge) -> np.ndarray:
        """Distance [64, 128] from the end of the hair along the skin, roughly; negative is bare skin."""
        step = 2 * 2 * np.pi / COLUMNS * _HEAD_RADIUS
        slope = (np.roll(edge.height, -1) - np.roll(edge.height, 1)) / step
        return (self._height - edge.height) / np.sqrt(1 + np.minimum(slope**2, 9.0))

    def _thickness(self, person: Identity, cut: Haircut, edge: _Edge, above_edge: np.ndarray) -> np.ndarray:
        """How far [64, 128] the surface of the hair is from the skin."""
        thickness = self._combed(person, cut)
        thinning = smoothstep(-0.002, cut.edge, above_edge)
        if cut.rounded_edge:
            thinning = np.sqrt(thinning)
        thickness = thickness * (edge.rooted * thinning + 1 - edge.rooted)
        uneven = 1 + cut.lumps * (self._clumps + 0.6 * cut.frizz * self._frizz)
        if cut.streaks:
            uneven = uneven + 0.10 * self._locks
        thickness = np.maximum(thickness * uneven, 0.0012)
        if cut.fall and cut.fall.wave:
            phase = 95 * self._height + 2.0 * self._locks + 3 * np.sin(3 * self._azimuth)
            thickness = thickness + cut.fall.wave * np.sin(phase) * smoothstep(0.03, -0.06, self._height)
        return thickness

    def _combed(self, person: Identity, cut: Haircut) -> np.ndarray:
        """Thickness of the cut before it is uneven and before it ends."""
        volume = 1 + cut.volume_gain * 0.22 * np.clip(person.hair_volume, -2, 2)
        thickness = cut.sides + cut.crown * self._towards_top + cut.front * self._front(cut)
        thickness = thickness + cut.length_adds * np.clip(person.hair_length, -1.5, 2)
        thickness = thickness * volume * (1 + cut.length_scales * person.hair_length)
        thickness = np.minimum(thickness, cut.thickest)
        if cut.parting is not None:
            x, _, z = np.moveaxis(self._average, -1, 0)
            furrow = bump(x - cut.parting, 0.006) * smoothstep(-0.04, 0.02, z) * self._towards_top
            thickness = thickness * (1 - 0.75 * furrow)
        return self._hung(thickness, person) if cut.fall else thickness

    def _front(self, cut: Haircut) -> np.ndarray:
        """Weight [64, 128] of the thickness above the forehead."""
        x, _, z = np.moveaxis(self._average, -1, 0)
        if cut.front_shape == "left":
            return self._towards_front * smoothstep(-0.02, 0.04, x - 0.03)
        if cut.front_shape == "edge":
            return self._towards_front * smoothstep(0.05, 0.11, self._height) * smoothstep(-0.01, 0.07, z)
        return self._towards_front

    def _hung(self, thickness: np.ndarray, person: Identity) -> np.ndarray:
        """Fuller over the ears; with a parting, or a fringe."""
        over_ears = bump(self._azimuth_deg - 92, 24) * smoothstep(0.085, -0.005, self._height)
        thickness = thickness + 0.013 * over_ears
        if person.fringe > _FRINGE_FROM:
            in_front = smoothstep(60, 40, self._azimuth_deg) * smoothstep(0.10, 0.05, self._height)
            return thickness + 0.004 * in_front
        parting = 0.0 if person.fringe < _CENTRE_PARTING_BELOW else 0.028
        x, _, z = np.moveaxis(self._average, -1, 0)
        furrow = bump(x - parting, 0.006) * smoothstep(-0.05, 0.0, z) * self._towards_top
        return thickness * (1 - 0.6 * furrow)

    def _draped(self, surface: np.ndarray, roots: np.ndarray, fall: Fall) -> np.ndarray:
        """Let hair hang straight from its widest place, row by row, instead of following the neck."""
        axis = hair_grid.axis_depth(self._height)
        follow = np.hypot(surface[..., 0], surface[..., 2] - axis)
        row_height = roots[..., 1].mean(axis=1)
        radius = follow.copy()
        for row in range(20, ROWS):
            drop = max(1e-3, row_height[row - 1] - row_height[row])
            hang = np.maximum(follow[row], radius[row - 1] - fall.taper * drop)
            radius[row] = np.minimum(hang, radius[row - 1] + 0.55 * drop)
        height = np.broadcast_to(row_height[:, None], radius.shape)
        around = [radius * np.sin(self._azimuth), height, axis + radius * np.cos(self._azimuth)]
        hanging = smoothstep(20, 26, np.arange(ROWS))[:, None, None]
        return surface * (1 - hanging) + np.stack(around, axis=-1) * hanging

    def _part(
        self, surface: np.ndarray, thickness: np.ndarray, above_edge: np.ndarray, rooted: np.ndarray
    ) -> MeshPart:
        rows = np.diff(surface, axis=0)
        along = np.cumsum(np.r_[0, np.linalg.norm(rows, axis=-1).mean(axis=1)])
        tangents = unit(np.concatenate([rows, rows[-1:]]))
        depth = np.clip(0.5 * thickness / max(0.02, thickness.max()) + 0.5, 0, 1)
        triangles = self._topology.triangles
        mesh = self._topology.surface(surface.reshape(-1, 3))
        strand = [0 * depth, np.broadcast_to(along[:, None], depth.shape), above_edge, depth]
        part = make_part(
            "hair",
            mesh,
            canonical=self._average.reshape(-1, 3),
            detail_a=np.stack(strand, axis=-1).reshape(-1, 4),
            detail_b=np.concatenate([tangents, np.broadcast_to(rooted[:, None], (ROWS, COLUMNS, 1))], axis=-1)
            .reshape(-1, 4),
        )  # fmt: skip
        visible = above_edge.reshape(-1)[triangles].max(axis=1) > -0.02
        return MeshPart(part.material, part.vertices, part.triangles[visible])


def _smoothed(grid: np.ndarray, share: float) -> np.ndarray:
    """Mix each point of a grid [64, 128, 3] with its neighbours, around the head and then along it."""
    around = grid * (1 - 2 * share) + share * (np.roll(grid, 1, axis=1) + np.roll(grid, -1, axis=1))
    result = around.copy()
    result[1:-1] = around[1:-1] * (1 - 2 * share) + share * (around[2:] + around[:-2])
    return result


def _smoothed_shoulder(surface: np.ndarray) -> np.ndarray:
    """Smooth the rows where hair leaves the head and begins to hang."""
    rows = np.arange(ROWS)
    share = (smoothstep(16, 21, rows) * smoothstep(40, 34, rows))[:, None, None]
    for _ in range(6):
        surface = surface * (1 - share) + share * _smoothed(surface, 0.25)
    return surface


def _solid_noise(points: np.ndarray, frequency: float, seed: int, waves: int = 40) -> np.ndarray:
    """Sum of sine waves in random directions at points [..., 3]; mean 0, deviation about 1."""
    random = np.random.RandomState(seed)
    directions = unit(random.randn(waves, 3)) * (frequency * (0.6 + 0.8 * random.rand(waves, 1)))
    phases = random.rand(waves) * 6.28
    return np.sin(points @ directions.T + phases).sum(axis=-1) / np.sqrt(waves / 2)


def _ring_noise(azimuth: np.ndarray, frequency: int, seed: int, waves: int = 24) -> np.ndarray:
    """The same around a circle."""
    random = np.random.RandomState(seed)
    total = np.zeros_like(azimuth)
    for _ in range(waves):
        cycles = random.randint(int(frequency * 0.5), int(frequency * 1.6) + 1)
        total += np.sin(cycles * azimuth + random.rand() * 6.28)
    return total / np.sqrt(waves / 2)
