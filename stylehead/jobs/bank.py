"""Banks by hand: made, filled by an editor or from a folder, and checked on a sheet."""

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, get_args

import numpy as np
from PIL import Image, ImageDraw

from stylehead.bank import (
    Bank,
    CheckedBank,
    Filling,
    Sitter,
    check_bank,
    create_bank,
    fill_bank,
    import_pictures,
)
from stylehead.bank.create import check_vacant, sitters_from_seeds
from stylehead.bank.fill import missing_views
from stylehead.bank.review import CheckedEdit
from stylehead.errors import JobError, quoted
from stylehead.export.recipe import save_image
from stylehead.export.sheet import SheetRow, contact_sheet
from stylehead.generator import PanoHead
from stylehead.images import Pixels
from stylehead.jobs import environment
from stylehead.jobs.banking import instruct, open_job_editor, recogniser_of
from stylehead.jobs.named_heads import latent_heads
from stylehead.jobs.report import Report, Result
from stylehead.methods.config import BankSettings
from stylehead.methods.registry import OF_BANKS
from stylehead.settings import Seed, Share, between, check_ranges
from stylehead.weights.presets import PresetName, find_preset

SHEET = "check.png"
MOST_PEOPLE = 40
"""Rows of a sheet; people with dropped edits come first."""
_RED, _CELL = (200, 30, 40), 128


@dataclass(frozen=True)
class NewBank:
    """Who is to be in a bank."""

    people: Annotated[int, between(0, 9999)]
    """People to draw, beside those of `latents`."""
    views: Annotated[int, between(1, 32)]
    """Sides of each."""
    latents: tuple[Path, ...] = ()
    """Latent files of heads that are to be in it."""
    seed: Seed = 0
    """Other people and cameras for another number."""
    psi: Share = 1.0
    """Truncation of the people that are drawn."""


def new_bank(
    out: Path, wanted: NewBank, report: Report, *, preset: str = "auto", device: str = "auto"
) -> Result:
    """Render people from a few sides into a new bank.

    Args:
        out: Its folder: new, or empty.
        wanted: Who is to be in it.
        report: Where progress goes.
        preset: Whose generator.
        device: Where to compute.

    Raises:
        UsageError: There is something at `out`, or nobody to render.
        StyleheadError: The generator or a latent is missing or damaged.
    """
    check_ranges(wanted)
    check_vacant(out)
    weights, why = find_preset(preset)
    report.note(why)
    if (problem := weights.problem()) is not None:
        raise problem
    generator = PanoHead.load(weights.require_generator(), environment.choose_device(device))
    own = [Sitter(head.ws, source=head.name) for head in latent_heads(generator, wanted.latents)]
    sitters = [*own, *sitters_from_seeds(generator, wanted.people, seed=wanted.seed, psi=wanted.psi)]
    with report.progress(total=len(sitters), label="people", unit="person drawn") as shown:
        bank = create_bank(
            out,
            generator,
            sitters,
            views=wanted.views,
            seed=wanted.seed,
            preset=weights.name,
            psi=wanted.psi,
            done=lambda count: shown.update(count),
        )
    rows = (
        ("bank", out),
        ("people", f"{len(sitters)}, {wanted.views} views each"),
        ("edit these", out / "renders"),
        ("put edits into", out / "edited"),
    )
    hints = (f'stylehead bank fill {quoted(out)} --prompt "the joker"',)
    return Result((out,), rows, {"bank": out, "people": len(sitters), "views": len(bank.views)}, hints)


def fill(
    folder: Path,
    report: Report,
    *,
    settings: BankSettings,
    preset: str = "auto",
    device: str = "auto",
) -> Result:
    """Have an editor edit what is not edited yet, or take over the pictures in a folder.

    Args:
        folder: The bank.
        report: Where progress goes.
        settings: Prompt, instruction, editor (a folder in diffusers layout, or one of pictures) and seed.
        preset: Whose editor, where none is named.
        device: Where to compute.

    Raises:
        UsageError: It is no bank, is filled for another prompt, or the folder has no picture of it.
        StyleheadError: The editor or a picture is missing or damaged.
    """
    bank = Bank.open(folder)
    source = None if settings.editor is None else Path(settings.editor)
    if source is not None and source.is_dir() and not (source / "model_index.json").is_file():
        bank, found = import_pictures(bank, source, settings.prompt)
        report.note(f"{found.taken} pictures taken; {found.missing} views have none.")
        if found.strange:
            report.warn(f"{found.strange} files in {source} are not named like a render and were left out.")
    else:
        weights, why = find_preset(preset)
        report.note(why)
        editor = open_job_editor(settings, weights, environment.choose_device(device))
        report.note(f"{editor.name}: {editor.licence or 'licence not known'}")
        filling = Filling(
            settings.prompt, instruct(settings, weights), settings.negative_prompt, settings.seed
        )
        with report.progress(total=len(bank.manifest.people), label="edits", unit="person edited") as shown:
            bank = fill_bank(bank, editor, filling, done=lambda count: shown.update(count))
    missing = len(missing_views(bank))
    rows = (("bank", folder), ("edits", sum(1 for _ in bank.all_edits())), ("views without", missing))
    hints = (
        f"stylehead bank check {quoted(folder)}",
        f"stylehead stylize --bank {quoted(folder)} --prompt {quoted(settings.prompt)}",
    )
    return Result((folder,), tuple((k, v if isinstance(v, Path) else str(v)) for k, v in rows),
                  {"bank": folder, "missing": missing}, hints)  # fmt: skip


