"""Reading the frozen networks of a teacher from local folders in diffusers layout."""

import json
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
from transformers import CLIPTextModel, CLIPTokenizer

from stylehead.errors import JobError, MissingError
from stylehead.teacher.schedule import Schedule
from stylehead.weights.pretrained import load_local, load_network, weight_files

CONTROL_KINDS = ("canny", "depth")
_STABLE_DIFFUSION = "StableDiffusion"
_AUTOENCODERS = {"AutoencoderKL": AutoencoderKL, "AutoencoderTiny": AutoencoderTiny}


@dataclass(frozen=True)
class TeacherPaths:
    """Where the networks of a teacher are.

    Args:
        base: Folder with `vae/ unet/ text_encoder/ tokenizer/ scheduler/`, any Stable Diffusion 1.x pipeline.
        controlnet_canny: Folder of the edge ControlNet; `base/controlnet_canny` is used if it is there.
        controlnet_depth: Folder of the depth ControlNet; `base/controlnet_depth` is used if it is there.
        vae: Folder of another VAE than the one in `base` (some pipelines are published without one), or of a
            tiny one (`AutoencoderTiny`).
    """

    base: Path
    controlnet_canny: Path | None = None
    controlnet_depth: Path | None = None
    vae: Path | None = None

    def controlnet(self, kind: str) -> Path | None:
        """Return the folder of a ControlNet, or None if this teacher has none of that kind."""
        given: Path | None = getattr(self, f"controlnet_{kind}")
        inside = self.base / f"controlnet_{kind}"
        return given if given is not None else inside if inside.is_dir() else None

    def networks(self) -> dict[str, Path]:
        """Return the folder of every network that is loaded, by role; each holds a `config.json`."""
        found = {
            "unet": self.base / "unet",
            "vae": self.vae if self.vae is not None else self.base / "vae",
            "text_encoder": self.base / "text_encoder",
        }
        controlnets = {f"controlnet_{kind}": self.controlnet(kind) for kind in CONTROL_KINDS}
        return found | {role: folder for role, folder in controlnets.items() if folder is not None}

    def weight_files(self) -> dict[str, Path]:
        """Return every weight file that is read, as `role/name`; those that are not there are left out."""
        return {
            f"{role}/{path.name}": path
            for role, folder in self.networks().items()
            for path in weight_files(folder)
        }


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
        paths: Local folders.
        device: Where the networks go.
        dtype: Of UNet, ControlNets and text encoder.
        vae_dtype: Of the VAE, through which gradients flow; half precision loses small ones.
        steps: Number of DDIM steps of the schedule.

    Raises:
        MissingError: A folder or file is not there.
        JobError: A file is not what its place says.
    """
    base, folders = Path(paths.base), paths.networks()
    if not base.is_dir():
        raise MissingError(f"There is no teacher folder at `{base}`.", "stylehead weights list")
    _check_pipeline(base)
    if not folders["vae"].is_dir():
        hint = "--vae with the folder or hub id of an autoencoder"
        raise MissingError(f"The teacher lacks the folder `{folders['vae']}`.", hint)
    place: dict[str, Any] = {"device": device, "dtype": dtype}
    parts = TeacherParts(
        vae=load_network(_autoencoder(folders["vae"]), folders["vae"], device=device, dtype=vae_dtype),
        unet=load_network(UNet2DConditionModel, folders["unet"], **place),
        text_encoder=load_network(CLIPTextModel, folders["text_encoder"], **place),
        tokenizer=load_local(CLIPTokenizer.from_pretrained, base / "tokenizer"),
        controlnets={
            kind: load_network(ControlNetModel, folders[f"controlnet_{kind}"], **place)
            for kind in CONTROL_KINDS
            if f"controlnet_{kind}" in folders
        },
        schedule=Schedule.from_config(load_local(DDIMScheduler.load_config, base / "scheduler"), steps=steps),
    )
    _check_fit(parts, folders)
    return parts


def _check_pipeline(base: Path) -> None:
    """Refuse a pipeline that is no Stable Diffusion 1.x, before gigabytes are read.

    Raises:
        JobError: Its `model_index.json` names another architecture, or cannot be read.
    """
    index = base / "model_index.json"
    if not index.is_file():
        return
    try:
        content = json.loads(index.read_text(encoding="utf-8"))
        kind = str(content.get("_class_name", _STABLE_DIFFUSION))
    except (ValueError, AttributeError) as error:
        raise JobError(f"`{index}` is damaged: {error}.") from error
    if not kind.startswith(_STABLE_DIFFUSION) or "XL" in kind or "3" in kind or "text_encoder_2" in content:
        raise JobError(f"`{base}` is a {kind}; only Stable Diffusion 1.x models can teach.")


def _check_fit(parts: TeacherParts, folders: Mapping[str, Path]) -> None:
    """Compare the sizes that the networks of a teacher must share.

    Raises:
        JobError: Two of them do not fit together; names both.
    """
    unet, width = parts.unet.config, parts.text_encoder.config.hidden_size
    wanted = {"vae": ("latent channels", parts.vae.config.latent_channels, unet.in_channels)}
    wanted["text_encoder"] = ("numbers per word", width, unet.cross_attention_dim)
    for kind, network in parts.controlnets.items():
        config = network.config
        own, other = ((*c.block_out_channels, c.cross_attention_dim) for c in (config, unet))
        wanted[f"controlnet_{kind}"] = ("widths", own, other)
    for role, (what, has, needs) in wanted.items():
        if has != needs:
            raise JobError(
                f"`{folders[role]}` does not fit the UNet in `{folders['unet']}`: "
                f"{what} {has}, where the UNet takes {needs}."
            )


def _autoencoder(folder: Path) -> Any:
    """Return the class of the autoencoder in a folder, which its `config.json` names."""
    config = folder / "config.json"
    try:
        name = json.loads(config.read_text(encoding="utf-8")).get("_class_name", "AutoencoderKL")
    except (OSError, ValueError, AttributeError):
        return AutoencoderKL  # loading it will say what is wrong
    if name not in _AUTOENCODERS:
        raise JobError(f"`{folder}` holds a {name}; a teacher takes {' or '.join(_AUTOENCODERS)}.")
    return _AUTOENCODERS[name]
