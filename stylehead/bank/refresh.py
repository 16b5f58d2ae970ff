"""A bank edited anew while a run goes on: of the untouched renders, started from what became of them.

An editor that starts from the noised picture of the generator as it is keeps what the views agree on by
then, and repairs what they do not (Instruct-NeRF2NeRF, arXiv 2303.12789, which does so picture by picture).
Every round has files of its own, `edited/0003_1.round2.png`, so that a run that was stopped finds the edits
that it had learned from.
"""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stylehead.bank.create import rendered
from stylehead.bank.dataset import Bank
from stylehead.bank.fill import Filling, locked, png, with_edits
from stylehead.bank.manifest import BankView, EditRecord
from stylehead.errors import JobError
from stylehead.files import atomic_write
from stylehead.generator import PanoHead
from stylehead.images import bytes_to_01, to_pixels
from stylehead.teacher.editing import InstructPix2Pix


def refresh_bank(
    bank: Bank,
    generator: PanoHead,
    editor: InstructPix2Pix,
    filling: Filling,
    *,
    number: int,
    noise_share: float,
    done: Callable[[int], Any] = lambda _count: None,
) -> Bank:
    """Edit every render once more; what is there of this round is not edited again.

    Args:
        bank: With edits of its first filling.
        generator: As training left it so far.
        editor: Who edits; it can start from a picture.
        filling: What it is asked; the noise is another in every round.
        number: Of the round, from 1.
        noise_share: Noise level to start at, 0..1.
        done: Called with the number of finished people, for progress.

    Raises:
        JobError: Another process is filling the bank, or an edit holds numbers that are not finite.
    """
    with locked(bank):
        bank = Bank.open(bank.folder)
        num_ws, w_dim = generator.num_ws, generator.config.w_dim
        latents, cameras = bank.read_latents(num_ws=num_ws, w_dim=w_dim), bank.cameras()
        for person in range(len(bank.manifest.people)):
            views = bank.views_of(person)
            if not all((bank.folder / round_file(view, number)).is_file() for view in views):
                current = _pictures_01(generator, latents[person : person + 1], cameras[person])
                seed = (filling.seed + 1_000_003 * number) * 10_007 + person
                edited = editor.edit(
                    bank.renders_01(views), filling.instruction or filling.prompt, seed=seed,
                    negative=filling.negative, current_01=current, noise_share=noise_share,
                )  # fmt: skip
                bank = _write(bank, views, edited, editor, filling, seed=seed, number=number)
            done(person + 1)
    return bank


def round_file(view: BankView, number: int) -> str:
    """Return the file of a view's edit in a round, relative to the bank."""
    return f"edited/{view.name}.round{number}.png"


def _pictures_01(generator: PanoHead, ws: Tensor, labels: Tensor) -> Tensor:
    """Render one person from all sides [V, 3, S, S] in 0..1."""
    device = next(generator.parameters()).device
    pixels = np.stack([picture for picture, _ in rendered(generator, ws.to(device), labels)])
    return bytes_to_01(torch.from_numpy(pixels).permute(0, 3, 1, 2))


def _write(
    bank: Bank,
    views: tuple[BankView, ...],
    edited_01: Tensor,
    editor: InstructPix2Pix,
    filling: Filling,
    *,
    seed: int,
    number: int,
) -> Bank:
    """Record the edits of one person, then write them."""
    if not torch.isfinite(edited_01).all():
        raise JobError(f"{editor.name} made pictures with numbers that are not finite.")
    contents = [png(pixels) for pixels in to_pixels(edited_01 * 2 - 1)]
    records = [
        EditRecord(
            file=round_file(view, number),
            view=view.name,
            sha256=hashlib.sha256(content).hexdigest(),
            editor=editor.name,
            licence=editor.licence,
            prompt=filling.prompt,
            instruction=filling.instruction or filling.prompt,
            seed=seed,
            round=number,
        )
        for view, content in zip(views, contents, strict=True)
    ]
    bank = with_edits(bank, records)
    for record, content in zip(records, contents, strict=True):
        atomic_write(bank.folder / record.file, content)
    return bank
