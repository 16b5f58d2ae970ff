"""Share of pictures that the second recogniser calls by the prompted style: it takes part in no training."""

from stylehead.evaluation.columns import Column
from stylehead.evaluation.comparison import Comparison
from stylehead.evaluation.metrics.style import share_named
from stylehead.evaluation.numbers import Number


def measure_style_judged(comparison: Comparison) -> Number:
    """Share of pictures that the second recogniser calls by the style of the target."""
    return share_named(comparison, comparison.stylised.judged_styles, "style_judge")


COLUMN = Column(
    name="style_judged",
    better="higher",
    group="style",
    digits=2,
    about="share of pictures that a second recogniser, asked in no training, calls by the style",
    measure=measure_style_judged,
)
