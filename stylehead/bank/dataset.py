"""An opened bank: its people, cameras and renders, and which pictures are edits of which."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from stylehead.bank.manifest import BankView, EditRecord, Manifest
from stylehead.bank.pictures import read_grey, read_pixels
from stylehead.errors import JobError, MissingError
from stylehead.folders import finish_left
from stylehead.generator import PanoHead
from stylehead.images import bytes_to_01
from stylehead.inversion.latent_files import read_heads

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


class Bank:
    """A folder as the package's text describes it.

    Args:
        folder: Where it is.
        manifest: What its `bank.json` holds.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder, self.manifest = folder, manifest

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open a bank; one that a killed process left half moved is finished first.

        Raises:
            UsageError: The folder is no bank.
            JobError: Its manifest is damaged.
        """
        finish_left(folder)
        return cls(folder, Manifest.read(folder))

    @property
    def views(self) -> tuple[BankView, ...]:
        """Everybody's sides, person by person."""
        return self.manifest.views

    def views_of(self, person: int) -> tuple[BankView, ...]:
        """Return the sides of one person."""
        each = self.manifest.views_each
        return self.views[person * each : (person + 1) * each]

    def check_generator(self, generator: PanoHead) -> None:
        """Refuse a generator that did not make this bank.

        Raises:
            JobError: Its fingerprint is another.
        """
        actual = generator.fingerprint()
        if actual != self.manifest.generator:
            raise JobError(
                f"{self.folder} was made with another generator (fingerprint "
                f"{self.manifest.generator[:12]}, this one is {actual[:12]}).",
                "make a bank with this one: stylehead bank new",
            )

    def latents(self, generator: PanoHead) -> Tensor:
        """Read everybody's style vectors [N, num_ws, w_dim].

        Args:
            generator: Whose they are.

        Raises:
            MissingError: A file is not there.
            JobError: A file is damaged or was changed, or the generator is another one.
        """
        self.check_generator(generator)
        return self.read_latents(num_ws=generator.num_ws, w_dim=generator.config.w_dim)

    def read_latents(self, *, num_ws: int, w_dim: int) -> Tensor:
        """Read everybody's style vectors [N, num_ws, w_dim], whoever is to draw them.

        Raises:
            MissingError: A file is not there.
            JobError: A file is damaged or was changed.
        """
        rows = []
        for person in self.manifest.people:
            path = self._existing(self.folder / "latents" / f"{person.name}.npz")
            self._check_hash(path, person.latent_sha256)
            rows.append(read_heads(path, num_ws=num_ws, w_dim=w_dim)[0].ws)
        return torch.from_numpy(np.stack(rows))

    def cameras(self) -> Tensor:
        """Return the camera labels [N, V, 25]."""
        labels = torch.tensor([view.camera for view in self.views], dtype=torch.float32)
        return labels.unflatten(0, (-1, self.manifest.views_each))

    def render_path(self, view: BankView) -> Path:
        """Return where the render of a view is."""
        return self.folder / "renders" / f"{view.name}.png"

    def render(self, view: BankView) -> np.ndarray:
        """Read the render of a view, uint8 [S, S, 3].

        Raises:
            MissingError: It is not there.
            JobError: It is damaged, or was changed since.
        """
        path = self._existing(self.render_path(view))
        self._check_hash(path, view.render_sha256, hint=f"put edits into {self.folder / 'edited'} instead")
        return read_pixels(path, self.manifest.resolution).pixels

    def renders_01(self, views: Sequence[BankView]) -> Tensor:
        """Read renders as a batch [V, 3, S, S] in 0..1, for an editor."""
        pixels = np.stack([self.render(view) for view in views])
        return bytes_to_01(torch.from_numpy(pixels).permute(0, 3, 1, 2))

    def mask(self, view: BankView) -> np.ndarray:
        """Read where the head is in a render, bool [S, S].

        Raises:
            MissingError: It is not there.
            JobError: It is damaged.
        """
        path = self._existing(self.folder / "masks" / f"{view.name}.png")
        return read_grey(path, self.manifest.resolution) > 127

    def edited_files(self, view: BankView) -> list[Path]:
        """List the pictures in `edited/` that are named as edits of a view, sorted by name."""
        folder = self.folder / "edited"
        found = folder.iterdir() if folder.is_dir() else []
        return sorted(path for path in found if edits_view(path, view.name))

    def record_of(self, path: Path) -> EditRecord | None:
        """Return the record of the filling that wrote a picture; None for a user's own, or a changed one."""
        name = f"edited/{path.name}"
        record = next((edit for edit in self.manifest.edits if edit.file == name), None)
        return record if record is not None and record.sha256 == sha256_of(path) else None

    def all_edits(self, number: int | None = None) -> Iterator[tuple[int, Path]]:
        """Yield the index of a view and a picture that edits it, view by view.

        Args:
            number: Of the round that made it, 0 for the first filling and for pictures without a record; all
                rounds when None.
        """
        for index, view in enumerate(self.views):
            for path in self.edited_files(view):
                if number is None or self._round_of(path) == number:
                    yield index, path

    def _round_of(self, path: Path) -> int:
        record = self.record_of(path)
        return 0 if record is None else record.round

    def _existing(self, path: Path) -> Path:
        if not path.is_file():
            raise MissingError(f"{path} is missing.", "make the bank again with stylehead bank new")
        return path

    def _check_hash(self, path: Path, wanted: str, *, hint: str | None = None) -> None:
        if sha256_of(path) != wanted:
            raise JobError(f"{path} was changed since the bank was made.", hint)


def edits_view(path: Path, name: str) -> bool:
    """Whether a file is named as an edit of a view: `0003_1.png`, or `0003_1.second.webp`."""
    return path.suffix.lower() in SUFFIXES and path.name.split(".")[0] == name and path.is_file()


def sha256_of(path: Path) -> str:
    """Hash a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
