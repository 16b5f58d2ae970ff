"""Who a head is: 64 random numbers -> a description in words and numbers -> 128 numbers for networks.

Every function here is deterministic and needs nothing but NumPy.
"""

import functools
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from stylehead.errors import UsageError
from stylehead.world.heads.traits import (
    ANCESTRY_DARKNESS,
    ANCESTRY_MELANIN,
    BEARDS,
    EYE_COLOURS,
    FACE_DIALS,
    GLASSES,
    GREY_HAIR,
    HAIR_COLOURS,
    HAIR_STYLES,
    LAST_NATURAL_COLOUR,
    SHIRT_COLOURS,
    SHIRTS,
    Beard,
    Glasses,
    HairStyle,
    Shirt,
    colour_between,
)

LATENT_SIZE = 64
VECTOR_SIZE = 128

TRAINING_SEED_BASE = 10_000_000
"""Heads for training have seeds from here up; seeds below 1,000,000 are never trained on."""

_FACE_FACTORS = 26

BEARD_LIMITS = (0.42, 0.62, 0.69, 0.79)
GLASSES_LIMITS = (0.74, 0.85, 0.95)
SHIRT_LIMITS = (0.6, 0.85)
"""Shares of the people, of the men for beards, at which the next kind begins."""


class At:
    """Where each trait sits in the latent."""

    GENDER, AGE, WEIGHT, MUSCLE = 0, 1, 2, 3
    ANCESTRY = slice(4, 7)
    MELANIN, BLOOD = 7, 8
    FACE = slice(9, 9 + _FACE_FACTORS)
    SMILE, JAW, BROWS, SQUINT, EYES_OPEN = 35, 36, 37, 38, 39
    GAZE = slice(40, 42)
    HAIR_COLOUR, GREY = 42, 43
    HAIR_STYLE = slice(44, 56)
    HAIR_LENGTH, HAIR_VOLUME, HAIRLINE, FRINGE = 56, 57, 58, 59
    BEARD, GLASSES, SHIRT, LIGHT = 60, 61, 62, 63


@dataclass(frozen=True, eq=False)
class Identity:
    """One person, before any style.

    Attributes:
        gender: 0 male to 1 female.
        age: 0.60 to 0.98 on anny's scale: a young adult to an old one.
        weight: 0 to 1.
        muscle: 0.05 to 0.95.
        ancestry: [3], african, asian, caucasian; sums to 1.
        melanin: Darkness of the skin, 0 to 1.
        haemoglobin: Redness of the skin, 0.1 to 0.74.
        face_shape: [62], one number for each entry of `FACE_DIALS`, within +-2.2.
        smile: 0 to 1.
        jaw_open: 0 shut; about 0.1 shows the teeth.
        brow_raise: Negative frowns.
        squint: 0 and up.
        eye_open: 0.2 to 0.7.
        gaze: [2], tangents of the angles to the head's left and up.
        hair_colour: [3], linear RGB.
        grey: Share of grey hair, 0 to 1.
        hair_length: Standard deviations; used by the cuts that have a length.
        hair_volume: Standard deviations.
        hairline: Standard deviations; positive is higher.
        fringe: Above 0.55 long hair gets a fringe; below -0.3 a centre parting.
        hair: Cut.
        beard: Kind of beard; men only.
        beard_length: 0 to 1, of full beards.
        glasses: Kind of glasses.
        shirt_colour: [3], linear RGB.
        shirt: Neckline.
        light: Direction of the main light: positive from the head's left.
        eye_colour: [3], linear RGB.
        freckles: 0 to 1.
        brow_thickness: 0.2 to 1.1.
        brow_arch: About 0.5.
        lip_colour: 0 pale to 1.3 painted.
        makeup: 0 to 1; women only.
        wrinkles: 0 to 1, by age.
        asymmetry: [4], one number for each entry of `ASYMMETRY_DIALS`.
    """

    gender: float
    age: float
    weight: float
    muscle: float
    ancestry: np.ndarray
    melanin: float
    haemoglobin: float
    face_shape: np.ndarray
    smile: float
    jaw_open: float
    brow_raise: float
    squint: float
    eye_open: float
    gaze: np.ndarray
    hair_colour: np.ndarray
    grey: float
    hair_length: float
    hair_volume: float
    hairline: float
    fringe: float
    hair: HairStyle
    beard: Beard
    beard_length: float
    glasses: Glasses
    shirt_colour: np.ndarray
    shirt: Shirt
    light: float
    eye_colour: np.ndarray
    freckles: float
    brow_thickness: float
    brow_arch: float
    lip_colour: float
    makeup: float
    wrinkles: float
    asymmetry: np.ndarray


