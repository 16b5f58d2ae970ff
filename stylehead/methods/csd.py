"""CSD, the classifier score alone (arXiv 2310.19415): only what the prompt adds to the prediction.

    g = sqrt(abar_t) s (eps(x_t; y) - eps(x_t; null))

It is LD with this gradient in place of (LD) and without what the paper adds to it.
"""

from dataclasses import dataclass

from stylehead.methods.qualities import Timing
from stylehead.methods.scores import Score
from stylehead.methods.sds import PlainDistillation, PlainSettings
from stylehead.settings import refuse


@dataclass(frozen=True, kw_only=True)
class CsdSettings(PlainSettings):
    """Settings of CSD."""

    score: Score = "classifier"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.score != "classifier":
            refuse("score", self.score, f"classifier with `--method {self.method}`")


class ClassifierDistillation(PlainDistillation):
    """Distillation of the classifier score of single views."""

    name, title = "csd", "CSD"
    pace = Timing(step=0.27)
    settings = CsdSettings
