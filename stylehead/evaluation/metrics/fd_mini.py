"""Frechet distance over features of the embedded image-text encoder: what stands in for FID there."""

from stylehead.evaluation.columns import Column
from stylehead.evaluation.comparison import Comparison
from stylehead.evaluation.distributions import embedded_sets, frechet_number
from stylehead.evaluation.numbers import Number


def measure_fd_mini(comparison: Comparison) -> Number:
    """Frechet distance to the reference pictures; refused over fewer of them than features."""
    sets = embedded_sets(comparison)
    return frechet_number(comparison, sets, name="fd_mini", sane=sets.features.shape[-1])


COLUMN = Column(
    name="fd_mini",
    better="lower",
    group="paper",
    digits=3,
    about="Frechet distance over features of the embedded image-text encoder; not FID",
    measure=measure_fd_mini,
)
