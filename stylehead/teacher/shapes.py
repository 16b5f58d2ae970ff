"""Networks without their numbers: the sizes of Stable Diffusion 1.5, and what a folder's files would become.

Built on PyTorch's meta device, which has shapes and no memory, for estimates and for tests.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, ControlNetModel, UNet2DConditionModel
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    Dinov2Config,
)

from stylehead.errors import JobError
from stylehead.teacher.paths import CONTROL_KINDS, EDITING_CHANNELS
from stylehead.weights.pretrained import quiet_libraries

if TYPE_CHECKING:
    pass

STABLE_DIFFUSION_15: dict[str, dict[str, Any]] = {
    "unet": {"sample_size": 64, "cross_attention_dim": 768},
    "vae": {
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "block_out_channels": (128, 256, 512, 512),
        "layers_per_block": 2,
        "sample_size": 512,
    },
    "text_encoder": {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "projection_dim": 768,
    },
    "controlnet_canny": {"cross_attention_dim": 768},
    "controlnet_depth": {"cross_attention_dim": 768},
}
"""What differs from the defaults of diffusers and transformers, by role."""

DEPTH_ANYTHING_SMALL: dict[str, Any] = {
    "hidden_size": 384,
    "num_hidden_layers": 12,
    "num_attention_heads": 6,
    "image_size": 518,
    "patch_size": 14,
    "out_indices": [3, 6, 9, 12],
    "reshape_hidden_states": False,
    "apply_layernorm": True,
}
"""The backbone of Depth-Anything-V2 Small; the rest are the defaults."""
DEPTH_ANYTHING_BASE: dict[str, Any] = {
    "backbone_config": {**DEPTH_ANYTHING_SMALL, "hidden_size": 768, "num_attention_heads": 12},
    "reassemble_hidden_size": 768,
    "neck_hidden_sizes": [96, 192, 384, 768],
    "fusion_hidden_size": 128,
}
"""Depth-Anything-V2 Base, which the published script asks."""

_CONTROLNETS = tuple(f"controlnet_{kind}" for kind in CONTROL_KINDS)
_KINDS = {"unet": UNet2DConditionModel, **dict.fromkeys(_CONTROLNETS, ControlNetModel)}
_WIDTHS = (16, 32, 96, 256)
"""Of the layers through which a ControlNet sees a picture."""


def teacher_skeleton(folders: Mapping[str, Path | None], *, edits: bool = False) -> dict[str, Any]:
    """Build the networks of a teacher without numbers.

    Args:
        folders: The folder of each role whose `config.json` says its sizes; None, or a single file, for those
            of Stable Diffusion 1.5, or, of a ControlNet, for those that fit the other networks.
        edits: It is one that edits pictures, whose UNet sees a picture beside the noise.

    Raises:
        JobError: A configuration cannot be read.
    """
    unknown = [role for role, folder in folders.items() if folder is None and role in _CONTROLNETS]
    with torch.device("meta"), quiet_libraries():
        known = [role for role in folders if role not in unknown]
        networks = {role: skeleton(role, _config(role, folders[role], edits)) for role in known}
        return networks | {role: _fitting_controlnet(role, networks) for role in unknown}


def _fitting_controlnet(role: str, networks: Mapping[str, Any]) -> Any:
    """Build the ControlNet that fits a UNet and an autoencoder: a layer more for each halving of pictures."""
    if "unet" not in networks or "vae" not in networks:
        return skeleton(role, STABLE_DIFFUSION_15[role])
    levels = len(networks["vae"].config.block_out_channels)
    network = ControlNetModel.from_unet(
        networks["unet"], conditioning_embedding_out_channels=_WIDTHS[:levels], load_weights_from_unet=False
    )
    return network.eval().requires_grad_(False)


def depth_skeleton(folder: Path | None = None, *, base: bool = False) -> Any:
    """Build a depth estimator without numbers; with no folder Depth-Anything-V2 Small, or its Base."""
    if base:
        backbone = Dinov2Config(**DEPTH_ANYTHING_BASE["backbone_config"])
        config = DepthAnythingConfig(**(DEPTH_ANYTHING_BASE | {"backbone_config": backbone}))
    elif folder is None:
        config = DepthAnythingConfig(backbone_config=Dinov2Config(**DEPTH_ANYTHING_SMALL))
    else:
        config = DepthAnythingConfig(**_read(folder))
    with torch.device("meta"), quiet_libraries():
        return DepthAnythingForDepthEstimation(config).eval().requires_grad_(False)


def _config(role: str, folder: Path | None, edits: bool) -> dict[str, Any]:
    if folder is not None and not folder.is_file():
        return _read(folder)
    wider = {"in_channels": EDITING_CHANNELS} if edits and role == "unet" else {}
    return {**STABLE_DIFFUSION_15[role], **wider}


def _read(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise JobError(f"{path} is missing or damaged.") from error
    if not isinstance(content, dict):
        raise JobError(f"{path} is damaged: it is not a JSON object.")
    return content


def skeleton(role: str, config: Mapping[str, Any]) -> Any:
    """Build the network of a role, of a configuration; without numbers, on the meta device."""
    if role == "text_encoder":
        network = CLIPTextModel(CLIPTextConfig(**config))
    elif role == "vae":
        kind = AutoencoderTiny if config.get("_class_name") == "AutoencoderTiny" else AutoencoderKL
        network = kind.from_config(config)
    else:
        network = _KINDS[role].from_config(config)
    return network.eval().requires_grad_(False)
