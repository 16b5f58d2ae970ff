"""Frechet Inception distance (arXiv 1706.08500): only over Inception, only with enough pictures.

Over any other features the distance must have another name.
"""

from stylehead.evaluation.columns import Column
from stylehead.evaluation.comparison import Comparison
from stylehead.evaluation.distributions import feature_sets, frechet_number
from stylehead.evaluation.numbers import Number

SANE_PICTURES = 2000


def measure_fid(comparison: Comparison) -> Number:
    """FID to the reference pictures; refused over too few."""
    sets = feature_sets(comparison, "inception", comparison.encoders.require("inception").name)
    return frechet_number(comparison, sets, name="fid", sane=SANE_PICTURES)


COLUMN = Column(
    name="fid",
    better="lower",
    group="paper",
    digits=1,
    about="Frechet Inception distance to the reference pictures",
    measure=measure_fid,
)
