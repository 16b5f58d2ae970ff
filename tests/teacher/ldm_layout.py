"""Writes the networks of diffusers under the names of the original program, as single files have them."""

import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_ENDS = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
    "controlnet_mid_block": "middle_block_out.0",
    "controlnet_cond_embedding.conv_in": "input_hint_block.0",
    "controlnet_cond_embedding.conv_out": "input_hint_block.14",
}
_VAE = (
    (r"down_blocks\.(\d+)\.resnets\.", r"down.\1.block."),
    (r"down_blocks\.(\d+)\.downsamplers\.0\.", r"down.\1.downsample."),
    (r"mid_block\.resnets\.0", "mid.block_1"),
    (r"mid_block\.resnets\.1", "mid.block_2"),
    (r"mid_block\.attentions\.0\.group_norm", "mid.attn_1.norm"),
    (r"mid_block\.attentions\.0\.to_out\.0", "mid.attn_1.proj_out"),
    (r"mid_block\.attentions\.0\.to_([qkv])", r"mid.attn_1.\1"),
    (r"conv_norm_out", "norm_out"),
    (r"conv_shortcut", "nin_shortcut"),
)


def write_checkpoint(path: Path, parts: Any, *, vae: bool = True, **extra: Tensor) -> Path:
    """Write the UNet, text encoder and autoencoder of a teacher as one file."""
    state = {f"model.diffusion_model.{name}": tensor for name, tensor in unet_state(parts.unet).items()}
    for name, tensor in parts.text_encoder.state_dict().items():
        bare = name.removeprefix("text_model.")
        state[f"cond_stage_model.transformer.text_model.{bare}"] = tensor
    length = parts.text_encoder.config.max_position_embeddings
    positions = "cond_stage_model.transformer.text_model.embeddings.position_ids"
    state[positions] = torch.arange(length)[None]
    if vae:
        state |= {f"first_stage_model.{name}": tensor for name, tensor in vae_state(parts.vae).items()}
    state["betas"] = torch.ones(3)
    save(path, state | extra)
    return path


def save(path: Path, state: dict[str, Tensor]) -> None:
    """Write tensors as the ending of the path says."""
    whole = {name: tensor.detach().clone().contiguous() for name, tensor in state.items()}
    if path.suffix == ".safetensors":
        save_file(whole, path)
    else:
        torch.save({"state_dict": whole, "global_step": 3}, path)


def unet_state(network: Any) -> dict[str, Tensor]:
    """The tensors of a UNet, or of a ControlNet, under their old names."""
    layers = network.config.layers_per_block
    found = {}
    for name, tensor in network.state_dict().items():
        found[_unet_name(name, layers, network)] = tensor
    return found


def _unet_name(name: str, layers: int, network: Any) -> str:
    for new, old in _ENDS.items():
        if name.startswith(f"{new}."):
            return _inner(name, new, old)
    if match := re.match(r"controlnet_down_blocks\.(\d+)\.", name):
        return name.replace(match[0], f"zero_convs.{match[1]}.0.")
    if match := re.match(r"controlnet_cond_embedding\.blocks\.(\d+)\.", name):
        return name.replace(match[0], f"input_hint_block.{2 * int(match[1]) + 2}.")
    match = re.match(r"(down|up)_blocks\.(\d+)\.(\w+)\.(\d+)", name)
    assert match is not None, name
    side, block, kind, layer = match[1], int(match[2]), match[3], int(match[4])
    first = block * (layers + 1)
    if kind == "downsamplers":
        return name.replace(f"{match[0]}.conv", f"input_blocks.{first + layers + 1}.0.op")
    if kind == "upsamplers":
        place = 2 if hasattr(network.up_blocks[block], "attentions") else 1
        return name.replace(match[0], f"output_blocks.{first + layers}.{place}")
    blocks, start = ("input_blocks", 1) if side == "down" else ("output_blocks", 0)
    place = 0 if kind == "resnets" else 1
    return _inner(name, match[0], f"{blocks}.{start + first + layer}.{place}")


def _inner(name: str, new: str, old: str) -> str:
    rest = name.removeprefix(f"{new}.")
    if "resnets" in new:
        for part, before in _RESNET.items():
            rest = re.sub(rf"^{part}\.", f"{before}.", rest)
    return f"{old}.{rest}"


def vae_state(network: Any) -> dict[str, Tensor]:
    """The tensors of an autoencoder under their old names; its attention was convolutions of one pixel."""
    last = len(network.config.up_block_types) - 1
    found = {}
    for name, tensor in network.state_dict().items():
        if match := re.search(r"up_blocks\.(\d+)\.", name):
            name = name.replace(match[0], f"up.{last - int(match[1])}.")
            name = name.replace(".resnets.", ".block.").replace(".upsamplers.0.", ".upsample.")
        for new, old in _VAE:
            name = re.sub(new, old, name)
        found[name] = tensor[..., None, None] if "attn_1" in name and tensor.ndim == 2 else tensor
    return found
