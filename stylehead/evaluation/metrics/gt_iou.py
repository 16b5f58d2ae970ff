"""Overlap of outlines with those of the true stylised heads, where they are known."""

from stylehead.errors import MissingError
from stylehead.evaluation.columns import Column
from stylehead.evaluation.comparison import Comparison
from stylehead.evaluation.numbers import Number, Provenance, mean_over_people, shared
from stylehead.images import outline_iou


def measure_gt_iou(comparison: Comparison) -> Number:
    """Overlap with the true outlines."""
    truth, portraits = comparison.target.need_truth().portraits, comparison.stylised.portraits
    both = shared(portraits, truth, "The true pictures")
    if portraits.masks is None or truth.masks is None:
        raise MissingError("The outline of these heads is not known.")
    ours, theirs = both.first(portraits.masks).flatten(0, 1), both.second(truth.masks).flatten(0, 1)
    values = outline_iou(ours, theirs).unflatten(0, (len(both.seeds), -1))
    return mean_over_people(values, Provenance.of(both))


COLUMN = Column(
    name="gt_iou",
    better="higher",
    group="shape",
    digits=3,
    about="overlap of the outline with that of the true stylised head",
    measure=measure_gt_iou,
)
