"""Writing files so that nothing is ever half there: beside the final name, flushed to the disk, renamed."""

import contextlib
import json
import os
import re
import secrets
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stylehead.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary sibling to write to; it takes the place of `path` only when the block succeeds.

    Args:
        path: Final name in an existing folder. The temporary name keeps the suffix; some writers look at it.

    Raises:
        OSError: As the file system says (no space, no permission); `path` is then as it was before.
    """
    part = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.part{path.suffix}")
    try:
        yield part
        _flush_to_disk(part)
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


def atomic_write(path: Path, data: bytes | str) -> None:
    """Write a whole file or nothing: after a crash `path` holds either the old content or the new one.

    Args:
        path: Final name; its folder must exist.
        data: Content; text is written as UTF-8.
    """
    raw = data.encode() if isinstance(data, str) else data
    with atomic_path(path) as part, part.open("wb") as file:
        file.write(raw)


def check_parents(path: Path) -> None:
    """Raise UsageError when one of the folders above a path is a file; the disk is only looked at."""
    for folder in path.parents:
        if folder.exists():
            if not folder.is_dir():
                raise UsageError(f"{folder} is a file, so {path} cannot be made.", "choose another path")
            return


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON object atomically, indented for people."""
    atomic_write(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def save_tensors(
    path: Path, tensors: Mapping[str, "Tensor"], metadata: Mapping[str, str] | None = None
) -> None:
    """Write a safetensors file atomically.

    Args:
        path: Final name; its folder must exist.
        tensors: Named tensors on any device; they are stored contiguous, as they are.
        metadata: Header strings.

    Raises:
        OSError: Also where the tensor library wraps the system's error (a full disk) in its own exception.
    """
    from safetensors.torch import save_file

    contiguous = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    with _safetensors_file(path) as part:
        save_file(contiguous, part, metadata=dict(metadata) if metadata else None)


def save_arrays(
    path: Path, arrays: Mapping[str, "np.ndarray[Any, Any]"], metadata: Mapping[str, str] | None = None
) -> None:
    """Write a safetensors file of contiguous numpy arrays, without torch; see :func:`save_tensors`."""
    from safetensors.numpy import save_file

    with _safetensors_file(path) as part:
        save_file(dict(arrays), part, metadata=dict(metadata) if metadata else None)


@contextlib.contextmanager
def _safetensors_file(path: Path) -> Iterator[Path]:
    """An atomic path; its writer may wrap the errors of the system, and would let only the owner read it."""
    from safetensors import SafetensorError

    with atomic_path(path) as part:
        part.touch()
        mode = part.stat().st_mode
        try:
            yield part
            part.chmod(mode)
        except SafetensorError as error:
            code = re.search(r"os error (\d+)", str(error))
            if code is None:
                raise
            raise OSError(int(code[1]), os.strerror(int(code[1])), str(path)) from error


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_folder(path: Path) -> None:
    """Make the renames inside a folder survive a power cut."""
    if sys.platform == "win32":
        return  # folders cannot be opened there; NTFS journals the rename
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
