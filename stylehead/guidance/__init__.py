"""The frozen teacher: a latent diffusion model its schedule and its conditions. Knows nothing about heads."""

from stylehead.guidance.autoencoder import Autoencoder
from stylehead.guidance.conditions import canny_condition, depth_condition, estimated_depth_condition
from stylehead.guidance.depth import DepthEstimator
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
    "ControlCondition",
    "DepthEstimator",
    "EpsPair",
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
