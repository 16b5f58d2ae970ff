"""The heads and cameras by which a stylisation is judged: previews, contact sheet and turntable of a run."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from stylehead.export.sheet import SheetRow, contact_sheet
from stylehead.export.video import side_by_side
from stylehead.export.views import latent_from_seed, render_views, turntable_yaws
from stylehead.generator import PanoHead
from stylehead.images import Pixels

PREVIEW_SEEDS = (1, 2, 3)
PREVIEW_YAWS_DEG = (0.0, 60.0, 180.0)
SHEET_SEEDS = (1, 2, 3, 4)
SHEET_YAWS_DEG = (0.0, 60.0, 120.0, 180.0, 240.0, 300.0)
TURNTABLE_SEED = 1
TURNTABLE_STEPS = 36


class _View(NamedTuple):
    seed: int
    yaws_deg: tuple[float, ...]


class Showcase:
    """Renders fixed heads from fixed sides with the untouched and with the stylised generator.

    Source pictures are rendered once and kept.

    Args:
        reference: The untouched generator.
        psi: Truncation of the heads.
        title: Usually the prompt.
    """

    def __init__(self, reference: PanoHead, *, psi: float, title: str) -> None:
        self._reference, self._psi, self._title = reference, psi, title
        self._source: dict[_View, Pixels] = {}

    def preview(self, generator: PanoHead, *, step: int) -> Pixels:
        """Draw source and stylised heads side by side, a row a head."""
        rows = []
        for seed in PREVIEW_SEEDS:
            source, stylised = self._pair(generator, seed, PREVIEW_YAWS_DEG)
            rows.append(SheetRow(f"seed {seed}", np.concatenate([source, stylised])))
        return contact_sheet(
            rows,
            title=self._title,
            headings=("source", f"step {step}"),
            split=len(PREVIEW_YAWS_DEG),
        )

    def contact_sheet(self, generator: PanoHead) -> Pixels:
        """Draw several heads from all sides, the source above the stylised one."""
        rows = []
        for seed in SHEET_SEEDS:
            source, stylised = self._pair(generator, seed, SHEET_YAWS_DEG)
            rows += [SheetRow(f"seed {seed}", source), SheetRow("stylised", stylised, joined=True)]
        return contact_sheet(rows, title=self._title, headings=angle_headings(SHEET_YAWS_DEG))

    def turntable(self, generator: PanoHead) -> Pixels:
        """Film one head, source left and stylised right; [T, H, W, 3]."""
        yaws_deg = turntable_yaws(TURNTABLE_STEPS)
        return side_by_side(*self._pair(generator, TURNTABLE_SEED, yaws_deg))

    def _pair(self, generator: PanoHead, seed: int, yaws_deg: Sequence[float]) -> tuple[Pixels, Pixels]:
        ws = latent_from_seed(self._reference, seed, psi=self._psi)
        view = _View(seed, tuple(yaws_deg))
        if view not in self._source:
            self._source[view] = render_views(self._reference, ws, yaws_deg)
        return self._source[view], render_views(generator, ws, yaws_deg)


def angle_headings(yaws_deg: Sequence[float]) -> list[str]:
    """Write camera angles for people: "0°", "60°"."""
    return [f"{yaw:.0f}°" for yaw in yaws_deg]
