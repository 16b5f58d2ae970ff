"""Rivals that have no 3D head: diffusion pipelines that edit the picture of every view on its own."""

from stylehead.evaluation.editing.editor import InstructedEditor, PortraitEditor, edit_portraits
from stylehead.evaluation.editing.opening import open_editor, why_no_editor

__all__ = ["InstructedEditor", "PortraitEditor", "edit_portraits", "open_editor", "why_no_editor"]
