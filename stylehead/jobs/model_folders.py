"""What a folder of a diffusion model, or of one of its networks, is: for `stylehead info`."""

import json
from pathlib import Path
from typing import Any

from stylehead.errors import JobError, quoted
from stylehead.units import format_bytes

_ROLES = {
    "UNet2DConditionModel": "denoiser",
    "ControlNetModel": "ControlNet",
    "AutoencoderKL": "autoencoder",
    "AutoencoderTiny": "tiny autoencoder",
    "CLIPTextModel": "text encoder",
    "DepthAnythingForDepthEstimation": "depth estimator",
}
_OPTIONS = {
    "ControlNet": "--controlnet-canny or --controlnet-depth",
    "autoencoder": "--vae",
    "tiny autoencoder": "--vae",
    "depth estimator": "--depth-estimator",
}
_PARTS = ("unet", "vae", "text_encoder", "controlnet_canny", "controlnet_depth")


def is_model(folder: Path) -> bool:
    """Whether a folder looks like a model of diffusers or transformers."""
    return any((folder / name).is_file() for name in ("model_index.json", "unet/config.json", "config.json"))


def describe_model(folder: Path) -> tuple[str, dict[str, object], dict[str, Any], str | None]:
    """Say what a model's folder holds: its kind, rows for people, a document, and a next command.

    Raises:
        JobError: A configuration in it is damaged.
    """
    if (folder / "unet" / "config.json").is_file() or (folder / "model_index.json").is_file():
        return _pipeline(folder)
    config = _read(folder / "config.json")
    name = _class_of(config)
    role = _ROLES.get(name, "model")
    files = sorted(path for path in folder.glob("*.safetensors"))
    size = sum(path.stat().st_size for path in files)
    rows: dict[str, object] = {
        "class": name,
        "weights": f"{len(files)} safetensors files, {format_bytes(size)}"
        if files
        else "no safetensors file",
        "use": f"stylehead stylize {_OPTIONS[role]} {quoted(folder)}" if role in _OPTIONS else None,
    }
    data = {
        "class": name,
        "role": role,
        "bytes": size,
        "files": [path.name for path in files],
        "config": config,
    }
    return role, rows, data, None


def _pipeline(folder: Path) -> tuple[str, dict[str, object], dict[str, Any], str | None]:
    index = _read(folder / "model_index.json") if (folder / "model_index.json").is_file() else {}
    schedule = folder / "scheduler" / "scheduler_config.json"
    prediction = _read(schedule).get("prediction_type", "epsilon") if schedule.is_file() else None
    parts: dict[str, dict[str, Any]] = {}
    for part in _PARTS:
        if (folder / part / "config.json").is_file():
            config = _read(folder / part / "config.json")
            files = sorted((folder / part).glob("*.safetensors"))
            size = sum(path.stat().st_size for path in files)
            parts[part] = {"class": _class_of(config), "files": [path.name for path in files], "bytes": size}
    rows: dict[str, object] = {"pipeline": index.get("_class_name"), "predicts": prediction}
    if "unet" in parts:
        unet = _read(folder / "unet" / "config.json")
        rows["latents"] = f"{unet.get('in_channels')} x {unet.get('sample_size')} x {unet.get('sample_size')}"
    for part, facts in parts.items():
        rows[part] = f"{facts['class']}, {format_bytes(facts['bytes'])}"
    lacking = [part for part in _PARTS[:3] if part not in parts]
    rows["lacks"] = ", ".join(lacking)
    data = {"pipeline": index.get("_class_name"), "predicts": prediction, "parts": parts, "lacks": lacking}
    command = f'stylehead stylize --prompt "Portrait of a werewolf" --diffusion {quoted(folder)}'
    return "diffusion model", rows, data, None if lacking else command


def _class_of(config: dict[str, Any]) -> str:
    architectures = config.get("architectures") or ["unknown"]
    return str(config.get("_class_name", architectures[0]))


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise JobError(f"{path} is damaged: {error}.") from error
    if not isinstance(content, dict):
        raise JobError(f"{path} is damaged: it is not a JSON object.")
    return content
