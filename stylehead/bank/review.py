"""Reviewing a bank: every edit read, put in place and judged; what is left is what training sees."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stylehead.bank.dataset import Bank
from stylehead.bank.gate import Verdict, judge, moved_outline, moved_picture
from stylehead.bank.pictures import Outline, Pixels, find_outline, read_pixels
from stylehead.bank.strangers import FaceVectors, strangeness
from stylehead.errors import JobError, UsageError, quoted

OWN = "own pictures"
"""Who made edits that no filling wrote."""
DAMAGED = Verdict(False, "cannot be read", 0.0, 0.0)


@dataclass(frozen=True, eq=False)
class CheckedEdit:
    """An edit after its review.

    Attributes:
        view: Index of the view that it edits.
        file: Where it is.
        verdict: Whether it is kept, and why not.
        pixels: uint8 [S, S, 3], shift and zoom undone; None where it cannot be read.
        outline: bool [S, S], of the same.
    """

    view: int
    file: Path
    verdict: Verdict
    pixels: Pixels | None
    outline: Outline | None


@dataclass(frozen=True, eq=False)
class CheckedBank:
    """A bank after its review.

    Attributes:
        bank: The bank.
        edits: All of them, view by view.
    """

    bank: Bank
    edits: tuple[CheckedEdit, ...]

    @property
    def kept(self) -> tuple[CheckedEdit, ...]:
        """What may be learned from."""
        return tuple(edit for edit in self.edits if edit.verdict.kept)

    @property
    def missing(self) -> int:
        """How many views have no edit."""
        return len(self.bank.views) - len({edit.view for edit in self.edits})

    def dropped(self) -> dict[str, int]:
        """Count what was dropped by the kind of reason."""
        reasons = (edit.verdict.reason for edit in self.edits if not edit.verdict.kept)
        return dict(Counter(" ".join(reason.split(" by ")[0].split()) for reason in reasons))

    def editors(self) -> dict[str, str]:
        """Return the licence of every editor that made something that is kept."""
        records = [self.bank.record_of(edit.file) for edit in self.kept]
        return {record.editor: record.licence for record in records if record} | (
            {OWN: ""} if any(record is None for record in records) else {}
        )

    def summary(self) -> str:
        """Say in a sentence what is kept, dropped and missing."""
        parts = [f"{len(self.kept)} of {len(self.edits)} edits kept"]
        parts += [f"{count} {reason}" for reason, count in self.dropped().items()]
        if self.missing:
            parts.append(f"{self.missing} of {len(self.bank.views)} views without an edit")
        return "; ".join(parts) + "."

    def require_edits(self) -> None:
        """Refuse a bank of which nothing is left.

        Raises:
            UsageError: There is no edit.
            JobError: None was kept.
        """
        folder = self.bank.folder
        if not self.edits:
            raise UsageError(
                f"{folder} has no edits yet.",
                f"stylehead bank fill {quoted(folder)}, or put pictures into edited/",
            )
        if not self.kept:
            raise JobError(
                f"None of the {len(self.edits)} edits in {folder} can be used.",
                f"stylehead bank check {quoted(folder)} shows why",
            )

    def pictures(self) -> list[tuple[int, Tensor]]:
        """Return what is kept as pairs of a view's index and uint8 [3, S, S]."""
        return [
            (edit.view, torch.from_numpy(np.array(edit.pixels)).permute(2, 0, 1))
            for edit in self.kept
            if edit.pixels is not None
        ]


def check_bank(bank: Bank, number: int | None = None, *, faces: FaceVectors | None = None) -> CheckedBank:
    """Read and judge all edits of a bank.

    Args:
        bank: The bank.
        number: Of the round whose edits count; all when None.
        faces: Recogniser that tells who is in a picture, where there is one.

    Raises:
        MissingError: A render or mask is not there.
        JobError: A render or mask is damaged or was changed.
    """
    size = bank.manifest.resolution
    renders = [bank.render(view) for view in bank.views]
    masks = [bank.mask(view) for view in bank.views]
    found = list(bank.all_edits(number))
    read: list[tuple[Pixels, Outline] | None] = [_read(path, size) for _, path in found]
    good = [index for index, item in enumerate(read) if item is not None]
    pictures = [item for item in read if item is not None]
    edits, views = [pixels for pixels, _ in pictures], [found[index][0] for index in good]
    strange = None
    if faces is not None:
        whom = [bank.views[view].person for view in views]
        strange = strangeness(edits, whom, renders, faces, people=len(bank.manifest.people)).tolist()
    verdicts = judge(edits, [outline for _, outline in pictures], views, renders, masks, strange)
    judged = dict(zip(good, verdicts, strict=True))
    checked = []
    for index, (view, path) in enumerate(found):
        verdict, item = judged.get(index, DAMAGED), read[index]
        pixels, outline = item if item is not None else (None, None)
        if verdict.placement is not None and item is not None:
            pixels = moved_picture(item[0], verdict.placement)
            outline = moved_outline(item[1], verdict.placement)
        checked.append(CheckedEdit(view, path, verdict, pixels, outline))
    return CheckedBank(bank, tuple(checked))


def _read(path: Path, size: int) -> tuple[Pixels, Outline] | None:
    """Read an edit; None where it is damaged."""
    try:
        picture = read_pixels(path, size)
    except JobError:
        return None
    return picture.pixels, find_outline(picture)
