"""The sheet of a sweep: prompts below each other, settings side by side, one head."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stylehead.export.recipe import save_image
from stylehead.export.sheet import SheetRow, contact_sheet
from stylehead.export.views import latent_from_seed, render_views
from stylehead.generator import PanoHead, load_style, remove_styles
from stylehead.images import Pixels
from stylehead.sweeps.journal import STYLE, Journal
from stylehead.sweeps.plan import Planned
from stylehead.weights.presets import find_preset

HEAD, YAW_DEG, PSI = 42, 20.0, 0.75
"""The head that is drawn, from where, and its truncation."""
_LONGEST, _WIDTH = 18, 20
"""Letters of a heading; longer ones are numbered, and said above the sheet if there is room."""


def write_sweep_sheet(
    path: Path, journal: Journal, finished: Sequence[Planned], device: str
) -> list[tuple[str, str]]:
    """Draw the sheet of all runs that are trained.

    Args:
        path: Where it is written.
        journal: Of the sweep.
        finished: Its trained runs, of one generator.
        device: Where to compute.

    Returns:
        What the numbers above its columns mean, if they are numbers.
    """
    preset = find_preset(finished[0].config.preset).preset
    generator = PanoHead.load(preset.require_generator(), device)
    prompts = list(dict.fromkeys(run.config.prompt for run in finished))
    columns = list(dict.fromkeys(run.column() for run in finished))
    pictures = {(run.config.prompt, run.column()): _picture(generator, journal, run) for run in finished}
    untouched = _drawn(generator)
    blank = np.full_like(untouched, 255)
    rows = [
        SheetRow(prompt, np.stack([untouched, *(pictures.get((prompt, name), blank) for name in columns)]))
        for prompt in prompts
    ]
    named = [name or "stylised" for name in columns]
    short = all(len(name) <= _LONGEST for name in named)
    headings = ["untouched", *(named if short else [str(number + 1) for number in range(len(named))])]
    facts = {"command": "sweep", "heads": [f"seed-{HEAD}"], "prompts": prompts, "columns": named}
    legend = [] if short else [(str(number), name) for number, name in enumerate(named, start=1)]
    title = "   ".join(f"{number}: {name}" for number, name in legend)
    title = title if len(title) <= _WIDTH * len(headings) else ""
    save_image(path, contact_sheet(rows, title=title, headings=headings, split=1), facts)
    return [(f"  column {number}", name) for number, name in legend]


def _picture(generator: PanoHead, journal: Journal, run: Planned) -> Pixels:
    try:
        load_style(journal.path(run) / STYLE).apply(generator)
        return _drawn(generator)
    finally:
        remove_styles(generator)


def _drawn(generator: PanoHead) -> Pixels:
    head: Pixels = render_views(generator, latent_from_seed(generator, HEAD, psi=PSI), [YAW_DEG])[0]
    return head
