"""The true stylised pictures of the embedded world: its procedural heads, drawn in every style.

At full scale it is not known what a person looks like as a Pixar character; here it is. A small set of
true pictures is embedded, so that it needs no renderer: one sheet of all people for each style and side, as
WebP with the outline in its alpha channel, and a JSON file that lists the people. They are pictures and not
features, so they stay valid when the measuring networks are trained again.
"""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from stylehead.errors import JobError, MissingError
from stylehead.evaluation.angles import wrap_yaw
from stylehead.evaluation.portraits import Portraits
from stylehead.files import atomic_write, write_json

MINI_REFERENCE = Path(__file__).parents[1] / "mini" / "reference"
"""The embedded set, part of the package."""

FORMAT = 1
INDEX = "reference.json"
QUALITY = 90
COLUMNS = 8
REPAIR = "python -m stylehead.world reference"


@dataclass(frozen=True)
class TruthSet:
    """An embedded set of true pictures; see `open_truth`."""

    folder: Path
    seeds: tuple[int, ...]
    yaws_deg: tuple[float, ...]
    styles: tuple[str, ...]
    resolution: int
    psi: float
    """Truncation of the heads that are shown: only renders with the same one show the same people."""

    def portraits(
        self, style: str, *, seeds: Sequence[int] | None = None, yaws_deg: Sequence[float] | None = None
    ) -> Portraits:
        """Read the pictures of a style.

        Args:
            style: One of `styles`.
            seeds: People to keep; those that are not in the set are left out.
            yaws_deg: Sides to keep; those that are not in the set are left out.

        Raises:
            MissingError: A file is not there.
            JobError: A file is damaged, or there is no such style.
        """
        if style not in self.styles:
            raise JobError(f"{self.folder} shows no {style}; it shows {', '.join(self.styles)}.")
        kept_yaws = [yaw for yaw in self.yaws_deg if yaws_deg is None or yaw in yaws_deg]
        kept_seeds = [seed for seed in self.seeds if seeds is None or seed in seeds]
        sheets = [_read_sheet(self.folder / sheet_name(style, yaw), self) for yaw in kept_yaws]
        pixels = torch.from_numpy(np.stack(sheets, axis=1)).permute(0, 1, 4, 2, 3)
        whole = Portraits(
            pixels[:, :, :3], self.seeds, tuple(kept_yaws), masks=pixels[:, :, 3:].float() / 255
        )
        return whole.pick(seeds=kept_seeds)


def open_truth(folder: Path = MINI_REFERENCE) -> TruthSet:
    """Open a set of true pictures.

    Raises:
        MissingError: It is not there.
        JobError: Its index is damaged or of another format.
    """
    path = folder / INDEX
    if not path.is_file():
        raise MissingError(f"The true pictures are missing: {path}.", REPAIR)
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        if index["format"] != FORMAT:
            raise JobError(f"{path} has format {index['format']}, not {FORMAT}.", REPAIR)
        return TruthSet(
            folder,
            tuple(int(seed) for seed in index["seeds"]),
            tuple(float(yaw) for yaw in index["yaws_deg"]),
            tuple(str(style) for style in index["styles"]),
            int(index["resolution"]),
            float(index["psi"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise JobError(f"{path} is damaged: {error!r}.", REPAIR) from error


def write_truth(folder: Path, sets: Mapping[str, Portraits], facts: Mapping[str, Any]) -> TruthSet:
    """Write a set of true pictures.

    Args:
        folder: Where; made if it is not there.
        sets: Pictures with masks at their resolution by style; all of the same people from the same sides.
        facts: Further entries of the index: where they come from.
    """
    folder.mkdir(parents=True, exist_ok=True)
    first = next(iter(sets.values()))
    for style, portraits in sets.items():
        assert portraits.masks is not None
        alpha = (portraits.masks * 255).round().to(torch.uint8)
        rgba = torch.cat([portraits.images, alpha], dim=2)
        for column, yaw in enumerate(portraits.yaws_deg):
            atomic_write(folder / sheet_name(style, yaw), _sheet_bytes(rgba[:, column]))
    index = {
        "format": FORMAT,
        "seeds": list(first.seeds),
        "yaws_deg": list(first.yaws_deg),
        "styles": list(sets),
        "resolution": first.resolution,
        "psi": 1.0,
        **facts,
    }
    write_json(folder / INDEX, index)
    return open_truth(folder)


def sheet_name(style: str, yaw_deg: float) -> str:
    """File with the pictures of a style from one side, such as `pixar_yaw+090.webp`."""
    return f"{style}_yaw{round(wrap_yaw(yaw_deg)):+04d}.webp"


def _sheet_bytes(rgba: Tensor) -> bytes:
    """All people in rows of `COLUMNS`; RGBA uint8 [N, 4, R, R] to WebP."""
    count, _, size, _ = rgba.shape
    rows = -(-count // COLUMNS)
    cells = torch.zeros(rows * COLUMNS, 4, size, size, dtype=torch.uint8)
    cells[:count] = rgba
    sheet = cells.unflatten(0, (rows, COLUMNS)).permute(0, 3, 1, 4, 2).reshape(rows * size, -1, 4)
    buffer = io.BytesIO()
    Image.fromarray(sheet.numpy()).save(buffer, "WEBP", quality=QUALITY, method=6)
    return buffer.getvalue()


def _read_sheet(path: Path, truth: TruthSet) -> NDArray[np.uint8]:
    """RGBA uint8 [N, R, R, 4]; white wherever nothing of a head is."""
    if not path.is_file():
        raise MissingError(f"A sheet of the true pictures is missing: {path}.", REPAIR)
    size, count = truth.resolution, len(truth.seeds)
    try:
        with Image.open(path) as image:
            sheet = np.asarray(image.convert("RGBA"))
        cells = sheet.reshape(sheet.shape[0] // size, size, COLUMNS, size, 4).swapaxes(1, 2)
        heads = cells.reshape(-1, size, size, 4)[:count].copy()
    except (OSError, ValueError) as error:
        raise JobError(f"{path} is damaged: {error}.", REPAIR) from error
    if len(heads) < count:
        raise JobError(f"{path} shows fewer than {count} people.", REPAIR)
    heads[heads[..., 3] == 0] = (255, 255, 255, 0)
    return heads
