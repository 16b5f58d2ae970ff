"""Whether files can teach, told by their configurations and names before gigabytes are read.

A run and its estimate both ask here, so that what one refuses the other refuses with the same sentence.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stylehead.errors import JobError, MissingError, quoted
from stylehead.teacher.lora import check_lora
from stylehead.teacher.paths import CONTROL_KINDS, EDITING_CHANNELS, TeacherPaths
from stylehead.teacher.schedule import Schedule
from stylehead.teacher.single_file import VELOCITY_MARK, has_network
from stylehead.weights.model_files import ModelFile
from stylehead.weights.pretrained import WHOLE, require_weights
from stylehead.weights.recognise import recognise

ONLY_SD1 = "only Stable Diffusion 1.x models can teach"
NO_VAE = "--vae with the folder, file or hub id of an autoencoder"
TOKENIZER = "clip-tokenizer"
"""Catalogue entry of the tokenizer that single files lack."""

AUTOENCODERS = ("AutoencoderKL", "AutoencoderTiny")
"""Classes of autoencoders that a teacher takes."""

_STABLE_DIFFUSION = "StableDiffusion"
_DEFAULTS = {"in_channels": 4, "latent_channels": 4, "hidden_size": 512, "cross_attention_dim": 1280}
_WIDTHS = (320, 640, 1280, 1280)
SINGLE_FILE: Mapping[str, Any] = {"in_channels": 4, "cross_attention_dim": 768, "block_out_channels": _WIDTHS}
"""The UNet of a single file."""

_TITLES = {1024: "Stable Diffusion 2.x", 2048: "Stable Diffusion XL"}


def check_teacher(paths: TeacherPaths) -> None:
    """Check that the networks of a teacher are there, are read here, and fit together.

    Raises:
        MissingError: One is not there, or not in a form that is read; says how to add it.
        JobError: One is of another family, or does not fit the others; names both.
    """
    if paths.single_file:
        _check_checkpoint(paths)
    elif not paths.base.is_dir():
        raise MissingError(f"There is no teacher folder at `{paths.base}`.", "stylehead weights list")
    else:
        _check_pipeline(paths.base)
    for role, path in paths.networks().items():
        if path.is_file():
            _check_single(role, path, whole=path == paths.base)
        else:
            _check_folder(role, path, edits=paths.edits)
    if not paths.single_file:
        _require_folder(paths.tokenizer_folder)
        _check_schedule(paths.base / "scheduler")
    _check_fit(paths)
    for lora in paths.loras:
        check_lora(lora.path)


def _check_checkpoint(paths: TeacherPaths) -> None:
    """Check a single file: what it is, and that nothing is missing that it cannot do without."""
    file = ModelFile(paths.base)
    kind = recognise(file.shapes)
    if kind is None or not kind.usable or kind.name != "checkpoint":
        what = "no diffusion model" if kind is None else kind.title
        is_lora = kind is not None and kind.name == "lora"
        hint = f"--lora {quoted(paths.base)} --diffusion MODEL" if is_lora else None
        raise JobError(f"`{paths.base}` is {what}; {ONLY_SD1}.", hint)
    if VELOCITY_MARK in file.shapes:
        raise JobError(f"`{paths.base}` predicts velocities; only models that predict the noise can teach.")
    if paths.vae is None and not has_network(file, "vae"):
        raise MissingError(f"`{paths.base}` has no autoencoder.", NO_VAE)
    if not has_network(file, "text_encoder"):
        raise MissingError(
            f"`{paths.base}` has no text encoder.", "take the model's full file, not a pruned one"
        )
    if paths.tokenizer is None:
        message = f"`{paths.base}` is a single file, which needs a tokenizer beside it, and none is here."
        raise MissingError(message, f"stylehead weights fetch {TOKENIZER}")


def _check_pipeline(base: Path) -> None:
    """Refuse a pipeline that is no Stable Diffusion 1.x by its `model_index.json`, if it has one."""
    index = base / "model_index.json"
    if not index.is_file():
        return
    content = read_description(index)
    kind = str(content.get("_class_name", _STABLE_DIFFUSION))
    if not kind.startswith(_STABLE_DIFFUSION) or "XL" in kind or "3" in kind or "text_encoder_2" in content:
        raise JobError(f"`{base}` is a {kind}; {ONLY_SD1}.")


def _check_single(role: str, path: Path, *, whole: bool) -> None:
    """Check a file of one network alone."""
    if whole:
        return
    wanted = "controlnet" if role.startswith("controlnet") else role
    kind = recognise(ModelFile(path).shapes)
    if kind is not None and wanted == "vae" and kind.name == "checkpoint":
        return  # that of another whole model
    if kind is None or kind.name != wanted:
        what = "something else" if kind is None else kind.title
        title = {"controlnet": "a ControlNet", "vae": "an autoencoder"}.get(wanted, f"a {wanted}")
        raise JobError(f"`{path}` is {what}, not {title}.")


def _require_folder(folder: Path, hint: str = WHOLE) -> None:
    if not folder.is_dir():
        raise MissingError(f"The teacher lacks the folder `{folder}`.", hint)


def _check_folder(role: str, folder: Path, *, edits: bool) -> None:
    _require_folder(folder, NO_VAE if role == "vae" else WHOLE)
    require_weights(folder)
    config = read_description(folder / "config.json")
    if role == "unet":
        _check_unet(folder, config, edits=edits)
    elif role == "vae" and (name := config.get("_class_name", AUTOENCODERS[0])) not in AUTOENCODERS:
        raise JobError(f"`{folder}` holds a {name}; a teacher takes {' or '.join(AUTOENCODERS)}.")


def _check_unet(folder: Path, config: Mapping[str, Any], *, edits: bool) -> None:
    """Refuse UNets that see or know more than noise, a time and words."""
    channels = config.get("in_channels", _DEFAULTS["in_channels"])
    if edits and channels != EDITING_CHANNELS:
        raise JobError(f"`{folder}` is no model that edits pictures: it sees none beside the noise.")
    what = None
    if channels == 9:
        what = "an inpainting model (its UNet sees a mask and a picture beside the noise)"
    elif channels == EDITING_CHANNELS and not edits:
        what = "an editing model (its UNet sees a picture beside the noise)"
    elif config.get("addition_embed_type") is not None:
        what = "a Stable Diffusion XL model"
    elif config.get("time_cond_proj_dim") is not None:
        what = "a distilled model (LCM), whose guidance is built in"
    if what is not None:
        raise JobError(f"`{folder}` is {what}; {ONLY_SD1}.")


def _check_schedule(folder: Path) -> None:
    _require_folder(folder)
    config = read_description(folder / "scheduler_config.json")
    Schedule.from_config(config)
    unet = folder.parent / "unet" / "config.json"
    words = read_description(unet).get("cross_attention_dim") if unet.is_file() else None
    if config.get("timestep_spacing") == "trailing" and words == 1024:
        raise JobError(f"`{folder.parent}` is a distilled model (turbo) that knows no guidance; {ONLY_SD1}.")


def _check_fit(paths: TeacherPaths) -> None:
    """Compare the sizes that the networks of a teacher must share, where folders say them."""
    folders = {role: path for role, path in paths.networks().items() if path.is_dir()}
    configs = {role: read_description(folder / "config.json") for role, folder in folders.items()}
    unet = configs.get("unet", SINGLE_FILE)
    words = _value(unet, "cross_attention_dim")
    wanted: dict[str, tuple[str, Any, Any]] = {}
    if "vae" in configs:
        wanted["vae"] = (
            "latent channels",
            _value(configs["vae"], "latent_channels"),
            _value(unet, "in_channels") // (2 if paths.edits else 1),
        )
    if "text_encoder" in configs:
        wanted["text_encoder"] = ("numbers per word", _value(configs["text_encoder"], "hidden_size"), words)
    for role in (f"controlnet_{kind}" for kind in CONTROL_KINDS):
        if role in configs:
            wanted[role] = ("widths", _control_widths(configs[role]), _control_widths(unet))
    for role, (what, has, needs) in wanted.items():
        if has != needs:
            family = f" ({_TITLES[words]}; {ONLY_SD1})" if words in _TITLES else ""
            raise JobError(
                f"`{folders[role]}` does not fit the UNet in `{folders.get('unet', paths.base)}`: "
                f"{what} {has}, where the UNet takes {needs}{family}."
            )


def _control_widths(config: Mapping[str, Any]) -> tuple[int, ...]:
    """Widths of the levels, and the numbers per word."""
    return (*config.get("block_out_channels", _WIDTHS), _value(config, "cross_attention_dim"))


def _value(config: Mapping[str, Any], name: str) -> Any:
    return config.get(name, _DEFAULTS[name])


def read_description(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        JobError: It is missing or damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise JobError(f"`{path}` is missing or damaged.") from error
    if not isinstance(content, dict):
        raise JobError(f"`{path}` is damaged: it is not a JSON object.")
    return content
