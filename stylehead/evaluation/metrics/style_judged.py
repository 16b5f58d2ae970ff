"""Share of pictures that the second recogniser calls by the prompted style: it takes part in no training."""

from stylehead.evaluation.columns import Column
from stylehead.evaluation.comparison import Comparison
from stylehead.evaluation.metrics.style import named_style
from stylehead.evaluation.numbers import Number, Provenance, mean_over_people


def measure_style_judged(comparison: Comparison) -> Number:
    """Share of pictures that the second recogniser calls by the style of the target."""
    named = named_style(comparison.stylised.judged_styles, comparison.target.style)
    network = comparison.encoders.require("style_judge")
    return mean_over_people(named, Provenance.of(comparison.stylised.portraits, network.name))


COLUMN = Column(
    name="style_judged",
    better="higher",
    group="style",
    digits=2,
    about="share of pictures that a second recogniser, asked in no training, calls by the style",
    measure=measure_style_judged,
)
