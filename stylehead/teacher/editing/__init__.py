"""Editors: diffusion models that change a picture as an instruction says."""

from stylehead.teacher.editing.editor import EMBEDDED, PUBLISHED, Editor, Guidance, level_background, resized
from stylehead.teacher.editing.instruct import InstructPix2Pix
from stylehead.teacher.editing.opening import (
    check_editor,
    open_editor,
    open_preset_editor,
    why_no_preset_editor,
)
from stylehead.teacher.editing.pipeline import PipelineEditor

__all__ = [
    "EMBEDDED",
    "PUBLISHED",
    "Editor",
    "Guidance",
    "InstructPix2Pix",
    "PipelineEditor",
    "check_editor",
    "level_background",
    "open_editor",
    "open_preset_editor",
    "resized",
    "why_no_preset_editor",
]
