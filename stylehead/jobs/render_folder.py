"""The folder that `render` writes: whether it may, and what an earlier render left there."""

import re
from pathlib import Path

from stylehead.errors import JobError, UsageError
from stylehead.files import check_folder_writable, read_json
from stylehead.folders import is_vacant

MANIFEST = "render.json"


def check_folder(folder: Path, *, overwrite: bool) -> None:
    """Say no when files cannot go to `folder`.

    Raises:
        UsageError: It is a file, or holds something that is not to be replaced.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; renders need a folder.", "choose another --out")
    check_folder_writable(folder)
    if not folder.exists() or is_vacant(folder):
        return
    if not (folder / MANIFEST).is_file():
        raise UsageError(f"{folder} is not empty and was not made by render.", "choose another --out")
    if not overwrite:
        raise UsageError(f"{folder} already holds a render.", "add --overwrite, or choose another --out")


def listed_files(folder: Path) -> list[str]:
    """List what an earlier render wrote to a folder, as its manifest says.

    Raises:
        JobError: The manifest is damaged.
    """
    if not (folder / MANIFEST).is_file():
        return []
    listed = read_json(folder / MANIFEST).get("files")
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise JobError(f"{folder / MANIFEST} is damaged: it lists no files.", "choose another --out")
    return [file for name in listed for file in (_frames(folder, name) or [name])]


def _frames(folder: Path, name: str) -> list[str]:
    """List the frames in a folder that a manifest of version 0.1.0 lists as a whole."""
    if not (folder / name).is_dir():
        return []
    files = [path for path in (folder / name).iterdir() if re.fullmatch(r"frame_\d+\.png", path.name)]
    return [f"{name}/{path.name}" for path in files]
