"""Colours of parts: means where a part is sure, and a descent that moves what only colours."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stylehead.images import luma
from stylehead.inversion.tints import Tints, matched, tint_difference, tints

R = 16
SKIN, HAIR, CLOTHES = 0, 1, 2


def striped():
    """A picture of three bands, and where they are."""
    colours = torch.tensor([[0.4, 0.0, -0.2], [-0.7, -0.7, -0.8], [0.9, -0.9, -0.9]])
    parts = torch.zeros(3, R, R)
    for part, (top, bottom) in enumerate(((5, 10), (0, 5), (10, 16))):
        parts[part, top:bottom] = 1
    return torch.einsum("pc,phw->chw", colours, parts)[None], parts, colours


def test_the_mean_colour_of_a_part_is_its_colour():
    picture, parts, colours = striped()
    found = tints(picture, parts)
    torch.testing.assert_close(found.colours, colours)
    assert found.seen.tolist() == [1, 1, 1]


def test_edges_and_crumbs_do_not_count():
    picture, parts, colours = striped()
    parts[SKIN, 4] = 0.5  # half of it is hair
    parts[HAIR] = 0
    parts[HAIR, 0, :2] = 1
    found = tints(picture, parts)
    torch.testing.assert_close(found.colours[SKIN], colours[SKIN])
    assert found.seen.tolist() == [1, 0, 1]
    nowhere = tints(picture, torch.zeros_like(parts))
    assert torch.isfinite(nowhere.colours).all()
    assert float(tint_difference(nowhere, found)) == 0


@given(seed=st.integers(0, 1000))
def test_skin_is_held_against_nobody_who_is_fairer_than_their_photograph(seed):
    rng = torch.Generator().manual_seed(seed)
    ours, theirs = (Tints(torch.rand(3, 3, generator=rng) * 2 - 1, torch.tensor([1.0, 0, 0])) for _ in "ab")
    ours_light, theirs_light = (float(luma(x.colours[:1, :, None, None])) for x in (ours, theirs))
    found = float(tint_difference(ours, theirs))
    assert found == pytest.approx(max(theirs_light - ours_light, 0) ** 2, abs=1e-5)


def test_only_what_colours_is_moved_and_the_colours_come_out_right():
    picture, parts, colours = striped()
    free = torch.tensor([1.0] * 9 + [0.0] * 3)

    def draw(learned):
        return torch.einsum("pc,phw->chw", 0.5 * learned[0, :9].view(3, 3), parts)[None]

    start = torch.cat([torch.zeros(1, 9), torch.full((1, 3), 9.0)], dim=1)
    found = matched(start, free, draw, parts, tints(picture, parts))
    assert torch.equal(found[:, 9:], start[:, 9:])
    assert (found[0, 3:9].view(2, 3) * 0.5 - colours[1:]).abs().max() < 0.2
    skin = 0.5 * found[:, :3, None, None]
    assert float(luma(skin)) > float(luma(colours[:1, :, None, None])) - 0.1
