"""Reading the frozen networks of a teacher from local folders in diffusers layout."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, ControlNetModel, DDIMScheduler, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer

from stylehead.errors import JobError, MissingError
from stylehead.guidance.schedule import Schedule

CONTROL_KINDS = ("canny", "depth")


@dataclass(frozen=True)
class TeacherPaths:
    """Where the networks of a teacher are.

    Args:
        base: Folder with `vae/ unet/ text_encoder/ tokenizer/ scheduler/`, any Stable Diffusion 1.x pipeline.
        controlnet_canny: Folder of the edge ControlNet; `base/controlnet_canny` is used if it is there.
        controlnet_depth: Folder of the depth ControlNet; `base/controlnet_depth` is used if it is there.
        vae: Folder of another VAE than the one in `base` (some pipelines are published without one).
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


@dataclass(frozen=True)
class TeacherParts:
    """The networks of a teacher, frozen and in evaluation mode.

    Args:
        vae: An `AutoencoderKL` (the classes of diffusers are opaque to type checkers, hence `Any`).
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
    base = Path(paths.base)
    if not base.is_dir():
        raise MissingError(f"There is no teacher folder at `{base}`.", "stylehead weights list")
    controlnets = {kind: paths.controlnet(kind) for kind in CONTROL_KINDS}
    place: dict[str, Any] = {"device": device, "dtype": dtype}
    vae_folder = Path(paths.vae) if paths.vae is not None else base / "vae"
    return TeacherParts(
        vae=load_network(AutoencoderKL, vae_folder, device=device, dtype=vae_dtype),
        unet=load_network(UNet2DConditionModel, base / "unet", **place),
        text_encoder=load_network(CLIPTextModel, base / "text_encoder", **place),
        tokenizer=_load(CLIPTokenizer.from_pretrained, base / "tokenizer"),
        controlnets={
            kind: load_network(ControlNetModel, Path(folder), **place)
            for kind, folder in controlnets.items()
            if folder is not None
        },
        schedule=Schedule.from_config(_load(DDIMScheduler.load_config, base / "scheduler"), steps=steps),
    )


def load_network(kind: Any, folder: Path, *, device: torch.device, dtype: torch.dtype) -> Any:
    """Load one network from its safetensors folder, frozen and in evaluation mode.

    Args:
        kind: A diffusers or transformers model class.
        folder: Folder with `config.json` and safetensors weights (plain or in the `fp16` variant).
        device: Where it goes.
        dtype: Of its weights, whatever the file's.

    Raises:
        MissingError: The folder, its config or its safetensors file is not there.
        JobError: The files cannot be read as this network.
    """
    weights = sorted(folder.glob("*.safetensors")) if folder.is_dir() else []
    if folder.is_dir() and not weights:
        raise MissingError(f"There is no safetensors file in `{folder}`.", "stylehead weights verify")
    variant = "fp16" if weights and all(".fp16." in path.name for path in weights) else None
    options = {"use_safetensors": True, "torch_dtype": dtype, "variant": variant}
    network: nn.Module = _load(kind.from_pretrained, folder, **options)
    return network.to(device).eval().requires_grad_(False)


def _load(loader: Callable[..., Any], folder: Path, **options: object) -> Any:
    """Call a `from_pretrained` on a local folder, with this package's errors and without its chatter."""
    if not folder.is_dir():
        raise MissingError(f"The teacher lacks the folder `{folder}`.", "stylehead weights verify")
    try:
        with quiet_libraries():
            return loader(str(folder), local_files_only=True, **options)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise JobError(f"`{folder}` cannot be loaded as a part of a teacher: {reason}") from error


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silence the loading bars and advice of diffusers and transformers for a moment."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    libraries = (diffusers_logging, transformers_logging)
    before = [(lib.get_verbosity(), lib.is_progress_bar_enabled()) for lib in libraries]
    for lib in libraries:
        lib.set_verbosity_error()
        lib.disable_progress_bar()
    try:
        yield
    finally:
        for lib, (verbosity, bars) in zip(libraries, before, strict=True):
            lib.set_verbosity(verbosity)
            if bars:
                lib.enable_progress_bar()
