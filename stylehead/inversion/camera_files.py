"""Cameras in files: a label of 25 numbers alone, with a latent, or in the list beside pictures."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stylehead.errors import JobError
from stylehead.geometry import LABEL_SIZE, split_label

SUFFIXES = (".npz", ".npy", ".json")
"""Endings of files that can hold a camera."""
_WITHOUT = "leave --camera out, and the pose is searched"
_LOOSEST_ROTATION = 0.02
_NEAREST = 0.5  # the head fills the box around the origin
_PICTURE = (-0.25, 1.25)  # where the origin may show, in widths of the picture


def read_camera_file(path: Path, picture: str = "") -> Tensor:
    """Read the camera of a picture.

    Args:
        path: A latent file with `camera`; an `.npy` file or a JSON list of 25 numbers; or a `dataset.json`
            with `labels`, a list of [picture's name, 25 numbers].
        picture: Name of the picture's file, to find it among several.

    Returns:
        A label [1, 25] that looks at the head.

    Raises:
        JobError: There is no camera in the file, none of that picture, or none that looks at the head.
    """
    readers = {".npz": _from_latent, ".npy": _from_array, ".json": lambda path: _from_json(path, picture)}
    numbers = readers[path.suffix.lower()](path)
    try:
        with np.errstate(over="ignore"):  # what is too large is refused below
            label = torch.tensor(np.asarray(numbers, np.float32).reshape(1, LABEL_SIZE))
    except (ValueError, TypeError, OverflowError) as error:
        raise JobError(f"{path} has no camera of {LABEL_SIZE} numbers (pose 4 x 4, lens 3 x 3).") from error
    check_camera(label, str(path))
    return label


def check_camera(label: Tensor, name: str) -> None:
    """Check that a camera [1, 25] is one, and that it looks at the head.

    Raises:
        JobError: Says why it is not, or does not.
    """
    why = why_not_seen(label)
    if why is not None:
        raise JobError(f"The camera in {name} does not look at the head: {why}.", _WITHOUT)


def why_not_seen(label: Tensor) -> str | None:
    """Say why a camera [1, 25] shows no head, or None when it does."""
    if not torch.isfinite(label).all():
        return "its numbers are not all finite"
    pose, lens = (part[0].double() for part in split_label(label))
    rotation, origin = pose[:3, :3], pose[:3, 3]
    off = (rotation.t() @ rotation - torch.eye(3, dtype=rotation.dtype)).abs().max()
    if off > _LOOSEST_ROTATION or torch.linalg.det(rotation) < 0:
        return "the first 3 x 3 of its pose are no rotation"
    if not (0 < float(lens[0, 0]) < 100 and 0 < float(lens[1, 1]) < 100):
        return "its focal lengths are not those of a lens, in widths of the picture"
    if origin.norm() < _NEAREST:
        return "it stands inside of the head"
    x, y, z = (-rotation.t() @ origin).tolist()
    if z <= 0:
        return "it looks away from it (its z axis points into the picture, y down, as OpenCV has it)"
    seen = (float(lens[0, 0]) * x / z + float(lens[0, 2]), float(lens[1, 1]) * y / z + float(lens[1, 2]))
    low, high = _PICTURE
    return None if all(low < place < high for place in seen) else "the head is outside of its picture"


def _from_latent(path: Path) -> Any:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            if "camera" not in file.files:
                raise JobError(f"{path} has no `camera`.", _WITHOUT)
            return file["camera"]
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, AttributeError, TypeError) as error:
        raise JobError(f"{path} is damaged or not a latent file.") from error


def _from_array(path: Path) -> Any:
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise JobError(f"{path} is damaged or no array of numbers.") from error


def _from_json(path: Path, picture: str) -> Any:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise JobError(f"{path} is not a list of {LABEL_SIZE} numbers.") from error
    if not isinstance(content, dict):
        return content
    labels = content.get("labels", content.get("camera"))
    if isinstance(labels, list) and all(isinstance(item, int | float | str) for item in labels):
        return labels
    pairs: Any = labels.items() if isinstance(labels, dict) else labels
    try:
        found = {str(name): numbers for name, numbers in pairs}
    except (TypeError, ValueError) as error:
        raise JobError(f"{path} has neither `labels` nor `camera`.") from error
    return _of_picture(found, picture, path)


def _of_picture(labels: dict[str, Any], picture: str, path: Path) -> Any:
    """The label of a picture by its name, by the name without folder or ending, or the only one there is."""
    for same in (lambda name: name, lambda name: Path(name).name, lambda name: Path(name).stem):
        found = [numbers for name, numbers in labels.items() if same(name) == same(picture)]
        if len(found) == 1:
            return found[0]
    if len(labels) == 1:
        return next(iter(labels.values()))
    raise JobError(f"{path} has {len(labels)} cameras, and not one of {picture or 'the picture'}.", _WITHOUT)
