"""CLIPScore (arXiv 2104.08718): the cosine of picture and prompt, never negative, stretched by 2.5."""

from torch import Tensor

from stylehead.evaluation.columns import Column
from stylehead.evaluation.comparison import Comparison
from stylehead.evaluation.metrics.clip_text import prompt_cosines
from stylehead.evaluation.numbers import Number, mean_over_people

STRETCH = 2.5


def clip_score(cosines: Tensor) -> Tensor:
    """`2.5 max(cos, 0)` of cosines [...] of pictures with their prompt; [...] in 0..2.5."""
    return STRETCH * cosines.clamp(min=0)


def measure_clip_score(comparison: Comparison) -> Number:
    """CLIPScore of the prompt."""
    cosines, provenance = prompt_cosines(comparison)
    return mean_over_people(clip_score(cosines), provenance)


COLUMN = Column(
    name="clip_score",
    better="higher",
    group="paper",
    digits=3,
    about="2.5 times the cosine to the prompt, at least 0",
    measure=measure_clip_score,
)
