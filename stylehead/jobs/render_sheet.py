"""The contact sheet of a render: every tile says what it shows."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from stylehead.export.orbit import Shot
from stylehead.export.sheet import SheetRow, contact_sheet
from stylehead.export.video import side_by_side
from stylehead.images import Pixels, on_white
from stylehead.jobs.named_heads import NamedHead

SHEET_COLUMNS = 9
SHEET_FRAMES = 72
SHEET_VIEWS_OF_MANY = 9
"""At most; every 40 degrees of the usual 36 views."""


class Film(NamedTuple):
    """The frames of one head: stylised (or plain), and the source when it is compared."""

    head: NamedHead
    frames: Pixels
    source: Pixels | None

    def shown(self) -> Pixels:
        """Return what films and frames show."""
        return self.frames if self.source is None else side_by_side(self.source, self.frames)


def draw_sheet(films: Sequence[Film], shots: Sequence[Shot], title: str) -> Pixels:
    """Draw all heads on one sheet, uint8 [H, W, 3].

    Args:
        films: One alone is shown from all its sides in rows, several from a few sides, a row each.
        shots: One camera a picture.
        title: First line.
    """
    if len(films) == 1 and films[0].source is None:
        return _sheet_of_one(films[0], shots, title)
    picked = _evenly(len(shots), SHEET_VIEWS_OF_MANY)
    captions = tuple(shot_caption(shots[index]) for index in picked)
    rows = []
    for film in films:
        label = film.head.name.replace("-", " ")
        if film.source is not None:
            rows.append(SheetRow(label, on_white(film.source[picked]), captions=captions))
            label = "stylised"
        cells = on_white(film.frames[picked])
        rows.append(SheetRow(label, cells, joined=film.source is not None, captions=captions))
    return contact_sheet(rows, title=title)


def shot_caption(shot: Shot) -> str:
    """Write a camera for people: "60°", and the pitch where there is one: "60° / -10°"."""
    yaw = f"{shot.yaw_deg:.0f}°"
    return yaw if abs(shot.pitch_deg) < 0.5 else f"{yaw} / {shot.pitch_deg:.0f}°"


def _sheet_of_one(film: Film, shots: Sequence[Shot], title: str) -> Pixels:
    """All views of one head, wrapped into rows."""
    picked = _evenly(len(shots), SHEET_FRAMES)
    columns = min(SHEET_COLUMNS, len(picked))
    rows = []
    for start in range(0, len(picked), columns):
        part = picked[start : start + columns]
        cells = on_white(film.frames[part])
        missing = np.full((columns - len(cells), *cells.shape[1:]), 255, np.uint8)
        captions = tuple(shot_caption(shots[index]) for index in part)
        rows.append(SheetRow("", np.concatenate([cells, missing]), joined=start > 0, captions=captions))
    return contact_sheet(rows, title=" ".join(filter(None, [film.head.name.replace("-", " "), title])))


def _evenly(count: int, most: int) -> list[int]:
    """Up to `most` of `count` indices, equally far apart; from the last to the first, too, if it can be."""
    least = math.ceil(count / most)
    apart = next((step for step in range(least, 2 * least + 1) if count % step == 0), least)
    return list(range(0, count, apart))
