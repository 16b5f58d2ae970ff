"""The frozen teacher: a diffusion model, its schedule and conditions.

It knows nothing about heads.
"""

from stylehead.teacher.autoencoder import Autoencoder
from stylehead.teacher.conditions import canny_condition, depth_condition, estimated_depth_condition
from stylehead.teacher.paths import TeacherPaths
from stylehead.teacher.schedule import Schedule
from stylehead.teacher.sources import local_folder
from stylehead.teacher.teacher import (
    WITHOUT,
    ControlCondition,
    EpsPair,
    NoisyLatents,
    PromptEmbedding,
    Teacher,
)

__all__ = [
    "WITHOUT",
    "Autoencoder",
    "ControlCondition",
    "EpsPair",
    "NoisyLatents",
    "PromptEmbedding",
    "Schedule",
    "Teacher",
    "TeacherPaths",
    "canny_condition",
    "depth_condition",
    "estimated_depth_condition",
    "local_folder",
]
