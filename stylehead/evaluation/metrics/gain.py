"""Share of the gain: how much of the way from the untouched head to the oracle a method goes.

    share = (d(untouched, truth) - d(method, truth)) / (d(untouched, truth) - d(oracle, truth))

The oracle was trained as `--method edit` is, on true pictures of other people in place of edited ones: 1 is
as good as edits can be. Here d is the mean squared distance of the second recogniser's features.
"""

from torch import Tensor

from stylehead.errors import JobError
from stylehead.evaluation.columns import Column
from stylehead.evaluation.comparison import Comparison
from stylehead.evaluation.numbers import Number, Provenance, mean_over_people, shared


def share_of_gain(untouched: Tensor, method: Tensor, oracle: Tensor) -> Tensor:
    """Share of the gain of every person, whose mean is that of all: ratios are of means.

    Args:
        untouched: Distances to the truth [N, V].
        method: Likewise.
        oracle: Likewise.

    Raises:
        JobError: The oracle is no nearer to the truth than the untouched heads.
    """
    whole = (untouched - oracle).double().mean()
    if whole <= 0:
        raise JobError("The oracle is no nearer to the truth than the untouched heads.")
    return (untouched - method).double() / whole


def measure_gain(comparison: Comparison) -> Number:
    """Share of the oracle's gain by the second recogniser's features."""
    truth, oracle = comparison.target.need_truth(), comparison.target.need_oracle()
    both = shared(comparison.stylised.portraits, truth.portraits, "The true pictures")
    wanted = both.second(truth.judged_looks)
    distances = (
        (both.first(side.judged_looks) - wanted).square().sum(dim=-1)
        for side in (comparison.untouched, comparison.stylised, oracle)
    )
    network = comparison.encoders.require("style_judge")
    return mean_over_people(share_of_gain(*distances), Provenance.of(both, network.name))


COLUMN = Column(
    name="gain",
    better="higher",
    group="shape",
    digits=2,
    about="share of the gain that training on true pictures brings, in the second recogniser's eyes",
    measure=measure_gain,
)
