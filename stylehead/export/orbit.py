"""Paths of the camera around a head, and of a film through several heads or styles."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

Easing = Literal["linear", "smooth"]
SWAY_DEG = 35.0
"""How far a morph looks to either side."""


class Shot(NamedTuple):
    """Where the camera stands, in degrees; see `stylehead.geometry.look_at`."""

    yaw_deg: float
    pitch_deg: float = 0.0


def orbit(
    steps: int, *, pitch_deg: float = 0.0, swing_deg: float = 0.0, easing: Easing = "linear"
) -> list[Shot]:
    """Go once around the head from the front; the last shot is one step short of the full turn.

    Args:
        steps: How many shots.
        pitch_deg: Of all of them.
        swing_deg: The pitch rises and falls by so much on the way, once up and once down.
        easing: `smooth` starts and ends at rest.
    """
    shots = []
    for step in range(steps):
        yaw = 360.0 * step / steps if easing == "linear" else 360.0 * ease(step / steps)
        shots.append(Shot(yaw, pitch_deg + swing_deg * math.sin(math.radians(yaw))))
    return shots


def sway(steps: int, *, pitch_deg: float = 0.0) -> list[Shot]:
    """Look at the face from one side, from the other, and back to the front, where it began."""
    return [Shot(SWAY_DEG * math.sin(2 * math.pi * step / steps), pitch_deg) for step in range(steps)]


def ease(share: float, easing: Easing = "smooth") -> float:
    """Map 0..1 to 0..1: at rest at both ends when `smooth`, with Hermite's polynomial 3 t^2 - 2 t^3."""
    return share if easing == "linear" else share * share * (3 - 2 * share)


def closed_path(stations: int, steps: int, easing: Easing = "smooth") -> list[tuple[float, ...]]:
    """Shares of every station on a way through all of them and back to the first.

    Args:
        stations: At least 2.
        steps: How many points of the way.
        easing: `smooth` rests at every station.

    Returns:
        One tuple a step, of `stations` shares that are not negative and sum to 1.
    """
    path = []
    for step in range(steps):
        at = stations * step / steps
        first = int(at)
        share = ease(at - first, easing)
        path.append(_between(first % stations, (first + 1) % stations, share, stations))
    return path


def _between(first: int, second: int, share: float, stations: int) -> tuple[float, ...]:
    weights: Sequence[float] = [
        (1 - share) * (station == first) + share * (station == second) for station in range(stations)
    ]
    return tuple(weights)
