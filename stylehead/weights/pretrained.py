"""Networks from local folders in the layout of diffusers and transformers; nothing is fetched."""

import contextlib
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from stylehead.errors import JobError, MissingError

WHOLE = "fetch the whole model again: hf download, or stylehead weights verify for what stylehead fetched"
"""What to do about a model that lacks a part."""
_PICKLES = ("bin", "ckpt", "pt", "pth")
_OTHERS = {
    "msgpack": "Flax",
    "h5": "TensorFlow",
    "onnx": "ONNX",
    "xml": "OpenVINO",
    "gguf": "llama.cpp",
}
"""Programs for which models are also published, by the ending of their weights."""
_CONVERT = (
    "import sys, torch, safetensors.torch as s; "
    "state = torch.load(sys.argv[1], map_location='cpu', weights_only=True); "
    "s.save_file({k: v.clone().contiguous() for k, v in state.items()}, sys.argv[2], {'format': 'pt'})"
)


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files that are read from a network's folder: plain ones, else one variant's.

    Of several variants half precision comes first, and weights that were not averaged last.
    """
    found = sorted(folder.glob("*.safetensors")) if folder.is_dir() else []
    variants = sorted({_variant(path) for path in found}, key=_preference)
    return [path for path in found if variants and _variant(path) == variants[0]]


def _variant(path: Path) -> str:
    """What stands between a weight file's name and its ending: "" or such as `fp16`, without shards."""
    middle = path.name.split(".", 1)[1].removesuffix("safetensors").rstrip(".")
    return re.sub(r"-\d{5}-of-\d{5}$", "", middle)


def _preference(variant: str) -> tuple[bool, bool, bool, str]:
    return (variant != "", variant != "fp16", "non_ema" in variant, variant)


def require_weights(folder: Path) -> list[Path]:
    """Return the weight files of a network's folder.

    Raises:
        MissingError: There are none that are read; says how to convert pickles, if those are there, and whose
            weights they are otherwise.
    """
    found = weight_files(folder)
    if found:
        return found
    pickles = sorted(path.name for ending in _PICKLES for path in folder.glob(f"*.{ending}"))
    if not pickles:
        raise _no_weights(folder)
    source = shlex.quote(str(folder / pickles[0]))
    target = shlex.quote(str((folder / pickles[0]).with_suffix(".safetensors")))
    raise MissingError(
        f"`{folder}` has its weights only as a pickle ({pickles[0]}), which is never read: convert it to "
        "safetensors.",
        f'python -c "{_CONVERT}" {source} {target}',
    )


def _no_weights(folder: Path) -> MissingError:
    """Say that a folder has no weights, or only those of another program."""
    for ending, program in _OTHERS.items():
        for path in sorted(folder.glob(f"*.{ending}")):
            message = f"`{folder}` has its weights only for {program} ({path.name}), which are not read."
            return MissingError(message, "ask for the .safetensors files of the same model")
    return MissingError(f"There is no safetensors file in `{folder}`.", WHOLE)


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
    variant = _variant(require_weights(folder)[0]) if folder.is_dir() else ""
    options = {"use_safetensors": True, "torch_dtype": dtype, "variant": variant or None}
    network: nn.Module = load_local(kind.from_pretrained, folder, **options)
    return network.to(device).eval().requires_grad_(False)


def load_local(loader: Callable[..., Any], folder: Path, **options: object) -> Any:
    """Call a `from_pretrained` on a local folder, with this package's errors and without its chatter.

    Raises:
        MissingError: There is no such folder.
        JobError: It does not hold what is loaded.
    """
    if not folder.is_dir():
        raise MissingError(f"The teacher lacks the folder `{folder}`.", WHOLE)
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