class VectorField(NamedTuple):
    """A stretch of the identity vector: an attribute of `Identity`, its size, and the words of a category."""

    name: str
    size: int
    categories: tuple[str, ...] = ()


VECTOR_FIELDS: tuple[VectorField, ...] = (
    *(VectorField(name, 1) for name in ("gender", "age", "weight", "muscle")),
    VectorField("ancestry", 3),
    *(VectorField(name, 1) for name in ("melanin", "haemoglobin")),
    VectorField("face_shape", len(FACE_DIALS)),
    *(VectorField(name, 1) for name in ("smile", "jaw_open", "brow_raise", "squint", "eye_open")),
    VectorField("gaze", 2),
    VectorField("hair_colour", 3),
    *(VectorField(name, 1) for name in ("grey", "hair_length", "hair_volume", "hairline", "fringe")),
    VectorField("hair", len(HAIR_STYLES), HAIR_STYLES),
    VectorField("beard", len(BEARDS), BEARDS),
    VectorField("beard_length", 1),
    VectorField("glasses", len(GLASSES), GLASSES),
    VectorField("shirt_colour", 3),
    VectorField("shirt", len(SHIRTS), SHIRTS),
    VectorField("light", 1),
    VectorField("eye_colour", 3),
    *(VectorField(name, 1) for name in ("freckles", "brow_thickness", "brow_arch")),
    *(VectorField(name, 1) for name in ("lip_colour", "makeup", "wrinkles")),
    VectorField("asymmetry", 4),
)
"""The identity vector from its first number to its last; categories are one-hot."""


def z_from_seed(seed: int) -> np.ndarray:
    """Draw the latent [64] of a seed from 0 to 2^32 - 1 (see `TRAINING_SEED_BASE`)."""
    return np.random.RandomState(seed).randn(LATENT_SIZE)


def identity_from_z(z: np.ndarray) -> Identity:
    """Describe the person that a latent stands for.

    The latent is normalised first (its mean square becomes 1), as a generator's mapping network does: only
    its direction counts, so `identity_from_z(3 * z)` is the same person.

    Args:
        z: Numbers [64] (or [1, 64]), meant to be standard normal.

    Returns:
        The identity: a smooth function of z but for its four categories, which change in steps, and for what
        depends on being a man or a woman (beard, lip colour), which changes where `gender` crosses 0.5.

    Raises:
        UsageError: Wrong size, or numbers that are not finite.
    """
    values = np.asarray(z, np.float64).reshape(-1)
    if values.shape != (LATENT_SIZE,):
        raise UsageError(f"A head is drawn from {LATENT_SIZE} numbers, not from {values.size}.")
    if not np.isfinite(values).all():
        raise UsageError("A head cannot be drawn from numbers that are not finite.")
    values = values / np.sqrt(np.mean(values**2) + 1e-8)
    body = _body(values)
    hair = _hair(values, body)
    traits = body | _skin(values, body) | _expression(values) | hair | _wear(values)
    return Identity(**{name: _frozen(value) for name, value in traits.items()})


def identity_vector(identity: Identity) -> np.ndarray:
    """Put an identity into 128 numbers, in the order of `VECTOR_FIELDS`, float32."""
    parts = []
    for field in VECTOR_FIELDS:
        value = getattr(identity, field.name)
        if field.categories:
            value = np.eye(field.size)[field.categories.index(value)]
        parts.append(np.reshape(value, field.size))
    return np.concatenate(parts).astype(np.float32)


