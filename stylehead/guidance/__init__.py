"""The frozen teacher: a diffusion model, its schedule and conditions; and spaces of pictures and texts.

It knows nothing about heads.
"""

from stylehead.guidance.autoencoder import Autoencoder
from stylehead.guidance.conditions import canny_condition, depth_condition, estimated_depth_condition
from stylehead.guidance.depth import DepthEstimator
from stylehead.guidance.image_text import ClipSpace, EmbeddedSpace, ImageTextSpace
from stylehead.guidance.parts import TeacherPaths
from stylehead.guidance.schedule import Schedule
from stylehead.guidance.sources import local_folder
from stylehead.guidance.teacher import (
    WITHOUT,
    ControlCondition,
    EpsPair,
    PromptEmbedding,
    Question,
    Teacher,
)

__all__ = [
    "WITHOUT",
    "Autoencoder",
    "ClipSpace",
    "ControlCondition",
    "DepthEstimator",
    "EmbeddedSpace",
    "EpsPair",
    "ImageTextSpace",
    "PromptEmbedding",
    "Question",
    "Schedule",
    "Teacher",
    "TeacherPaths",
    "canny_condition",
    "depth_condition",
    "estimated_depth_condition",
    "local_folder",
]
