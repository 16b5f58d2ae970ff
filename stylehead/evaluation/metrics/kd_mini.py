"""Kernel distance over features of the embedded image-text encoder: what stands in for KID there."""

from stylehead.evaluation.columns import Column
from stylehead.evaluation.comparison import Comparison
from stylehead.evaluation.distributions import discrepancy_number, embedded_sets
from stylehead.evaluation.metrics.kid import cubic_kernels
from stylehead.evaluation.numbers import Number


def measure_kd_mini(comparison: Comparison) -> Number:
    """Cubic-kernel discrepancy to the reference pictures."""
    sets = embedded_sets(comparison)
    return discrepancy_number(cubic_kernels(sets.features.flatten(0, 1), sets.reference), sets)


COLUMN = Column(
    name="kd_mini",
    better="lower",
    group="style",
    digits=4,
    about="kernel distance over features of the embedded image-text encoder; not KID",
    measure=measure_kd_mini,
)
