"""Reading the frozen networks of a teacher from local folders and files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    ControlNetModel,
    DDIMScheduler,
    UNet2DConditionModel,
)
from transformers import CLIPTextModel

from stylehead.teacher.check import check_teacher, read_description
from stylehead.teacher.lora import add_lora
from stylehead.teacher.paths import CONTROL_KINDS, TeacherPaths
from stylehead.teacher.prompts import load_tokenizer
from stylehead.teacher.schedule import Schedule
from stylehead.teacher.single_file import load_from_file
from stylehead.weights.model_files import ModelFile
from stylehead.weights.pretrained import load_local, load_network


@dataclass(frozen=True)
class TeacherParts:
    """The networks of a teacher, frozen and in evaluation mode.

    Args:
        vae: An `AutoencoderKL` or `AutoencoderTiny` (the classes of diffusers are opaque to type checkers,
            hence `Any`).
        unet: A `UNet2DConditionModel` that predicts noise.
        text_encoder: A `CLIPTextModel`.
        tokenizer: Its `CLIPTokenizer`.
        controlnets: A `ControlNetModel` per kind, `canny` and `depth`; none, one or both.
        schedule: The noise schedule that the UNet was trained on.
    """

    vae: Any
    unet: Any
    text_encoder: Any
    tokenizer: Any
    controlnets: Mapping[str, Any]
    schedule: Schedule


def load_parts(
    paths: TeacherPaths, *, device: torch.device, dtype: torch.dtype, vae_dtype: torch.dtype, steps: int
) -> TeacherParts:
    """Load every network of a teacher from disk; never reaches the network and never unpickles.

    Args:
        paths: Local folders and files.
        device: Where the networks go.
        dtype: Of UNet, ControlNets and text encoder.
        vae_dtype: Of the VAE, through which gradients flow.
        steps: Number of DDIM steps of the schedule.

    Raises:
        MissingError: A folder or file is not there.
        JobError: A file is not what its place says.
    """
    check_teacher(paths)
    loader = _Loader(paths, device)
    tokenizer = paths.tokenizer_folder
    parts = TeacherParts(
        vae=loader.load("vae", vae_dtype),
        unet=loader.load("unet", dtype),
        text_encoder=loader.load("text_encoder", dtype),
        tokenizer=load_tokenizer(tokenizer),
        controlnets={
            kind: loader.load(f"controlnet_{kind}", dtype)
            for kind in CONTROL_KINDS
            if f"controlnet_{kind}" in paths.networks()
        },
        schedule=_schedule(paths, steps),
    )
    for lora in paths.loras:
        add_lora(lora, unet=parts.unet, text_encoder=parts.text_encoder)
    return parts


class _Loader:
    """Loads networks from folders and files, each file opened once."""

    def __init__(self, paths: TeacherPaths, device: torch.device) -> None:
        self._places, self._device = paths.networks(), device
        self._files = {place: ModelFile(place) for place in set(self._places.values()) if place.is_file()}

    def load(self, role: str, dtype: torch.dtype) -> Any:
        """Load the network of a role."""
        place = self._places[role]
        if place in self._files:
            return load_from_file(self._files[place], role, device=self._device, dtype=dtype)
        return load_network(_kind(role, place), place, device=self._device, dtype=dtype)


def _schedule(paths: TeacherPaths, steps: int) -> Schedule:
    """Read the noise schedule; a single file has none, and Stable Diffusion 1.x has but one."""
    if paths.single_file:
        return Schedule(steps=steps)
    return Schedule.from_config(load_local(DDIMScheduler.load_config, paths.base / "scheduler"), steps=steps)


def _kind(role: str, folder: Path) -> Any:
    kinds = {"unet": UNet2DConditionModel, "text_encoder": CLIPTextModel}
    return _autoencoder(folder) if role == "vae" else kinds.get(role, ControlNetModel)


def _autoencoder(folder: Path) -> Any:
    """Return the class of the autoencoder in a folder, which its `config.json` names."""
    tiny = read_description(folder / "config.json").get("_class_name") == "AutoencoderTiny"
    return AutoencoderTiny if tiny else AutoencoderKL
