"""The stylise job: scores, rank weighing, mirror, grid, regularisers, and the trainer over them."""

from stylehead.distill.losses import FeatureMaps
from stylehead.distill.method import Perception
from stylehead.distill.stages import DepthFunction
from stylehead.distill.trainer import RunSummary, StepRecord, Stylizer

__all__ = ["DepthFunction", "FeatureMaps", "Perception", "RunSummary", "StepRecord", "Stylizer"]
