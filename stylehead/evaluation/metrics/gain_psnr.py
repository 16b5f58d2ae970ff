"""Share of the gain in PSNR; see `gain`. It forgives blur."""

from stylehead.evaluation.columns import Column
from stylehead.evaluation.comparison import Comparison
from stylehead.evaluation.metrics.gain import share_of_gain
from stylehead.evaluation.metrics.gt_psnr import psnr_to
from stylehead.evaluation.numbers import Number, Provenance, mean_over_people, shared


def measure_gain_psnr(comparison: Comparison) -> Number:
    """Share of the oracle's gain in dB."""
    truth, oracle = comparison.target.need_truth().portraits, comparison.target.need_oracle()
    both = shared(comparison.stylised.portraits, truth, "The true pictures")
    sides = (comparison.untouched, comparison.stylised, oracle)
    values = share_of_gain(*(-psnr_to(truth, side.portraits, both) for side in sides))
    return mean_over_people(values, Provenance.of(both))


COLUMN = Column(
    name="gain_psnr",
    better="higher",
    group="shape",
    digits=2,
    about="the same in PSNR, which forgives blur",
    measure=measure_gain_psnr,
)
