"""A teacher with the sizes of Stable Diffusion 1.5 and random weights, written to disk in half precision.

Nothing is held twice: networks are shapes, and each file is written from tensors that are drawn for it.
"""

import json
from pathlib import Path

import torch
from diffusers import DDIMScheduler
from safetensors.torch import save_file
from torch import nn

from stylehead.teacher.shapes import STABLE_DIFFUSION_15, depth_skeleton, teacher_skeleton

WEIGHTS = "diffusion_pytorch_model.safetensors"


def write_full_teacher(folder: Path) -> Path:
    """Write vae, unet, text_encoder, tokenizer, scheduler and two ControlNets: 3.6 GB."""
    for role in STABLE_DIFFUSION_15:
        (network,) = teacher_skeleton({role: None}).values()
        name = "model.safetensors" if role == "text_encoder" else WEIGHTS
        write_random_network(network, folder / role, name)
    DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    ).save_pretrained(folder / "scheduler")
    write_letters_tokenizer(folder / "tokenizer")
    return folder


def write_full_depth_estimator(folder: Path) -> Path:
    """Write a depth estimator of Depth-Anything-V2 Small's size: 50 MB."""
    write_random_network(depth_skeleton(), folder, "model.safetensors")
    return folder


def write_random_network(network: nn.Module, folder: Path, name: str) -> None:
    """Write a network's configuration, and weights whose outputs stay of the order of their inputs."""
    folder.mkdir(parents=True)
    save = network.save_config if hasattr(network, "save_config") else network.config.save_pretrained
    save(folder)
    source = torch.Generator().manual_seed(len(folder.name))
    tensors = {key: _draw(key, value, source) for key, value in network.state_dict().items()}
    save_file(tensors, folder / name, metadata={"format": "pt"})


def _draw(key: str, like: torch.Tensor, source: torch.Generator) -> torch.Tensor:
    if like.ndim < 2:
        ones = key.endswith("weight") or "lambda" in key
        return torch.ones(like.shape).half() if ones else torch.zeros(like.shape).half()
    fan_in = like[0].numel() if "embed" not in key else 2500
    return (torch.randn(like.shape, generator=source) / fan_in**0.5).half()


def write_letters_tokenizer(folder: Path) -> None:
    """Write a tokenizer of single letters with the window of the real one."""
    folder.mkdir(parents=True)
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    (folder / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
