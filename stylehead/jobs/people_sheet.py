"""A sheet of people and styles: a row a person, a column a style, every tile says what it shows."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from stylehead.errors import UsageError
from stylehead.evaluation.angles import wrap_yaw
from stylehead.export.frames import Look, render_frames
from stylehead.export.orbit import Shot
from stylehead.export.recipe import save_image
from stylehead.export.sheet import SheetRow, contact_sheet
from stylehead.files import check_parents, clear_leftovers
from stylehead.generator import PanoHead, mix_styles, remove_styles
from stylehead.images import Pixels, on_white
from stylehead.jobs import environment
from stylehead.jobs.arguments import Device, Paths, RenderArguments, parse_yaws
from stylehead.jobs.checks import check_styles, parse_seeds
from stylehead.jobs.named_heads import NamedHead, StyleChoice, latent_heads, load_styles, seed_heads
from stylehead.jobs.render_sheet import shot_caption
from stylehead.jobs.report import Report
from stylehead.settings import Share, between, check_ranges
from stylehead.weights.presets import PresetName, resolve_preset

PEOPLE, MOST_TILES = 6, 2000
USUAL = Path("renders/sheet.png")
PLAIN = "untouched"


@dataclass(frozen=True, kw_only=True)
class SheetArguments(Paths):
    """What `stylehead sheet` can be told."""

    people: Annotated[int, between(1, 500)] = PEOPLE
    """How many, seeds 1, 2, 3, ..."""
    seeds: str | None = None
    """Which people, such as "1,2,5-8", in place of `people`."""
    latent: tuple[Path, ...] = ()
    """People from latent files, or folders of them, in place of `people`."""
    style: tuple[str | Path, ...] = ()
    """Styles by name, file or run, a column each after the untouched head."""
    strength: tuple[float, ...] = ()
    """How strongly each acts, 0 to 2; 1 when none are given."""
    views: str = "0"
    """Sides in degrees, such as "0,60,180", each a tile of its own."""
    psi: Share = RenderArguments.psi
    """Truncation: 1 draws every head, 0 the average one."""
    size: Annotated[int, between(16, 2048)] | None = None
    """Edge of a tile, pixels; the generator's own when not given."""
    preset: PresetName = "auto"
    """Which weights to use."""
    device: Device = "auto"
    """Where to compute."""
    out: Path | None = None
    """File to write, .png, .jpg or .webp; a new one under `renders` when not given."""
    overwrite: bool = False
    """Replace that file."""


def sheet(arguments: SheetArguments, report: Report) -> Path:
    """Draw a sheet and write it; returns where.

    Args:
        arguments: What was asked for.
        report: Where progress goes.

    Raises:
        UsageError: The arguments do not go together.
        StyleheadError: Weights, heads or styles cannot be used.
    """
    check_sheet(arguments)
    path = _free(arguments)
    weights, why = resolve_preset(arguments.preset)
    report.note(why)
    generator = PanoHead.load(weights.require_generator(), environment.choose_device(arguments.device))
    styles = load_styles(generator, arguments.style, arguments.strength)
    if arguments.latent:
        heads = latent_heads(generator, arguments.latent)
    else:
        heads = seed_heads(generator, _seeds(arguments), psi=arguments.psi)
    drawn = draw(generator, heads, styles, arguments, report)
    path.parent.mkdir(parents=True, exist_ok=True)
    clear_leftovers(path.parent)
    recipe = {
        "command": "sheet",
        "heads": [head.name for head in heads],
        "styles": [choice.recipe() for choice in styles],
        "views": arguments.views,
        "preset": weights.name,
        "licence": weights.licence,
    }
    save_image(path, drawn, recipe)
    return path


def check_sheet(arguments: SheetArguments) -> None:
    """Check what was asked for.

    Raises:
        UsageError: Arguments exclude each other, or one is out of range.
    """
    check_ranges(arguments)
    shots = parse_yaws(arguments.views)
    if arguments.seeds is not None and arguments.latent:
        raise UsageError("`--seeds` and `--latent` exclude each other.")
    check_styles(arguments.style, arguments.strength)
    tiles = len(_seeds(arguments)) * (1 + len(arguments.style)) * len(shots)
    if not 1 <= tiles <= MOST_TILES:
        raise UsageError(f"The sheet would have {tiles} tiles; between 1 and {MOST_TILES} can be drawn.")
    check_parents(arguments.out or USUAL)
    if arguments.out is not None:
        if arguments.out.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
            raise UsageError(f"`--out` (={arguments.out}) must end in .png, .jpg or .webp.")
        if arguments.out.exists() and not arguments.overwrite:
            raise UsageError(f"{arguments.out} exists already.", "add --overwrite, or choose another name")


def draw(
    generator: PanoHead,
    heads: list[NamedHead],
    styles: list[StyleChoice],
    arguments: SheetArguments,
    report: Report,
) -> Pixels:
    """Draw the sheet, uint8 [H, W, 3]: style by style, as putting one on takes longer than a picture."""
    shots = [Shot(wrap_yaw(yaw)) for yaw in parse_yaws(arguments.views)]
    drawn: list[Pixels] = []
    total, look = len(heads) * (1 + len(styles)), Look(arguments.size)
    with report.progress(total=total, label="Rendering", unit="head") as shown:
        for choice in (None, *styles):
            remove_styles(generator)
            if choice is not None:
                mix_styles([(choice.style, choice.strength)]).apply(generator)
            for head in heads:
                drawn.append(on_white(render_frames(generator, head.ws, shots, look)))
                shown.update(len(drawn))
    names = [PLAIN, *(choice.title for choice in styles)]
    rows = []
    for index, head in enumerate(heads):
        person = head.name.replace("-", " ")
        captions = [f"{person}, {name}, {shot_caption(shot)}" for name in names for shot in shots]
        rows.append(SheetRow("", np.concatenate(drawn[index :: len(heads)]), captions=captions))
    return contact_sheet(rows)


def _seeds(arguments: SheetArguments) -> list[int]:
    if arguments.seeds is not None:
        return parse_seeds(arguments.seeds)
    return list(range(1, arguments.people + 1))


def _free(arguments: SheetArguments) -> Path:
    """The file that was asked for, or the first free one of the usual name."""
    if arguments.out is not None:
        return arguments.out

    def names() -> Iterator[Path]:
        yield USUAL
        yield from (USUAL.with_stem(f"{USUAL.stem}-{number}") for number in itertools.count(2))

    return next(path for path in names() if not path.exists())