def _body(z: np.ndarray) -> dict[str, Any]:
    """Build, age and the shape of the face."""
    age = 0.60 + 0.38 * _normal_cdf(z[At.AGE]) ** 1.5
    ancestry = np.exp(1.8 * z[At.ANCESTRY])
    factors = z[At.FACE]
    return {
        "gender": _sigmoid(3.0 * z[At.GENDER]),
        "age": age,
        "wrinkles": np.clip((age - 0.72) / 0.26, 0, 1),
        "weight": 0.5 + 0.5 * np.tanh(0.55 * z[At.WEIGHT]),
        "muscle": 0.5 + 0.45 * np.tanh(0.6 * z[At.MUSCLE]),
        "ancestry": ancestry / ancestry.sum(),
        "face_shape": np.clip(_face_mixing() @ factors, -2.2, 2.2),
        "asymmetry": 0.5 * factors[6:10],
    }


@functools.cache
def _face_mixing() -> np.ndarray:
    """How 26 factors make the 62 numbers of a face [62, 26]: orthogonal columns, rows of length about 0.7."""
    count = len(FACE_DIALS)
    basis, _ = np.linalg.qr(np.random.RandomState(7).randn(count, _FACE_FACTORS))
    return basis * np.sqrt(count / _FACE_FACTORS) * 0.72


def _skin(z: np.ndarray, body: dict[str, Any]) -> dict[str, Any]:
    """Skin, lips, brows and eyes; what has no number of its own borrows one of the face factors."""
    factors, gender = z[At.FACE], body["gender"]
    melanin = np.clip(body["ancestry"] @ ANCESTRY_MELANIN + 0.11 * z[At.MELANIN], 0.0, 1.0)
    lipstick = 0.35 * max(0.0, factors[5]) if gender > 0.5 else 0.0
    dark = body["ancestry"] @ ANCESTRY_DARKNESS
    light_eyes = _normal_cdf(0.5 * z[At.HAIR_COLOUR] + 0.87 * factors[0])
    dark_eyes = 0.12 * _normal_cdf(factors[0])
    return {
        "melanin": melanin,
        "haemoglobin": 0.42 + 0.16 * np.clip(z[At.BLOOD], -2, 2),
        "freckles": np.clip(0.5 * factors[1] + 0.6 * z[At.BLOOD] - 0.7, 0, 1) * (1 - melanin),
        "brow_thickness": np.clip(0.55 + 0.18 * factors[2] - 0.18 * gender, 0.2, 1.1),
        "brow_arch": 0.5 + 0.3 * factors[3],
        "lip_colour": np.clip(0.35 + 0.18 * factors[4] + lipstick, 0, 1.3),
        "makeup": np.clip(0.35 * factors[5] + 0.2, 0, 1) * gender,
        "eye_colour": colour_between(EYE_COLOURS, light_eyes * (1 - dark) + dark * dark_eyes),
    }


def _expression(z: np.ndarray) -> dict[str, Any]:
    return {
        "smile": max(0.0, np.tanh(0.55 * z[At.SMILE] + 0.45)),
        "jaw_open": max(0.0, 0.09 * z[At.JAW] - 0.06),
        "brow_raise": 0.12 + 0.28 * z[At.BROWS],
        "squint": max(0.0, 0.22 * z[At.SQUINT] - 0.05),
        "eye_open": 0.45 + 0.25 * np.tanh(z[At.EYES_OPEN]),
        "gaze": np.clip(np.array([0.06, 0.04]) * z[At.GAZE], -0.16, 0.16),
    }


