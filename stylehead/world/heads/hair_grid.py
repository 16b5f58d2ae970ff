"""The grid that hair grows on: rays out of the head, in rows from the crown down to the shoulders."""

import numpy as np

COLUMNS = 128
CAP_ROWS = 24  # from the crown down to the widest part of the skull
CURTAIN_ROWS = 40  # from there down to the shoulders
ROWS = CAP_ROWS + CURTAIN_ROWS

_CENTRE = np.array([0.0, 0.02, -0.005])
_CURTAIN_DEPTHS = np.linspace(0.008, 0.36, CURTAIN_ROWS)


def column_azimuths() -> np.ndarray:
    """Angle [128] of each column about the vertical axis, radians: 0 in front, towards the head's left."""
    return np.arange(COLUMNS) / COLUMNS * 2 * np.pi


def axis_depth(height: np.ndarray) -> np.ndarray:
    """Depth (z) of the axis of head and neck at a height; it leans back towards the neck."""
    return np.interp(height, [-0.35, -0.2, -0.10, 0.02], [-0.035, -0.03, -0.02, -0.005])


def rays() -> tuple[np.ndarray, np.ndarray]:
    """Origins and unit directions [64, 128, 3]: over the cap from one point, below it level from the axis."""
    azimuth = column_azimuths()
    around = np.stack([np.sin(azimuth), 0 * azimuth, np.cos(azimuth)], axis=1)
    polar = np.deg2rad(np.linspace(0.0, 90.0, CAP_ROWS))[:, None, None]
    cap_directions = np.sin(polar) * around + np.cos(polar) * np.array([0.0, 1.0, 0.0])

    heights = _CENTRE[1] - _CURTAIN_DEPTHS
    axis = np.stack([0 * heights, heights, axis_depth(heights)], axis=1)
    shape = (CURTAIN_ROWS, COLUMNS, 3)
    origins = [np.broadcast_to(_CENTRE, cap_directions.shape), np.broadcast_to(axis[:, None], shape)]
    directions = [cap_directions, np.broadcast_to(around, shape)]
    return np.concatenate(origins), np.concatenate(directions)
