"""Begin a training with the weights that the package embeds."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from stylehead.perception.embedded import Saved


def copy_pretrained(model: nn.Module, folder: Path, kind: Any) -> bool:
    """Copy the weights of a folder in diffusers layout into a model.

    Args:
        model: Takes the weights.
        folder: With the weights and their configuration.
        kind: Class whose `from_pretrained` reads the folder.

    Returns:
        Whether the folder is there and holds a network of the same shape.
    """
    if not folder.is_dir():
        return False
    embedded = kind.from_pretrained(folder, local_files_only=True)
    return _copy(model, embedded)


def copy_saved(model: nn.Module, path: Path, kind: type[Saved]) -> bool:
    """Copy the weights of one of the measuring networks into a model; False when there is no such file."""
    return path.is_file() and _copy(model, kind.load(path))


def copy_tensors(target: dict[str, Tensor], path: Path) -> bool:
    """Copy a safetensors file into tensors of the same names; False when there is no such file."""
    return path.is_file() and _copy_state(target, load_file(path))


def _copy(model: nn.Module, embedded: nn.Module) -> bool:
    return _copy_state(model.state_dict(), embedded.state_dict())


def _copy_state(target: dict[str, Tensor], source: dict[str, Tensor]) -> bool:
    if {n: t.shape for n, t in source.items()} != {n: t.shape for n, t in target.items()}:
        return False
    with torch.no_grad():
        for name, tensor in target.items():
            tensor.copy_(source[name])
    return True
