"""Contact sheets have the right size, order and ground."""

import itertools

import numpy as np
import pytest

from stylehead.export.sheet import SheetRow, SheetStyle, contact_sheet
from stylehead.images import Pixels

BARE = SheetStyle(cell=16, gap=2, group_gap=10, margin=5)


def flat(*greys: int, size: int = 16) -> Pixels:
    """One flat grey picture a column."""
    cells = np.zeros((len(greys), size, size, 3), np.uint8)
    cells[:] = np.array(greys, np.uint8)[:, None, None, None]
    return cells


def test_size_without_labels_is_pictures_gaps_and_margins() -> None:
    sheet = contact_sheet([SheetRow("", flat(10, 20, 30)), SheetRow("", flat(40, 50, 60))], style=BARE)
    assert sheet.shape == (5 + 16 + 2 + 10 + 16 + 5, 5 + 3 * 16 + 2 * 2 + 5, 3)
    assert sheet.dtype == np.uint8


def test_pictures_are_in_order_on_white() -> None:
    sheet = contact_sheet(
        [SheetRow("", flat(10, 20, 30)), SheetRow("", flat(40, 50, 60), joined=True)], style=BARE
    )
    assert [int(sheet[5 + 8, 5 + 8 + 18 * column, 0]) for column in range(3)] == [10, 20, 30]
    assert [int(sheet[5 + 18 + 8, 5 + 8 + 18 * column, 0]) for column in range(3)] == [40, 50, 60]
    inside = sheet[5:-5, 5:-5].reshape(-1, 3)
    assert (sheet[:5] == 255).all()
    assert (inside[np.isin(inside[:, 0], [10, 20, 30, 40, 50, 60], invert=True)] == 255).all()


def test_rows_of_one_head_are_closer_than_heads() -> None:
    rows = [SheetRow("", flat(10)), SheetRow("", flat(10), joined=True), SheetRow("", flat(10))]
    dark = (contact_sheet(rows, style=BARE)[:, 12, 0] == 10).nonzero()[0]
    starts = [int(dark[0]), *(int(b) for a, b in itertools.pairwise(dark) if b - a > 1)]
    assert np.diff(starts).tolist() == [18, 28]


def test_a_split_widens_one_gap() -> None:
    row = [SheetRow("", flat(10, 20, 30, 40))]
    assert contact_sheet(row, split=2, style=BARE).shape[1] == contact_sheet(row, style=BARE).shape[1] + 10


@pytest.mark.parametrize("words", ["title", "headings", "label"])
def test_words_take_room_and_leave_ink(words: str) -> None:
    label = "seed 42" if words == "label" else ""
    plain = contact_sheet([SheetRow("", flat(255, 255))], style=BARE)
    sheet = contact_sheet(
        [SheetRow(label, flat(255, 255))],
        title="Werewolf" if words == "title" else "",
        headings=("a", "b") if words == "headings" else (),
        style=BARE,
    )
    assert (plain == 255).all()
    assert sheet.min() < 160
    assert sheet.size > plain.size


def test_a_long_title_is_not_cut() -> None:
    title = "A very long prompt about a character of clay, marble and moss"
    sheet = contact_sheet([SheetRow("", flat(255))], title=title, style=BARE)
    assert (sheet[:, -BARE.margin :] == 255).all()
    assert sheet.min() < 100


def test_big_pictures_are_reduced_by_a_whole_factor() -> None:
    sheet = contact_sheet([SheetRow("", flat(10, size=64))], style=BARE)
    assert sheet.shape == (26, 26, 3)
