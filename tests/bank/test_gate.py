"""The gate: outlines found, pictures put in place, and edits of other renders refused."""

import numpy as np
import pytest
from bank_helpers import SIZE, painted, person
from hypothesis import given, settings
from hypothesis import strategies as st

from stylehead.bank.gate import (
    BETTER_FIT,
    Placement,
    fit_limit,
    judge,
    moved_outline,
    moved_picture,
    overlap,
    overlap_table,
)
from stylehead.bank.pictures import ReadPicture, find_outline

PEOPLE = [person(number) for number in range(12)]
RENDERS = [painted(mask, (200, 150, 120)) for mask in PEOPLE]


def verdicts(outlines: list[np.ndarray], colour: tuple[int, int, int] = (20, 160, 60)) -> list:
    edits = [painted(outline, colour) for outline in outlines]
    return judge(edits, outlines, list(range(len(edits))), RENDERS, PEOPLE)


# ---------------------------------------------------------------------------------------------- outlines


@pytest.mark.parametrize("background", [255, 128, 0])
def test_a_head_is_what_the_background_does_not_reach(background: int) -> None:
    for mask in PEOPLE[:4]:
        found = find_outline(ReadPicture(painted(mask, (90, 200, 30), background), None))
        assert overlap(found, mask) > 0.97


def test_a_white_face_on_white_is_found_by_its_edge() -> None:
    mask = PEOPLE[0]
    inner = mask & np.roll(mask, 1, 0) & np.roll(mask, -1, 0) & np.roll(mask, 1, 1) & np.roll(mask, -1, 1)
    inner[-1] = mask[-1]
    sketch = painted(mask, (60, 60, 60))
    sketch[inner] = 255
    sketch[SIZE // 2 : SIZE // 2 + 2] = 255  # the pencil left a gap on both sides
    assert overlap(find_outline(ReadPicture(sketch, None)), mask) > 0.93


def test_alpha_is_taken_at_its_word() -> None:
    alpha = (PEOPLE[1] * 255).astype(np.uint8)
    assert np.array_equal(find_outline(ReadPicture(painted(PEOPLE[0], (1, 2, 3)), alpha)), PEOPLE[1])


def test_an_empty_picture_has_no_head() -> None:
    assert not find_outline(ReadPicture(np.full((SIZE, SIZE, 3), 255, np.uint8), None)).any()


def test_noise_of_a_jpeg_is_no_head() -> None:
    rng = np.random.RandomState(0)
    noisy = painted(PEOPLE[2], (90, 200, 30)).astype(int) + rng.randint(-4, 5, (SIZE, SIZE, 3))
    found = find_outline(ReadPicture(noisy.clip(0, 255).astype(np.uint8), None))
    assert overlap(found, PEOPLE[2]) > 0.97


# ------------------------------------------------------------------------------------------------ overlap


def test_overlaps_are_those_counted_one_by_one() -> None:
    table = overlap_table(PEOPLE[:4], PEOPLE[3:])
    for i, one in enumerate(PEOPLE[:4]):
        for j, other in enumerate(PEOPLE[3:]):
            assert table[i, j] == pytest.approx(overlap(one, other), abs=1e-9)
    assert table[3, 0] == 1


# -------------------------------------------------------------------------------------------------- gate


def test_edits_that_lie_right_are_kept_without_a_word() -> None:
    assert all(v.kept and v.reason == "" and v.placement is None and v.iou > 0.99 for v in verdicts(PEOPLE))


def test_a_picture_that_equals_its_render_was_not_edited() -> None:
    found = judge([RENDERS[0]], [PEOPLE[0]], [0], RENDERS, PEOPLE)
    assert [(v.kept, v.reason) for v in found] == [(False, "not edited")]


def test_an_outline_of_something_else_is_refused() -> None:
    ball = np.zeros((SIZE, SIZE), bool)
    ball[4:14, 4:14] = True
    found = verdicts([ball, *PEOPLE[1:]])
    assert not found[0].kept
    assert all(v.kept for v in found[1:])


def test_swapped_people_are_refused_and_the_rest_is_kept() -> None:
    found = verdicts([PEOPLE[1], PEOPLE[0], *PEOPLE[2:]])
    assert [v.kept for v in found[:2]] == [False, False]
    assert "fits another render better" in found[0].reason or "overlaps" in found[0].reason
    assert all(v.kept for v in found[2:])


def test_a_folder_in_the_wrong_order_is_refused_nearly_whole() -> None:
    found = verdicts([*PEOPLE[1:], PEOPLE[0]])
    assert sum(v.kept for v in found) <= 3


def test_a_style_that_moves_everybodys_outline_is_kept() -> None:
    """Ears for all: other outlines fit some of them better, and still nobody is refused."""
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    ears = (np.abs(np.abs(x - 0.5) - 0.15) < 0.05) & (y > 0.06) & (y < 0.3)
    found = verdicts([mask | ears for mask in PEOPLE])
    assert sum(v.kept for v in found) >= 11


@pytest.mark.parametrize(
    "moved",
    [Placement(1, 0.06, 0), Placement(1.08, 0, 0), Placement(0.92, 0.03, 0), Placement(1.05, 0, -0.05)],
)
def test_shifted_and_zoomed_edits_are_put_back(moved: Placement) -> None:
    outlines = [moved_outline(PEOPLE[0], moved), *PEOPLE[1:]]
    first, *rest = verdicts(outlines)
    assert first.kept
    assert first.reason == "realigned"
    assert first.placement is not None
    back = moved_outline(outlines[0], first.placement)
    assert overlap(back, PEOPLE[0]) > overlap(outlines[0], PEOPLE[0]) + 0.03
    assert not any(v.placement for v in rest)


@given(
    zoom=st.floats(0.9, 1.1),
    right=st.floats(-0.08, 0.08),
    down=st.floats(-0.08, 0.08),
    who=st.integers(0, 11),
)
@settings(max_examples=25, deadline=None)
def test_undoing_a_move_gives_the_picture_back(zoom: float, right: float, down: float, who: int) -> None:
    there = Placement(zoom, right, down)
    back = Placement(1 / zoom, -right / zoom, -down / zoom)
    picture = painted(PEOPLE[who], (20, 160, 60))
    again = moved_picture(moved_picture(picture, there), back)
    inside = slice(12, SIZE - 12)
    difference = np.abs(again[inside, inside].astype(int) - picture[inside, inside])
    assert np.mean(difference > 40) < 0.12


def test_staying_in_place_changes_nothing() -> None:
    assert np.array_equal(moved_picture(RENDERS[0], Placement()), RENDERS[0])
    assert np.array_equal(moved_outline(PEOPLE[0], Placement()), PEOPLE[0])
    assert not Placement().far


def test_the_limit_comes_from_the_bank() -> None:
    assert fit_limit(np.full(20, -0.1)) == BETTER_FIT
    loose = np.linspace(-0.1, 0.1, 20)
    assert BETTER_FIT < fit_limit(loose) <= 0.2
    assert fit_limit(np.full(20, 0.3)) == BETTER_FIT  # nearly all are somebody else's


def test_no_edits_no_verdicts_and_one_render_has_no_rival() -> None:
    assert judge([], [], [], RENDERS, PEOPLE) == []
    (alone,) = judge([painted(PEOPLE[0], (1, 90, 1))], [PEOPLE[0]], [0], RENDERS[:1], PEOPLE[:1])
    assert alone.kept
