"""The bank of a stylise job: made and filled at the beginning of its run, or the user's; then reviewed."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from stylehead.bank import Bank, CheckedBank, Filling, check_bank, create_bank, fill_bank
from stylehead.bank.create import sitters_from_seeds
from stylehead.bank.learning import edited_views
from stylehead.bank.manifest import MANIFEST
from stylehead.bank.refresh import refresh_bank
from stylehead.bank.strangers import FaceVectors
from stylehead.errors import JobError
from stylehead.jobs.inventory import Inventory
from stylehead.jobs.report import Report
from stylehead.methods.config import BankSettings
from stylehead.teacher.editing import Editor, Guidance, InstructPix2Pix, open_editor, open_preset_editor
from stylehead.teacher.editing.instruction import instruction_for
from stylehead.weights.presets import Preset

if TYPE_CHECKING:
    from stylehead.generator import PanoHead
    from stylehead.methods import Stylizer

BANK = "bank"
"""Folder of the bank that a run makes, in its own."""


class EditCost(NamedTuple):
    """What a bank costs: seconds for a person, and how many people."""

    seconds_per_person: float
    people: int


def supply_edits(stylizer: "Stylizer", needs: Inventory, folder: Path, device: str, report: Report) -> None:
    """Give a method that learns from edits those of its bank; other methods need nothing.

    Args:
        stylizer: Whose method; its reference made the bank.
        needs: Of the job.
        folder: Of the run.
        device: Where the editor computes.
        report: Where progress goes.

    Raises:
        UsageError: The bank that was given has no edits.
        JobError: The bank is damaged, another generator's, or none of its edits can be used.
    """
    config = stylizer.config
    if not isinstance(config, BankSettings):
        return
    number = config.round_at(stylizer.iteration)
    if config.bank is not None:
        bank = Bank.open(Path(config.bank))
        bank.check_generator(stylizer.reference)
    else:
        bank = _own_bank(config, stylizer.reference, needs, folder / BANK, device, report)
        if number:
            bank = _refreshed(config, stylizer.generator, needs, bank, number, device, report)
    faces = recogniser_of(needs.preset, device)
    checked = check_bank(bank, None if config.bank is not None else number, faces=faces)
    checked.require_edits()
    report.note(f"Bank {bank.folder}: {checked.summary()}")
    stylizer.method.edits = edited_views(checked, stylizer.reference)


def recogniser_of(preset: Preset, device: str) -> FaceVectors | None:
    """Load the preset's recogniser of faces; None where it has none."""
    from stylehead.perception.embedded import IdentityEncoder

    path = preset.companion("faces")
    if path is None:
        return None
    encoder = IdentityEncoder.load(path).to(device)
    return lambda images_pm1: encoder(images_pm1.to(device))


def check_given_bank(config: object, generator: "PanoHead") -> None:
    """Refuse a bank that cannot teach, before a run is made for it.

    Raises:
        UsageError: It is no bank, or has no edits.
        JobError: It is damaged, or another generator's.
    """
    if isinstance(config, BankSettings) and config.bank is not None:
        bank = Bank.open(Path(config.bank))
        bank.check_generator(generator)
        if not any(True for _ in bank.all_edits()):
            CheckedBank(bank, ()).require_edits()


def is_refreshed(config: object, iteration: int) -> bool:
    """Whether the bank is edited anew right after an iteration."""
    return isinstance(config, BankSettings) and config.round_at(iteration) > config.round_at(iteration - 1)


def time_edits(stylizer: "Stylizer", needs: Inventory, device: str) -> EditCost | None:
    """Time the edits of one person; None for a job that edits nothing."""
    import torch

    config = stylizer.config
    if not isinstance(config, BankSettings) or config.bank is not None:
        return None
    editor, size = open_job_editor(config, needs.preset, device), stylizer.reference.config.img_resolution
    start = time.perf_counter()
    editor.edit(torch.ones(config.bank_views, 3, size, size), config.prompt, seed=config.seed)
    return EditCost(time.perf_counter() - start, config.people)


def open_job_editor(config: BankSettings, preset: Preset, device: str) -> Editor:
    """Load the editor that the settings name, or the preset's own.

    Raises:
        MissingError: It is not there.
        JobError: It is damaged, or edits nothing.
    """
    guidance = Guidance(config.text_scale, config.picture_scale)
    if config.editor is not None:
        editor = open_editor(Path(config.editor), device=device, guidance=guidance)
    else:
        editor = open_preset_editor(preset, device=device, guidance=guidance)
    if isinstance(editor, InstructPix2Pix):
        editor.steps = config.edit_steps
    return editor


def instruct(config: BankSettings, preset: Preset) -> str:
    """Return what the editor is told; an embedded one learned prompts as they are."""
    if config.instruction is not None:
        return config.instruction
    knows_prompts = preset.vocabulary is not None and config.editor is None
    return config.prompt if knows_prompts else instruction_for(config.prompt)


def licences_of(config: object) -> dict[str, str]:
    """Return the licences of the editors behind the bank that the settings name, by editor."""
    if not isinstance(config, BankSettings) or config.bank is None:
        return {}
    return {edit.editor: edit.licence for edit in Bank.open(Path(config.bank)).manifest.edits}


def _refreshed(
    config: BankSettings,
    generator: "PanoHead",
    needs: Inventory,
    bank: Bank,
    number: int,
    device: str,
    report: Report,
) -> Bank:
    """Edit the bank of a run anew, or go on where a stopped one was.

    Raises:
        JobError: The editor cannot start from a picture.
    """
    editor = open_job_editor(config, needs.preset, device)
    if not isinstance(editor, InstructPix2Pix):
        raise JobError(f"{editor.name} cannot start from a picture, so it edits once.", "--refresh 0")
    filling = Filling(config.prompt, instruct(config, needs.preset), config.negative_prompt, config.seed)
    with report.progress(
        total=len(bank.manifest.people), label=f"edits, {number}", unit="person edited"
    ) as shown:
        return refresh_bank(
            bank,
            generator,
            editor,
            filling,
            number=number,
            noise_share=config.refresh_noise,
            done=lambda count: shown.update(count),
        )


def _own_bank(
    config: BankSettings, generator: "PanoHead", needs: Inventory, folder: Path, device: str, report: Report
) -> Bank:
    """Make and fill the bank of a run, or go on where a stopped one was."""
    if not (folder / MANIFEST).is_file():
        with report.progress(total=config.people, label="people of the bank", unit="person drawn") as shown:
            sitters = sitters_from_seeds(
                generator, config.people, seed=config.seed, psi=config.psi, cutoff=config.psi_cutoff
            )
            create_bank(
                folder,
                generator,
                sitters,
                views=config.bank_views,
                seed=config.seed,
                preset=needs.preset.name,
                psi=config.psi,
                done=lambda count: shown.update(count),
            )
    bank = Bank.open(folder)
    filling = Filling(config.prompt, instruct(config, needs.preset), config.negative_prompt, config.seed)
    missing = [view for view in bank.views if not bank.edited_files(view)]
    if not missing:
        return bank
    editor = open_job_editor(config, needs.preset, device)
    with report.progress(total=len(bank.manifest.people), label="edits", unit="person edited") as shown:
        return fill_bank(bank, editor, filling, done=lambda count: shown.update(count))
