"""The tables behind an identity: what can differ between two heads, and by how much.

A *dial* moves the face between two opposite shapes; its name is that of a MakeHuman target (see
`stylehead.world.heads.makehuman.MorphLibrary` for the grammar). Colours are linear RGB albedos.
"""

from typing import Literal, NamedTuple, get_args

import numpy as np

HairStyle = Literal[
    "bald", "buzz", "short", "sidepart", "quiff", "curly", "bob", "long", "afro", "ponytail", "bun", "wavy"
]
Beard = Literal["none", "stubble", "moustache", "goatee", "full"]
Glasses = Literal["none", "thin", "thick", "sun"]
Shirt = Literal["crew", "vneck", "hoodie"]

HAIR_STYLES: tuple[HairStyle, ...] = get_args(HairStyle)
BEARDS: tuple[Beard, ...] = get_args(Beard)
GLASSES: tuple[Glasses, ...] = get_args(Glasses)
SHIRTS: tuple[Shirt, ...] = get_args(Shirt)


class FaceDial(NamedTuple):
    """Morph dials that one number of the face shape turns together.

    Attributes:
        dials: Names of the dials.
        amount: How far they turn when the number is 1.
    """

    dials: tuple[str, ...]
    amount: float


def _dial(amount: float, *dials: str) -> FaceDial:
    return FaceDial(dials, amount)


FACE_DIALS: tuple[FaceDial, ...] = (
    # The skull.
    _dial(0.35, "head-scale-vert-incr"),
    _dial(0.45, "head-scale-horiz-incr"),
    _dial(0.45, "head-scale-depth-incr"),
    _dial(0.5, "head-back-scale-depth-incr"),
    _dial(0.5, "head-fat-incr"),
    _dial(0.3, "head-angle-out"),
    _dial(0.32, "head-oval|head-square"),
    _dial(0.5, "head-round|head-rectangular"),
    _dial(0.5, "head-triangular|head-invertedtriangular"),
    _dial(0.4, "head-diamond|head-oval"),
    _dial(0.4, "forehead-scale-vert-incr"),
    _dial(0.5, "forehead-temple-incr"),
    _dial(0.25, "forehead-nubian-incr"),
    # Brows and eyes.
    _dial(0.35, "eyebrows-angle-up"),
    _dial(0.5, "eyebrows-trans-up"),
    _dial(0.3, "eyebrows-trans-forward"),
    _dial(0.5, "eye-scale-incr"),
    _dial(0.35, "eye-height1-incr", "eye-height2-incr"),
    _dial(0.4, "eye-height3-incr"),
    _dial(0.5, "eye-corner1-up"),
    _dial(0.6, "eye-corner2-up"),
    _dial(0.5, "eye-trans-out"),
    _dial(0.35, "eye-trans-up"),
    _dial(0.5, "eye-eyefold-up"),
    _dial(0.45, "eye-bag-incr", "eye-bag-out"),
    _dial(0.3, "eye-epicanthus-out"),
    # Cheeks.
    _dial(0.5, "cheek-bones-incr"),
    _dial(0.5, "cheek-volume-incr"),
    _dial(0.5, "cheek-inner-incr"),
    # The nose.
    _dial(0.5, "nose-scale-vert-incr"),
    _dial(0.6, "nose-scale-horiz-incr"),
    _dial(0.6, "nose-scale-depth-incr"),
    _dial(0.7, "nose-hump-incr"),
    _dial(0.3, "nose-point-up"),
    _dial(0.6, "nose-point-width-incr"),
    _dial(0.5, "nose-flaring-incr", "nose-nostrils-width-incr"),
    _dial(0.6, "nose-width1-incr", "nose-width2-incr"),
    _dial(0.5, "nose-curve-convex"),
    _dial(0.5, "nose-volume-incr"),
    _dial(0.4, "nose-base-up"),
    # The mouth.
    _dial(0.6, "mouth-scale-horiz-incr"),
    _dial(0.7, "mouth-upperlip-volume-incr", "mouth-upperlip-height-incr"),
    _dial(0.7, "mouth-lowerlip-volume-incr", "mouth-lowerlip-height-incr"),
    _dial(0.4, "mouth-trans-up"),
    _dial(0.4, "mouth-angles-up"),
    _dial(0.5, "mouth-cupidsbow-incr"),
    _dial(0.4, "mouth-trans-forward"),
    _dial(0.6, "mouth-laugh-lines-out"),
    # The chin.
    _dial(0.6, "chin-width-incr"),
    _dial(0.4, "chin-height-incr"),
    _dial(0.5, "chin-prominent-incr"),
    _dial(0.5, "chin-bones-incr"),
    _dial(0.4, "chin-cleft-incr"),
    _dial(0.4, "chin-prognathism-incr"),
    _dial(0.5, "chin-jaw-drop-incr"),
    # Ears and neck.
    _dial(0.4, "ear-scale-incr"),
    _dial(0.5, "ear-wing-incr"),
    _dial(0.6, "ear-lobe-incr"),
    _dial(0.4, "ear-rot-forward"),
    _dial(0.15, "ear-trans-up"),
    _dial(0.4, "neck-scale-horiz-incr", "neck-scale-depth-incr"),
    _dial(0.4, "neck-double-incr"),
)
"""The 62 numbers of a face's shape. Left and right always move together."""

