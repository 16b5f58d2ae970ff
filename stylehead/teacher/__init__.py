"""The frozen teacher: a diffusion model, its schedule and conditions.

It knows nothing about heads. Names are imported when they are used: diffusers takes seconds, and nobody needs
it who only asks where a teacher lies.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_HOMES = {
    **dict.fromkeys(("canny_condition", "depth_condition", "estimated_depth_condition"), "conditions"),
    "Autoencoder": "autoencoder",
    "Schedule": "schedule",
    "TeacherPaths": "paths",
    "local_folder": "sources",
}
"""All other names live in `teacher`."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES.get(name, 'teacher')}"), name)
