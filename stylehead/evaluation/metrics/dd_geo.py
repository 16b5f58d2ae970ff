"""Change of shape: difference of the depth that the generator rendered, before and after stylising."""

import torch

from stylehead.errors import MissingError
from stylehead.evaluation.columns import Column
from stylehead.evaluation.comparison import Comparison
from stylehead.evaluation.depth_difference import depth_difference
from stylehead.evaluation.numbers import Number, Provenance, mean_over_people, shared


def measure_dd_geo(comparison: Comparison) -> Number:
    """Change of the rendered depth where both heads are."""
    both = shared(comparison.stylised.portraits, comparison.untouched.portraits, "The untouched pictures")
    after, before = comparison.stylised.portraits, comparison.untouched.portraits
    if after.depths is None or before.depths is None or after.masks is None or before.masks is None:
        raise MissingError("These are pictures without geometry.")
    mask = torch.minimum(both.first(after.masks), both.second(before.masks))
    depths = (both.first(after.depths), both.second(before.depths), mask)
    values = depth_difference(*(part.flatten(0, 1) for part in depths)).unflatten(0, mask.shape[:2])
    return mean_over_people(values, Provenance.of(both))


COLUMN = Column(
    name="dd_geo",
    better="lower",
    group="paper",
    digits=3,
    about="change of rendered depth inside the head, each depth scaled to 0..1",
    measure=measure_dd_geo,
)