ASYMMETRY_DIALS: tuple[str, ...] = (
    "asym-eye-4-l|asym-eye-4-r",
    "asym-mouth-1-l|asym-mouth-1-r",
    "asym-nose-1-l|asym-nose-1-r",
    "asym-jaw-1-l|asym-jaw-1-r",
)
"""What makes the two halves of a face differ."""

EXPRESSION_DIALS: tuple[str, ...] = (
    "mouthSmile", "cheekSquint", "jawOpen", "browInnerUp", "browOuterUp", "browDown", "eyeSquint", "eyeWide"
)  # fmt: skip
"""Facial actions that a resting face uses."""

# Melanin of the three ancestries (african, asian, caucasian).
ANCESTRY_MELANIN = np.array([0.74, 0.27, 0.15])
# How surely hair and eyes are dark.
ANCESTRY_DARKNESS = np.array([1.0, 0.9, 0.12])

# From black over brown and blond to red; then grey and white.
HAIR_COLOURS = np.array(
    [
        [0.012, 0.010, 0.009],
        [0.030, 0.018, 0.012],
        [0.065, 0.034, 0.018],
        [0.14, 0.072, 0.034],
        [0.30, 0.17, 0.075],
        [0.55, 0.38, 0.19],
        [0.33, 0.085, 0.025],
        [0.38, 0.37, 0.36],
        [0.75, 0.73, 0.70],
    ]
)
LAST_NATURAL_COLOUR = 6
GREY_HAIR = HAIR_COLOURS[7]

# Dark brown, brown, hazel, green, blue, grey.
EYE_COLOURS = np.array(
    [
        [0.035, 0.016, 0.008],
        [0.085, 0.040, 0.014],
        [0.15, 0.12, 0.045],
        [0.12, 0.22, 0.10],
        [0.16, 0.28, 0.42],
        [0.28, 0.33, 0.36],
    ]
)

SHIRT_COLOURS = np.array(
    [
        [0.60, 0.60, 0.58],
        [0.03, 0.03, 0.035],
        [0.35, 0.04, 0.04],
        [0.05, 0.09, 0.28],
        [0.06, 0.22, 0.10],
        [0.45, 0.32, 0.08],
        [0.22, 0.22, 0.24],
        [0.10, 0.25, 0.35],
        [0.40, 0.16, 0.24],
    ]
)


def colour_between(table: np.ndarray, position: float) -> np.ndarray:
    """Pick a colour from a table, blending neighbours.

    Args:
        table: Colours [N, 3].
        position: 0 is the first colour, 1 the last; clipped.
    """
    place = np.clip(position, 0, 0.99999) * (len(table) - 1)
    index = int(place)
    blend = place - index
    return table[index] * (1 - blend) + table[index + 1] * blend
