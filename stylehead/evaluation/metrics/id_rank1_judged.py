"""Rank-1 identification by the second identity encoder, which no loss, fit or gate uses."""

from stylehead.evaluation.columns import Column
from stylehead.evaluation.comparison import Comparison
from stylehead.evaluation.face_pairs import face_pairs
from stylehead.evaluation.metrics.id_rank1 import rank1_of
from stylehead.evaluation.numbers import Number


def measure_id_rank1_judged(comparison: Comparison) -> Number:
    """Share of stylised faces that are nearest to their own untouched face, by the second encoder."""
    return rank1_of(face_pairs(comparison, judged=True))


COLUMN = Column(
    name="id_rank1_judged",
    better="higher",
    group="people",
    digits=2,
    about="the same by a second identity encoder, asked in no training",
    measure=measure_id_rank1_judged,
)
