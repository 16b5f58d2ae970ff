"""A teacher without numbers, on the meta device: what it would cost, before anything is loaded."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from stylehead.teacher.editing.teaching import EditingTeacher
from stylehead.teacher.parts import TeacherParts
from stylehead.teacher.paths import CONTROL_KINDS
from stylehead.teacher.schedule import Schedule
from stylehead.teacher.shapes import teacher_skeleton
from stylehead.teacher.teacher import Teacher


def teacher_on_paper(
    folders: Mapping[str, Path | None],
    dtype: torch.dtype,
    *,
    vae_dtype: torch.dtype = torch.float32,
    steps: int = 50,
    edits: bool = False,
) -> Teacher:
    """Build a teacher without numbers, for estimates: it encodes, decodes and predicts shapes.

    Args:
        folders: See `teacher_skeleton`; `unet`, `vae`, `text_encoder`, and a role per ControlNet.
        dtype: Of UNet, ControlNets and text encoder.
        vae_dtype: Of the autoencoder.
        steps: Number of DDIM steps that step indices count.
        edits: It is one that edits pictures.
    """
    networks = teacher_skeleton(folders, edits=edits)
    for role, network in networks.items():
        nn.Module.to(network, vae_dtype if role == "vae" else dtype)  # without diffusers' own advice
    kinds = [kind for kind in CONTROL_KINDS if f"controlnet_{kind}" in networks]
    return (EditingTeacher if edits else Teacher)(
        TeacherParts(
            vae=networks["vae"],
            unet=networks["unet"],
            text_encoder=networks["text_encoder"],
            tokenizer=None,
            controlnets={kind: networks[f"controlnet_{kind}"] for kind in kinds},
            schedule=Schedule(steps=steps),
        )
    )
