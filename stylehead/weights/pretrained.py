"""Networks from local folders in the layout of diffusers and transformers; nothing is fetched."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from stylehead.errors import JobError, MissingError


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files that are read from a network's folder: plain ones, else `fp16` ones."""
    found = sorted(folder.glob("*.safetensors")) if folder.is_dir() else []
    plain = [path for path in found if path.name.count(".") == 1]
    return plain or [path for path in found if ".fp16." in path.name]


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
    weights = weight_files(folder)
    if folder.is_dir() and not weights:
        raise MissingError(f"There is no safetensors file in `{folder}`.", "stylehead weights verify")
    variant = "fp16" if weights and ".fp16." in weights[0].name else None
    options = {"use_safetensors": True, "torch_dtype": dtype, "variant": variant}
    network: nn.Module = load_local(kind.from_pretrained, folder, **options)
    return network.to(device).eval().requires_grad_(False)


def load_local(loader: Callable[..., Any], folder: Path, **options: object) -> Any:
    """Call a `from_pretrained` on a local folder, with this package's errors and without its chatter.

    Raises:
        MissingError: There is no such folder.
        JobError: It does not hold what is loaded.
    """
    if not folder.is_dir():
        raise MissingError(f"The teacher lacks the folder `{folder}`.", "stylehead weights verify")
    try:
        with quiet_libraries():
            return loader(str(folder), local_files_only=True, **options)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise JobError(f"`{folder}` cannot be loaded: {reason}") from error


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
