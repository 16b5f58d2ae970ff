"""How much of each MakeHuman body a person is: products of hat functions over gender, age and build."""

from collections.abc import Sequence

import numpy as np

_GENDER_STOPS = (0.0, 1.0)  # male, female
_AGE_STOPS = (1 / 3, 2 / 3, 1.0)  # child, young, old
_BUILD_STOPS = (0.0, 0.5, 1.0)  # little, average, much


def body_weights(*, gender: float, age: float, muscle: float, weight: float) -> np.ndarray:
    """Weights [54] of gender x age x muscle x weight bodies; they sum to 1."""
    factors = (
        _hats(gender, _GENDER_STOPS),
        _hats(age, _AGE_STOPS),
        _hats(muscle, _BUILD_STOPS),
        _hats(weight, _BUILD_STOPS),
    )
    return np.einsum("g,a,m,w->gamw", *factors).reshape(-1)


def ancestry_weights(ancestry: np.ndarray, *, gender: float, age: float) -> np.ndarray:
    """Weights [18] of ancestry x gender x age bodies; they sum to 1 when the ancestry [3] does."""
    factors = (ancestry, _hats(gender, _GENDER_STOPS), _hats(age, _AGE_STOPS))
    return np.einsum("r,g,a->rga", *factors).reshape(-1)


def _hats(value: float, stops: Sequence[float]) -> np.ndarray:
    """Linear interpolation as weights of the stops."""
    return np.array([np.interp(value, stops, row) for row in np.eye(len(stops))])
