"""Who is in an edit: told by a recogniser, and left alone where it sees nothing."""

import numpy as np
import pytest
import torch
from bank_helpers import SIZE, painted, person

from stylehead.bank.gate import judge
from stylehead.bank.strangers import STRANGER, strangeness

COUNT, SIDES = 6, 2
HIGH, LOW = 200, 60
MIDDLE = slice(SIZE // 2 - 8, SIZE // 2)
COLOURS = [tuple(HIGH if c in name else LOW for c in "rgb") for name in ("r", "g", "b", "rg", "gb", "rb")]
OUTLINE = person(0)
RENDERS = [painted(OUTLINE, colour) for colour in COLOURS for _ in range(SIDES)]  # all outlines are equal
WHOM = [index // SIDES for index in range(COUNT * SIDES)]


def by_colour(images_pm1: torch.Tensor) -> torch.Tensor:
    """Recognise by the colour of the head, as far from the mean colour."""
    colours = images_pm1[:, :, MIDDLE, MIDDLE].mean(dim=(2, 3))
    mean = torch.tensor(COLOURS).float().mean(dim=0) / 127.5 - 1
    return torch.nn.functional.normalize(colours - mean, dim=1)


def darker(pictures: list[np.ndarray]) -> list[np.ndarray]:
    return [(picture * 0.97).astype(np.uint8) for picture in pictures]


def margins(edits: list[np.ndarray]) -> np.ndarray:
    return strangeness(edits, WHOM, RENDERS, by_colour, people=COUNT)


def test_everybody_resembles_themselves_most() -> None:
    assert (margins(darker(RENDERS)) < 0).all()


def test_an_edit_of_somebody_else_resembles_them_more() -> None:
    edits = darker(RENDERS)
    edits[0] = darker(RENDERS)[2 * SIDES]
    found = margins(edits)
    assert found[0] > STRANGER
    assert (found[1:] < STRANGER).all()


def test_margins_are_those_counted_one_by_one() -> None:
    edits = [*darker(RENDERS)[:4][::-1], *darker(RENDERS)[4:]]
    vectors = by_colour(torch.from_numpy(np.stack(RENDERS)).permute(0, 3, 1, 2) / 127.5 - 1).double().numpy()
    known = [vectors[SIDES * p : SIDES * (p + 1)].mean(0) for p in range(COUNT)]
    shown = by_colour(torch.from_numpy(np.stack(edits)).permute(0, 3, 1, 2) / 127.5 - 1).double().numpy()
    expected = []
    for vector, whom in zip(shown, WHOM, strict=True):
        alike = [float(vector @ one / np.linalg.norm(one)) for one in known]
        own = alike.pop(whom)
        expected.append(max(alike) - own)
    assert margins(edits) == pytest.approx(np.array(expected), abs=1e-4)
    assert max(expected) > STRANGER


def test_a_recogniser_that_sees_nothing_refuses_nobody() -> None:
    """One style, one face: everybody looks like the same person, who is one of the bank."""
    same = [painted(OUTLINE, COLOURS[0]) for _ in RENDERS]
    assert (margins(same) == -1).all()


def test_one_person_has_no_stranger() -> None:
    assert strangeness(RENDERS[:1], [0], RENDERS[:1], by_colour, people=1).tolist() == [-1]


def test_the_gate_refuses_who_is_somebody_else_where_outlines_tell_nothing() -> None:
    edits, masks = darker(RENDERS), [OUTLINE] * len(RENDERS)
    edits[0], edits[1] = darker(RENDERS)[2 * SIDES], darker(RENDERS)[2 * SIDES + 1]
    views = list(range(len(edits)))
    without = judge(edits, masks, views, RENDERS, masks)
    assert all(verdict.kept for verdict in without)
    found = judge(edits, masks, views, RENDERS, masks, margins(edits).tolist())
    assert [verdict.kept for verdict in found] == [False, False, *[True] * (len(edits) - 2)]
    assert found[0].reason.startswith("shows somebody else by 1.")
