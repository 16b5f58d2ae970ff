"""Filling a bank: by an editor, person by person, or with pictures from a folder."""

import contextlib
import dataclasses
import hashlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

from stylehead.bank.dataset import Bank, edits_view
from stylehead.bank.manifest import BankView, EditRecord
from stylehead.bank.pictures import Pixels, read_pixels
from stylehead.errors import JobError, UsageError
from stylehead.files import atomic_write
from stylehead.folders import hold
from stylehead.images import to_pixels
from stylehead.teacher.editing import Editor


@dataclass(frozen=True)
class Filling:
    """What an editor is asked.

    Attributes:
        prompt: What the edits are made for, as the style will be called.
        instruction: What the editor is told; the prompt where not given.
        negative: What the editor is to avoid.
        seed: Of the noise: one number for all views of a person, another for the next.
    """

    prompt: str
    instruction: str = ""
    negative: str = ""
    seed: int = 0


class Imported(NamedTuple):
    """How many pictures were taken over, how many views have none, and how many files belong to no view."""

    taken: int
    missing: int
    strange: int


def fill_bank(
    bank: Bank,
    editor: Editor,
    filling: Filling,
    *,
    done: Callable[[int], Any] = lambda _count: None,
) -> Bank:
    """Have an editor edit all renders that have no edit yet; a stopped filling goes on where it was.

    Args:
        bank: To fill.
        editor: Who edits.
        filling: What it is asked.
        done: Called with the number of finished people, for progress.

    Returns:
        The bank with its new records.

    Raises:
        UsageError: The bank was filled for another prompt.
        JobError: Another process is filling it, or an edit holds numbers that are not finite.
    """
    with locked(bank):
        bank = _for_prompt(Bank.open(bank.folder), filling.prompt)
        for person in range(len(bank.manifest.people)):
            views = bank.views_of(person)
            if not all(bank.edited_files(view) for view in views):
                bank = _edit_person(bank, editor, filling, person)
            done(person + 1)
    return bank


def _edit_person(bank: Bank, editor: Editor, filling: Filling, person: int) -> Bank:
    """Edit all views of one person, write those that are missing, and record them."""
    views = bank.views_of(person)
    instruction = filling.instruction or filling.prompt
    seed = filling.seed * 10_007 + person
    edited = editor.edit(bank.renders_01(views), instruction, seed=seed, negative=filling.negative)
    if not torch.isfinite(edited).all():
        raise JobError(f"{editor.name} made pictures with numbers that are not finite.")
    records, pictures = [], {}
    for view, pixels in zip(views, to_pixels(edited * 2 - 1), strict=True):
        if bank.edited_files(view):
            continue
        file = f"edited/{view.name}.png"
        pictures[file] = png(pixels)
        records.append(
            EditRecord(
                file=file,
                view=view.name,
                sha256=hashlib.sha256(pictures[file]).hexdigest(),
                editor=editor.name,
                licence=editor.licence,
                prompt=filling.prompt,
                instruction=instruction,
                seed=seed,
            )
        )
    bank = with_edits(bank, records)  # first: a picture without a record is taken for the user's own
    (bank.folder / "edited").mkdir(exist_ok=True)
    for file, content in pictures.items():
        atomic_write(bank.folder / file, content)
    return bank


def import_pictures(bank: Bank, folder: Path, prompt: str) -> tuple[Bank, Imported]:
    """Take over pictures that are named like the renders, whatever program made them.

    Args:
        bank: To fill. A view that has an edit of the same name gets the new one instead.
        folder: With files such as `0003_1.png` (or .jpg, .webp; `0003_1.second.png` is another edit).
        prompt: What they show: any text, a name for the style.

    Returns:
        The bank, and what was found.

    Raises:
        UsageError: There is no such folder, it has no picture of this bank, or the bank has another prompt.
        JobError: A picture is damaged; nothing was taken over then. Or another process is filling the bank.
    """
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}.")
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    found = {view.name: [path for path in files if edits_view(path, view.name)] for view in bank.views}
    taken = [path for paths in found.values() for path in paths]
    if not taken:
        raise UsageError(
            f"{folder} holds no picture of this bank.",
            f"name edits like the renders, for example {bank.views[0].name}.png",
        )
    for path in taken:
        read_pixels(path, bank.manifest.resolution)
    with locked(bank):
        bank = _for_prompt(Bank.open(bank.folder), prompt)
        (bank.folder / "edited").mkdir(exist_ok=True)
        for path in taken:
            target = bank.folder / "edited" / path.name
            if path.resolve() != target.resolve():
                atomic_write(target, path.read_bytes())
    missing = sum(not paths for paths in found.values())
    return bank, Imported(len(taken), missing, len(files) - len(taken))


def with_edits(bank: Bank, records: list[EditRecord], *, prompt: str | None = None) -> Bank:
    """Record edits, in place of older records of the same files, and write the manifest."""
    files = {record.file for record in records}
    kept = tuple(edit for edit in bank.manifest.edits if edit.file not in files)
    manifest = dataclasses.replace(
        bank.manifest, edits=(*kept, *records), prompt=bank.manifest.prompt if prompt is None else prompt
    )
    manifest.write(bank.folder)
    return Bank(bank.folder, manifest)


@contextlib.contextmanager
def locked(bank: Bank) -> Iterator[None]:
    """Keep other processes out, and clear away what a killed one left half-written.

    Raises:
        JobError: Another process is filling the bank.
    """
    with hold(bank.folder, "filling"):
        yield


def _for_prompt(bank: Bank, prompt: str) -> Bank:
    """Write down what the edits are for.

    Raises:
        UsageError: There are edits for another prompt.
    """
    known = bank.manifest.prompt
    if not prompt.strip():
        raise UsageError("`--prompt` is empty.", "say what the edits show, in any words")
    if known is not None and known != prompt and any(True for _ in bank.all_edits()):
        raise UsageError(
            f'{bank.folder} is filled for "{known}", not for "{prompt}".',
            f"empty {bank.folder / 'edited'} first, or make another bank",
        )
    manifest = dataclasses.replace(bank.manifest, prompt=prompt)
    if known != prompt:
        manifest.write(bank.folder)
    return Bank(bank.folder, manifest)


def png(pixels: Pixels) -> bytes:
    """Encode a picture."""
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, "PNG")
    return stream.getvalue()


def missing_views(bank: Bank) -> list[BankView]:
    """List the views that nobody edited."""
    return [view for view in bank.views if not bank.edited_files(view)]
