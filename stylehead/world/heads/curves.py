"""Small one-dimensional helpers: soft steps and curves through points."""

from collections.abc import Sequence

import numpy as np


def smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    """Rise smoothly from 0 at `low` to 1 at `high`; with `low > high` it falls instead."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def curve(x: np.ndarray, points: Sequence[tuple[float, float]]) -> np.ndarray:
    """Straight lines through (x, y) points of ascending x; constant beyond the first and the last."""
    xs, ys = zip(*points, strict=True)
    return np.interp(x, xs, ys)


def bump(x: np.ndarray, width: float) -> np.ndarray:
    """A bell of height 1 around 0: `exp(-(x / width)^2)`."""
    return np.exp(-((x / width) ** 2))
