"""The camera of a face from five points: eyes, nose and mouth corners against those of a mean head.

The camera is the generator's own (2.7 away, narrow lens): six numbers, yaw, pitch, roll, size and place.
People's noses and mouths differ as much as a few degrees of pitch do, so that angles are held near the front
by a prior, and within bounds.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from stylehead.geometry import fov_to_intrinsics, look_at

Points = NDArray[np.float64]

MEAN_FIVE = np.array(
    [
        [-0.0591, 0.0018, 0.1654],
        [0.0591, 0.0018, 0.1654],
        [0.0000, -0.0648, 0.2220],
        [-0.0481, -0.1203, 0.1560],
        [0.0481, -0.1203, 0.1560],
    ]
)
"""[5, 3]: eyes, nose and mouth corners of the mean head in the generator's space (x right, y up, z out of the
face). Triangulated from what CenterFace finds in 252 renders of 12 embedded heads, and made symmetric:
`python -m stylehead.world likeness --landmarks` does it again."""

MOST_YAW_DEG, MOST_PITCH_DEG = 85.0, 25.0
_SPREAD_RAD = np.radians([40.0, 7.0, 30.0])  # how far yaw, pitch and roll are from 0 in photographs
_BOUNDS_RAD = np.radians([MOST_YAW_DEG, MOST_PITCH_DEG])
_NOISE = 0.05  # of a landmark, in distances between the eyes and the mouth
_MOST_GROWTH = 1.0  # of the logarithm of the size, from its first guess
_ROUNDS = 12


class FivePointFit(NamedTuple):
    """Where the head is and how it is turned."""

    yaw_rad: float
    pitch_rad: float
    """Angles of the camera as `stylehead.geometry.look_at` takes them."""
    roll_rad: float
    """How far the head leans clockwise in the picture."""
    edge: float
    """Edge of the crop, pixels."""
    centre: Points
    """[2], where the head's centre shows, pixels."""


def fit_five(five: Points) -> FivePointFit:
    """Find the camera of five points [5, 2] in pixels (Gauss-Newton from the front).

    Points that all fall together give a front view of their own size.
    """
    along = float(np.linalg.norm(five[:2].mean(axis=0) - five[3:].mean(axis=0)))
    unit = max(along, float(five.std(axis=0).max()), 1e-3)
    flat = project(np.zeros(6))
    size = unit / float(np.linalg.norm(flat[:2].mean(axis=0) - flat[3:].mean(axis=0)))
    start = five.mean(axis=0) - flat.mean(axis=0) * size
    found = np.array([_yaw_of_nose(five, unit), 0.0, 0.0, math.log(size), *(start / size)])
    for _ in range(_ROUNDS):
        rest, slope = _residuals(found, five, unit), _slopes(found, five, unit)
        found = found - np.linalg.solve(slope.T @ slope + 1e-6 * np.eye(6), slope.T @ rest)
        found[:2] = np.clip(found[:2], -_BOUNDS_RAD, _BOUNDS_RAD)
        found[3] = np.clip(found[3], math.log(size) - _MOST_GROWTH, math.log(size) + _MOST_GROWTH)
    yaw, pitch, roll, log_size = found[:4].tolist()
    return FivePointFit(yaw, pitch, roll, math.exp(log_size), found[4:] * math.exp(log_size))


def project(pose: Points, points: Points = MEAN_FIVE) -> Points:
    """Where a pose (yaw, pitch, roll, log size, place) shows points [N, 3]: [N, 2], in edges of the crop."""
    camera = look_at(*torch.tensor(pose[:2], dtype=torch.float64)[:, None])[0].numpy()
    seen = (points - camera[:3, 3]) @ camera[:3, :3]
    focal = float(fov_to_intrinsics()[0, 0])
    flat = focal * seen[:, :2] / seen[:, 2:]
    cos, sin = math.cos(pose[2]), math.sin(pose[2])
    return flat @ np.array([[cos, sin], [-sin, cos]]) + pose[4:]


def _residuals(pose: Points, five: Points, unit: float) -> Points:
    """What is to become small, [13]: misses of the points, and angles, each in its own spread."""
    misses = (project(pose) * math.exp(pose[3]) - five) / (unit * _NOISE)
    return np.concatenate([misses.reshape(-1), pose[:3] / _SPREAD_RAD])


def _slopes(pose: Points, five: Points, unit: float) -> Points:
    """Derivatives [13, 6] by central differences."""
    steps = np.eye(6) * 1e-4
    ahead, behind = ([_residuals(pose + sign * step, five, unit) for step in steps] for sign in (1, -1))
    return (np.stack(ahead, axis=1) - np.stack(behind, axis=1)) / 2e-4


def _yaw_of_nose(five: Points, unit: float) -> float:
    """First guess: the nose stands out towards where the face looks."""
    down = five[3:].mean(axis=0) - five[:2].mean(axis=0)
    middle = (five[:2].mean(axis=0) + five[3:].mean(axis=0)) / 2
    right = np.array([down[1], -down[0]]) / unit  # perpendicular to the face's axis: no eye is needed
    share = float((five[2] - middle) @ right) / unit
    return -math.asin(min(max(share / 0.55, -0.95), 0.95))
