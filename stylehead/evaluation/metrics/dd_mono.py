"""Change of shape: difference of the depth that an estimator predicts, before and after stylising."""

from stylehead.errors import MissingError
from stylehead.evaluation.columns import Column
from stylehead.evaluation.comparison import Comparison
from stylehead.evaluation.depth_difference import depth_difference
from stylehead.evaluation.numbers import Number, Provenance, mean_over_people, shared
from stylehead.images import resize


def measure_dd_mono(comparison: Comparison) -> Number:
    """Change of the estimated depth inside the outline of the untouched head."""
    network = comparison.encoders.require("depth")
    both = shared(comparison.stylised.portraits, comparison.untouched.portraits, "The untouched pictures")
    masks = comparison.untouched.portraits.masks
    if masks is None:
        raise MissingError("The outline of the untouched heads is not known.")
    after, before = both.first(comparison.stylised.nearness), both.second(comparison.untouched.nearness)
    mask = resize(both.second(masks).flatten(0, 1), after.shape[-1], antialias=False)
    values = depth_difference(after.flatten(0, 1), before.flatten(0, 1), mask)
    return mean_over_people(values.unflatten(0, after.shape[:2]), Provenance.of(both, network.name))


COLUMN = Column(
    name="dd_mono",
    better="lower",
    group="paper",
    digits=3,
    about="change of estimated depth inside the head, each depth scaled to 0..1",
    measure=measure_dd_mono,
)
