"""Heads in files: `.npz` as ours and the published ones, `.npy`, and what torch saved; none is unpickled."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stylehead.errors import JobError, UsageError
from stylehead.weights.pickle_machine import PickleBudget, Refused
from stylehead.weights.snapshot import map_file
from stylehead.weights.torch_files import Array, StoredTensor, read_torch_tensors

SUFFIXES = (".npz", ".npy", ".pt", ".pth")
"""Endings of files that can hold a head."""
NAMES = ("w", "ws", "w_plus", "latent", "latents", "projected_w", "w_pivot")
"""What programs call style vectors in files of several arrays; ours and the published ones say `w`."""
MOST_HEADS = 1000


class HeadFile(NamedTuple):
    """A head: a name for files and labels, the file it is in, and its style vectors [num_ws, w_dim]."""

    name: str
    path: Path
    ws: Array


def find_latents(path: Path) -> list[Path]:
    """Find the latent files that a path means: itself, or those in a folder, in the order of their names.

    A folder without any is searched one level deeper, as every inversion has a folder of its own.

    Raises:
        UsageError: There is nothing at the path, or no latent file in the folder.
    """
    if not path.is_dir():
        if not path.exists():
            raise UsageError(f"`--latent` (={path}) does not exist.")
        return [path]
    for pattern in ("*", "*/*"):
        found = sorted(file for file in path.glob(pattern) if file.suffix.lower() in SUFFIXES)
        if found:
            return found
    raise UsageError(f"`--latent` (={path}) is a folder without a latent file ({', '.join(SUFFIXES)}).")


def read_heads(path: Path, *, num_ws: int, w_dim: int, hint: str | None = None) -> list[HeadFile]:
    """Read the heads of one file for a generator.

    Args:
        path: The file; with several heads in it, each is called after its place.
        num_ws: Style vectors that the generator takes.
        w_dim: Their width. One vector serves all layers.
        hint: What to try when the shape is another's.

    Raises:
        JobError: It is damaged, or holds no latent of this shape.
    """
    array = read_latent(path)
    wanted = (num_ws, w_dim)
    if array.ndim in (1, 2) and array.shape[-1] == w_dim:
        array = array.reshape(1, -1, w_dim)
    if array.ndim == 3 and array.shape[1:] == (1, w_dim):
        array = np.broadcast_to(array, (len(array), *wanted))
    if array.ndim != 3 or array.shape[1:] != wanted or not 1 <= len(array) <= MOST_HEADS:
        raise JobError(
            f"`w` in {path} has shape {list(array.shape)}; this generator takes {[1, *wanted]}.", hint
        )
    if not np.isfinite(array).all():
        raise JobError(f"`w` in {path} holds numbers that are not finite.")
    name = path.parent.name if path.stem == "latent" and path.parent.name else path.stem
    names = [name] if len(array) == 1 else [f"{name}-{index}" for index in range(1, len(array) + 1)]
    return [HeadFile(each, path, ws.astype(np.float32)) for each, ws in zip(names, array, strict=True)]


def read_latent(path: Path) -> Array:
    """Read the style vectors of a file in the shape that they have there.

    Raises:
        JobError: The file is damaged, or has no floating-point array that could be a latent.
    """
    arrays = _torch_arrays(path) if path.suffix.lower() in (".pt", ".pth") else _numpy_arrays(path)
    name = next((name for name in NAMES if name in arrays), None)
    if name is None and len(arrays) == 1 and "" in arrays:
        name = ""
    if name is None:
        raise JobError(f"{path} is not a latent file: it has no `w`.")
    array = arrays[name].read() if isinstance(arrays[name], StoredTensor) else arrays[name]
    if array.dtype.kind != "f":
        raise JobError(f"`w` in {path} holds {array.dtype}, not floating-point numbers.")
    return np.asarray(array)


def _numpy_arrays(path: Path) -> Mapping[str, Any]:
    """Arrays of a numpy file by name; that of an `.npy` file has none."""
    try:
        with path.open("rb") as opened:
            content = np.load(opened, allow_pickle=False)
            if not hasattr(content, "files"):
                return {"": content}
            return {name: content[name] for name in content.files if name in NAMES}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise JobError(f"{path} is damaged or not a latent file.") from error


def _torch_arrays(path: Path) -> Mapping[str, Any]:
    try:
        return read_torch_tensors(map_file(path), PickleBudget())
    except Refused as refusal:
        message = f"{path} is not a latent file, and nothing in it was run: {refusal}."
        raise JobError(message, "np.savez(FILE, w=...) writes one that every program reads") from refusal