def check(folder: Path, report: Report, *, out: Path | None = None) -> Result:
    """Say which edits may be learned from, and draw a sheet of them.

    Args:
        folder: The bank.
        report: For notes.
        out: The sheet; `check.png` in the bank by default.

    Raises:
        UsageError: It is no bank, or has no edits.
        JobError: It is damaged, or none of its edits can be used.
    """
    bank = Bank.open(folder)
    known = bank.manifest.preset if bank.manifest.preset in get_args(PresetName) else "auto"
    checked = check_bank(bank, faces=recogniser_of(find_preset(known).preset, "cpu"))
    if not checked.edits:
        checked.require_edits()
    path = folder / SHEET if out is None else out
    save_image(path, draw_review(checked), {"command": "bank check", "bank": str(folder)})
    dropped = [edit for edit in checked.edits if not edit.verdict.kept]
    for edit in dropped[:20]:
        report.note(f"{edit.file.name}: {edit.verdict.reason}")
    if len(dropped) > 20:
        report.note(f"{len(dropped) - 20} more were dropped; --json lists them all.")
    data = {
        "bank": folder,
        "sheet": path,
        "kept": len(checked.kept),
        "missing": checked.missing,
        "edits": [_facts(edit, checked) for edit in checked.edits],
        "editors": checked.editors(),
    }
    if not checked.kept:
        raise JobError(f"None of the {len(checked.edits)} edits can be used.", f"look at {path}")
    return Result((path,), (("sheet", path), ("edits", checked.summary())), data)


def _facts(edit: CheckedEdit, checked: CheckedBank) -> dict[str, object]:
    verdict = edit.verdict
    return {
        "file": edit.file,
        "view": checked.bank.views[edit.view].name,
        "kept": verdict.kept,
        "reason": verdict.reason,
        "iou": verdict.iou,
        "better_fit": verdict.better,
    }


def draw_review(checked: CheckedBank) -> Pixels:
    """Draw renders and their first edits side by side, dropped ones framed and with the reason."""
    bank, first = checked.bank, {edit.view: edit for edit in reversed(checked.edits)}
    each = bank.manifest.views_each
    people = range(len(bank.manifest.people))
    troubled = {edit.view // each for edit in checked.edits if not edit.verdict.kept}
    shown = sorted(people, key=lambda person: (person not in troubled, person))[:MOST_PEOPLE]
    rows = []
    for person in shown:
        cells = []
        for index in range(person * each, (person + 1) * each):
            cells += [_cell(bank.render(bank.views[index])), _edit_cell(first.get(index))]
        rows.append(SheetRow(bank.manifest.people[person].name, np.stack(cells)))
    left = len(people) - len(shown)
    title = checked.summary() + (f" {left} people are not shown." if left else "")
    return contact_sheet(rows, title=title)


def _edit_cell(edit: CheckedEdit | None) -> Pixels:
    """Draw an edit; a grey square where there is none, a red frame round one that is not used."""
    if edit is None or edit.pixels is None:
        cell = Image.new("RGB", (_CELL, _CELL), (225, 225, 228))
    else:
        cell = Image.fromarray(_cell(edit.pixels))
    draw = ImageDraw.Draw(cell)
    if edit is None:
        draw.text((4, 4), "missing", (110, 110, 118))
    elif not edit.verdict.kept:
        draw.rectangle((0, 0, _CELL - 1, _CELL - 1), outline=_RED, width=3)
        for line, text in enumerate(textwrap.wrap(edit.verdict.reason, 20)):
            draw.text((6, 5 + 11 * line), text, _RED)
    elif edit.verdict.reason:
        draw.text((4, 4), edit.verdict.reason, (20, 90, 160))
    return np.asarray(cell)


def _cell(pixels: Pixels) -> Pixels:
    return np.asarray(Image.fromarray(pixels).resize((_CELL, _CELL), Image.Resampling.LANCZOS))


def settings_of(prompt: str, **changes: object) -> BankSettings:
    """Build the settings of a filling from what was typed.

    Raises:
        UsageError: A value is out of range.
    """
    given = {name: value for name, value in changes.items() if value is not None}
    return BankSettings.from_dict({"prompt": prompt, "method": OF_BANKS, **given})