def _hair(z: np.ndarray, body: dict[str, Any]) -> dict[str, Any]:
    """Colour and cut; dark-haired ancestries use the dark end of the colours."""
    dark = body["ancestry"] @ ANCESTRY_DARKNESS
    shade = _normal_cdf(z[At.HAIR_COLOUR])
    natural = colour_between(
        HAIR_COLOURS[: LAST_NATURAL_COLOUR + 1], 0.95 * shade * (1 - dark) + 0.28 * shade * dark
    )
    grey = _sigmoid(14 * (body["wrinkles"] - 0.68 + 0.10 * z[At.GREY]))
    faded = GREY_HAIR * (1.0 + 0.15 * z[At.GREY])
    beard, beard_length = _beard(z, body["gender"])
    scores = z[At.HAIR_STYLE] + hair_odds(body["gender"], body["ancestry"][0], body["wrinkles"])
    return {
        "hair_colour": np.clip(natural * (1 - grey) + faded * grey, 0.008, 0.85),
        "grey": grey,
        "hair": HAIR_STYLES[int(np.argmax(scores))],
        "hair_length": z[At.HAIR_LENGTH],
        "hair_volume": z[At.HAIR_VOLUME],
        "hairline": z[At.HAIRLINE],
        "fringe": z[At.FRINGE],
        "beard": beard,
        "beard_length": beard_length,
    }


def hair_odds(female: float, african: float, wrinkles: float) -> np.ndarray:
    """What is added to the random scores [12] of the cuts before the best one wins."""
    odds: dict[str, float] = dict.fromkeys(HAIR_STYLES, 0.0)
    for cut in ("bald", "buzz"):
        odds[cut] -= 1.6 * female
    for cut in ("short", "sidepart", "quiff"):
        odds[cut] += 0.5 - 1.5 * female
    for cut in ("bob", "long", "ponytail", "bun", "wavy"):
        odds[cut] += -1.6 + 2.1 * female
    odds["bald"] += -0.3 + 0.9 * wrinkles * (1 - female)
    odds["afro"] += -1.3 + 2.1 * african
    odds["curly"] += -0.3 + 0.5 * african
    return np.array([odds[cut] for cut in HAIR_STYLES])


def _beard(z: np.ndarray, gender: float) -> tuple[Beard, float]:
    """Kind and length of the beard by how much of it there is: from nothing to a full one."""
    amount = _normal_cdf(z[At.BEARD])
    kind: Beard = _pick(amount, BEARD_LIMITS, BEARDS) if gender < 0.5 else "none"
    return kind, np.clip((amount - BEARD_LIMITS[-1]) / (1 - BEARD_LIMITS[-1]), 0, 1)


def shirt_score(z: np.ndarray) -> np.ndarray:
    """What decides about the neckline, of latents [..., 64]; standard normal."""
    mixed: np.ndarray = (3.7 * z[..., At.SHIRT] + 2.3 * z[..., At.GLASSES]) / np.hypot(3.7, 2.3)
    return mixed


def _wear(z: np.ndarray) -> dict[str, Any]:
    """Glasses, shirt, and the light they are seen in."""
    return {
        "glasses": _pick(_normal_cdf(z[At.GLASSES]), GLASSES_LIMITS, GLASSES),
        "shirt_colour": colour_between(SHIRT_COLOURS, _normal_cdf(z[At.SHIRT])),
        "shirt": _pick(_normal_cdf(float(shirt_score(z))), SHIRT_LIMITS, SHIRTS),
        "light": 1.3 * np.tanh(z[At.LIGHT] / 1.3),
    }


def _pick(share: float, limits: tuple[float, ...], names: tuple[Any, ...]) -> Any:
    """The name whose stretch of 0..1 holds `share`; the stretches end at the limits."""
    return names[sum(share >= limit for limit in limits)]


def _normal_cdf(x: float) -> float:
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def _frozen(value: Any) -> Any:
    """Plain floats and read-only arrays, so that a frozen identity stays as it is."""
    if isinstance(value, np.ndarray):
        value.setflags(write=False)
        return value
    return value if isinstance(value, str) else float(value)


def numbers_from_z(z: np.ndarray) -> np.ndarray:
    """Identity numbers [N, 128] of latents [N, 64]."""
    return np.stack([identity_vector(identity_from_z(row)) for row in z])
