"""Who a person becomes under truncation: measures move towards the average person's, choices stay.

Truncation pulls a style vector towards the mean of all, and the mean of two haircuts is no haircut. What a
generator should draw there is decided here: a smaller nose, a milder age, a paler red; the same cut of hair,
the same glasses, the same kind of beard.
"""

import functools
from dataclasses import replace
from typing import Any

import numpy as np

from stylehead.world.heads.identity import LATENT_SIZE, VECTOR_FIELDS, Identity, identity_from_z

_PEOPLE = 512
MEASURES: tuple[str, ...] = tuple(field.name for field in VECTOR_FIELDS if not field.categories)
"""Traits of which there is more or less; all others are choices."""


def truncated(identity: Identity, psi: float) -> Identity:
    """Bring a person's measures nearer to the average: `average + psi (measure - average)`.

    Args:
        identity: Who.
        psi: 1 leaves the person alone, 0 gives average measures under the person's own choices.
    """
    if psi == 1:
        return identity
    average = average_measures()
    shrunk: dict[str, Any] = {
        name: _between(average[name], getattr(identity, name), psi) for name in MEASURES
    }
    return replace(identity, **shrunk)


@functools.cache
def average_measures() -> dict[str, float | np.ndarray]:
    """Means of all measures, over random people."""
    crowd = [identity_from_z(z) for z in np.random.RandomState(8).randn(_PEOPLE, LATENT_SIZE)]
    return {name: np.mean([getattr(person, name) for person in crowd], axis=0) for name in MEASURES}


def _between(start: float | np.ndarray, end: float | np.ndarray, share: float) -> float | np.ndarray:
    value = start + share * (end - start)
    if isinstance(value, np.ndarray):
        value.setflags(write=False)
        return value
    return float(value)
