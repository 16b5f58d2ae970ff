"""The stylise job: scores, rank weighing, mirror, grid, regularisers, and the trainer over them."""

from stylehead.images import FeatureMaps
from stylehead.methods.contract import Perception
from stylehead.methods.stages import DepthFunction
from stylehead.methods.trainer import RunSummary, StepRecord, Stylizer

__all__ = ["DepthFunction", "FeatureMaps", "Perception", "RunSummary", "StepRecord", "Stylizer"]
