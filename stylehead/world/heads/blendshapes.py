"""From an identity and a style to the coarse vertices of a head."""

import numpy as np

from stylehead.world.heads.identity import Identity
from stylehead.world.heads.phenotype import ancestry_weights, body_weights
from stylehead.world.heads.source import HeadSource
from stylehead.world.heads.styles import StyleShape
from stylehead.world.heads.traits import ASYMMETRY_DIALS, FACE_DIALS

_RESTING_MOUTH = 0.35  # corners of the mouth a little up: resting faces look stern otherwise


class Morpher:
    """Moves the vertices of the cut-out head.

    Args:
        source: The cut-out head.
    """

    def __init__(self, source: HeadSource) -> None:
        self._template = source.template
        self._morphs = source.morphs.reshape(len(source.morphs), -1)
        self._rows = {str(name): rows for name, rows in zip(source.dial_names, source.dial_rows, strict=True)}

    def vertices(self, identity: Identity, style: StyleShape) -> np.ndarray:
        """Coarse vertices [V, 3] in metres, before the style's warp."""
        weights = self.weights(identity, style)
        return self._template + (weights @ self._morphs).reshape(-1, 3)

    def weights(self, identity: Identity, style: StyleShape) -> np.ndarray:
        """Weights [R] of the morph rows, float32."""
        person = identity
        body = body_weights(gender=person.gender, age=person.age, muscle=person.muscle, weight=person.weight)
        ancestry = ancestry_weights(person.ancestry, gender=person.gender, age=person.age)
        weights = np.zeros(len(self._morphs), np.float32)
        weights[: len(body) + len(ancestry)] = np.concatenate([body, ancestry])
        for dial, amount in (*_face(person), *_expression(person), *style.dials):
            self._turn(weights, dial, amount)
        return weights

    def _turn(self, weights: np.ndarray, dial: str, amount: float) -> None:
        """Add to the end of a dial that the sign points to; a dial without that end stays."""
        positive, negative = self._rows[dial]
        row = positive if amount > 0 else negative
        if row >= 0:
            weights[row] += abs(amount)


def _face(person: Identity) -> list[tuple[str, float]]:
    turns = [("mouth-angles-up", _RESTING_MOUTH)]
    for entry, number in zip(FACE_DIALS, person.face_shape, strict=True):
        turns += [(dial, entry.amount * number) for dial in entry.dials]
    turns += [(dial, 0.6 * number) for dial, number in zip(ASYMMETRY_DIALS, person.asymmetry, strict=True)]
    return turns


def _expression(person: Identity) -> list[tuple[str, float]]:
    return [
        ("mouthSmile", 0.10 + 0.70 * person.smile),
        ("cheekSquint", 0.4 * person.smile),
        ("jawOpen", person.jaw_open + 0.03 * person.smile),
        ("browInnerUp", person.brow_raise),
        ("browOuterUp", person.brow_raise),
        ("browDown", -person.brow_raise),
        ("eyeSquint", person.squint),
        ("eyeWide", person.eye_open),
    ]
