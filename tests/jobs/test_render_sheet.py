"""The contact sheet of a render shows a head from sides that are equally far apart."""

import itertools

import numpy as np
import pytest

from stylehead.export.orbit import orbit
from stylehead.export.sheet import SheetRow
from stylehead.jobs import render_sheet
from stylehead.jobs.named_heads import NamedHead
from stylehead.jobs.render_sheet import SHEET_VIEWS_OF_MANY, Film, draw_sheet


def angles(monkeypatch: pytest.MonkeyPatch, steps: int, *, compared: bool) -> list[list[int]]:
    """Angles that stand below the tiles, row by row."""
    rows: list[SheetRow] = []

    def keep(given: list[SheetRow], **_: object) -> np.ndarray:
        rows.extend(given)
        return np.zeros((1, 1, 3), np.uint8)

    monkeypatch.setattr(render_sheet, "contact_sheet", keep)
    frames = np.zeros((steps, 2, 2, 3), np.uint8)
    head = NamedHead("seed-1", None)  # type: ignore[arg-type]  # its latent is not looked at
    draw_sheet([Film(head, frames, frames if compared else None)], orbit(steps), "")
    return [[int(caption[:-1]) for caption in row.captions] for row in rows]


@pytest.mark.parametrize(("steps", "apart"), [(36, 40), (72, 40), (24, 45), (12, 60), (8, 45), (4, 90)])
def test_a_head_beside_its_source_is_seen_all_around(
    monkeypatch: pytest.MonkeyPatch, steps: int, apart: int
) -> None:
    source, stylised = angles(monkeypatch, steps, compared=True)
    assert source == stylised == list(range(0, 360, apart))


@pytest.mark.parametrize("steps", range(1, 80, 3))
def test_sides_are_equally_far_apart_however_many_there_are(
    monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    source, _ = angles(monkeypatch, steps, compared=True)
    assert source[0] == 0
    assert min(steps, 4) <= len(source) <= SHEET_VIEWS_OF_MANY
    gaps = [after - before for before, after in itertools.pairwise(source)]
    assert max(gaps, default=0) - min(gaps, default=0) <= 1  # captions are whole degrees


def test_one_head_alone_shows_every_side_in_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = angles(monkeypatch, 36, compared=False)
    assert list(itertools.chain(*rows)) == list(range(0, 360, 10))
