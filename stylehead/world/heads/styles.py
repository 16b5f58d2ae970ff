"""What a style does to the shape of a head; what it does to colours is in `shaders/styles/`.

To add a style: an entry in `STYLE_SHAPES`, and a shader file of the same name.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from stylehead.world.heads.curves import smoothstep

StyleName = Literal["photo", "pixar", "joker", "werewolf", "sketch", "statue", "zombie"]
STYLES: tuple[StyleName, ...] = get_args(StyleName)

Warp = Callable[[np.ndarray, Sequence[np.ndarray]], np.ndarray]
"""Moves points [N, 3], given the centres [3] of the eyes; metres, origin in the middle of the head."""


@dataclass(frozen=True)
class StyleShape:
    """How a style changes the geometry of a person.

    Attributes:
        dials: Morph dials and how far each is turned, on top of the person's own face.
        warp: Smooth displacement of the whole head after the dials.
        eyeball_scale: Size of the eyeballs.
        eyeball_shift: Metres that the eyeballs move forward.
        head_scale: Size of everything in the picture.
        stubble: How much of a stubble stays.
        furry: Fur and wolf's ears grow, and hair on bald heads.
    """

    dials: tuple[tuple[str, float], ...] = ()
    warp: Warp | None = None
    eyeball_scale: float = 1.0
    eyeball_shift: float = 0.0
    head_scale: float = 1.0
    stubble: float = 1.0
    furry: bool = False


def enlarge_eyes(points: np.ndarray, eyes: Sequence[np.ndarray]) -> np.ndarray:
    """Blow up what is around the eyes, and slim the neck and shoulders: the proportions of a cartoon."""
    reach, growth, stretch = 0.0235, 0.62, np.array([1, 1.25, 0.45])
    for eye in eyes:
        away = points - eye
        nearness = np.exp(-(away**2).sum(axis=-1) / (2 * reach**2))
        points = points + away * (growth * nearness)[:, None] * stretch
    below = smoothstep(-0.10, -0.22, points[:, 1])
    return points * (1 - 0.24 * below[:, None] * np.array([1, 0, 1]))


def pull_snout(points: np.ndarray, eyes: Sequence[np.ndarray]) -> np.ndarray:
    """Pull nose and mouth forward and together, into a muzzle."""
    x, y, z = points.T
    muzzle = np.exp(-((x / 0.034) ** 2 + ((y + 0.052) / 0.040) ** 2)) * smoothstep(0.045, 0.10, z)
    return points + np.stack([-0.22 * x * muzzle, 0.008 * muzzle, 0.058 * muzzle], axis=-1)


STYLE_SHAPES: dict[StyleName, StyleShape] = {
    "photo": StyleShape(),
    "pixar": StyleShape(
        dials=(
            ("head-age-incr", -0.9),
            ("head-round|head-rectangular", 0.6),
            ("head-scale-horiz-incr", 0.35),
            ("nose-scale-vert-incr", -0.4),
            ("nose-scale-depth-incr", -0.35),
            ("nose-point-up", 0.25),
            ("cheek-volume-incr", 0.7),
            ("chin-width-incr", -0.5),
            ("mouth-scale-horiz-incr", 0.4),
            ("neck-scale-horiz-incr", -0.9),
            ("neck-scale-depth-incr", -0.7),
            ("mouthSmile", 0.25),
            ("eyeWide", 0.35),
            ("browInnerUp", 0.3),
        ),
        warp=enlarge_eyes,
        eyeball_scale=1.5,
        eyeball_shift=-0.0055,
        head_scale=0.93,
        stubble=0.5,
    ),
    "joker": StyleShape(
        dials=(
            ("chin-prominent-incr", 0.7),
            ("cheek-bones-incr", 0.6),
            ("head-fat-incr", -0.5),
            ("mouthSmile", 0.75),
            ("browOuterUp", 0.5),
            ("jawOpen", 0.10),
            ("mouthUpperUp", 0.25),
            ("mouthLowerDown", 0.15),
        )
    ),
    "werewolf": StyleShape(
        dials=(
            ("ear-shape-pointed", 1.3),
            ("ear-scale-incr", 1.0),
            ("eyebrows-trans-forward", 0.8),
            ("eyebrows-angle-up", 0.8),
            ("forehead-nubian-incr", 0.25),
            ("nose-flaring-incr", 1.0),
            ("chin-width-incr", -0.4),
            ("neck-scale-horiz-incr", 0.8),
            ("browDown", 0.7),
            ("noseSneer", 0.8),
            ("jawOpen", 0.14),
            ("mouthUpperUp", 0.55),
            ("mouthLowerDown", 0.35),
        ),
        warp=pull_snout,
        furry=True,
    ),
    "sketch": StyleShape(),
    "statue": StyleShape(),
    "zombie": StyleShape(
        dials=(
            ("cheek-volume-incr", -1.2),
            ("cheek-inner-incr", -1.0),
            ("head-fat-incr", -0.9),
            ("head-age-incr", 0.8),
            ("eye-bag-incr", 0.8),
            ("asym-mouth-1-l|asym-mouth-1-r", 0.8),
            ("asym-jaw-1-l|asym-jaw-1-r", 0.6),
            ("jawOpen", 0.20),
            ("mouthLowerDown", 0.3),
            ("mouthFrown", 0.35),
            ("eyeBlinkLeft", 0.25),
        )
    ),
}
