"""Styles at a glance: what is known of each, and one row of heads for each of them."""

from pathlib import Path

import numpy as np

from stylehead.errors import JobError
from stylehead.export.recipe import save_image
from stylehead.export.sheet import SheetRow, SheetStyle, contact_sheet
from stylehead.export.views import latent_from_seed, render_views
from stylehead.generator import PanoHead, load_style, remove_styles
from stylehead.images import Pixels
from stylehead.jobs import environment
from stylehead.jobs.named_styles import KnownStyle
from stylehead.jobs.report import Report
from stylehead.weights.presets import Preset

SEEDS, YAWS_DEG, PSI = (1, 4, 3, 7), (0.0, -50.0), 0.75


def write_style_sheet(
    path: Path, styles: list[KnownStyle], preset: Preset, report: Report
) -> list[KnownStyle]:
    """Draw the same heads untouched and in every style that belongs to a preset's generator.

    Args:
        path: The picture.
        styles: What to draw.
        preset: Whose generator.
        report: For progress, and a note of every style that is left out.

    Returns:
        The styles that are on it.

    Raises:
        JobError: There is none to draw.
    """
    generator = PanoHead.load(preset.require_generator(), environment.choose_device("auto"))
    base, rows, drawn = generator.fingerprint(), [SheetRow("untouched", _heads(generator))], []
    with report.progress(total=len(styles), label="Styles", unit="style") as shown:
        for count, style in enumerate(styles, start=1):
            loaded = load_style(style.path)
            if loaded.base == base:
                loaded.apply(generator)
                rows.append(SheetRow(style.name, _heads(generator)))
                drawn.append(style)
                remove_styles(generator)
            else:
                report.note(f"{style.name} was made for another generator and is left out.")
            shown.update(count)
    if not drawn:
        raise JobError(
            "There is no style of this generator to draw.", 'stylehead stylize --prompt "the joker"'
        )
    sheet = contact_sheet(rows, style=SheetStyle(cell=128))
    save_image(path, sheet, {"command": "styles", "styles": [style.name for style in drawn]})
    return drawn


def _heads(generator: PanoHead) -> Pixels:
    """Render every head from every side [V, H, W, 3]."""
    heads = [latent_from_seed(generator, seed, psi=PSI) for seed in SEEDS]
    return np.concatenate([render_views(generator, ws, YAWS_DEG) for ws in heads])
