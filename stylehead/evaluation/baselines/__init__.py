"""Rivals that have no 3D head: diffusion pipelines that edit the picture of every view on its own."""

from stylehead.evaluation.baselines.availability import open_portrait_editor, why_no_editor
from stylehead.evaluation.baselines.portrait_editor import InstructedEditor, PortraitEditor, edit_portraits

__all__ = ["InstructedEditor", "PortraitEditor", "edit_portraits", "open_portrait_editor", "why_no_editor"]
