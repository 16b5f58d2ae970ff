"""Directions around a head."""

import math


def wrap_yaw(yaw_deg: float) -> float:
    """The same direction above -180 and up to 180 degrees."""
    wrapped = math.remainder(yaw_deg, 360.0)
    return 180.0 if wrapped == -180.0 else wrapped + 0.0
