"""What a photograph does not show is held against nobody; what counts most in it is the face."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stylehead.inversion.align import Square, crop, inside_share
from stylehead.inversion.similarity import TargetImage, pixel_distance
from stylehead.inversion.unknown import exposed, is_grey, pixel_weights, with_unknown

R = 16
WHITE, BLACK = torch.ones(1, 3, R, R), -torch.ones(1, 3, R, R)
HEAD = torch.ones(1, 1, R, R)
COLOURS = torch.rand(1, 3, R, R, generator=torch.Generator().manual_seed(0)) * 2 - 1


def half() -> np.ndarray:
    """The upper half is shown."""
    share = np.zeros((R, R), np.float32)
    share[: R // 2] = 1
    return share


def test_the_first_guess_sees_the_mean_head_beyond_the_photograph() -> None:
    target = with_unknown(TargetImage(COLOURS, HEAD), BLACK, 0 * HEAD, half())
    torch.testing.assert_close(target.image[:, :, : R // 2], COLOURS[:, :, : R // 2])
    assert (target.image[:, :, R // 2 :] == -1).all()
    assert (target.mask[:, :, R // 2 :] == 0).all()


def test_the_projection_is_not_pulled_beyond_the_photograph() -> None:
    target = with_unknown(TargetImage(COLOURS, HEAD), WHITE, HEAD, half())
    render = BLACK.clone().requires_grad_(True)
    wanted = target.completed(render, HEAD)
    pixel_distance(render, wanted.image).sum().backward()
    assert render.grad is not None
    assert (render.grad[:, :, R // 2 :] == 0).all()
    assert (render.grad[:, :, : R // 2] != 0).all()


def test_a_black_and_white_photograph_says_nothing_of_colours() -> None:
    grey = torch.full((1, 3, R, R), 0.2)
    target = with_unknown(TargetImage(grey, HEAD), WHITE, HEAD, None)
    assert target.grey
    tinted = torch.tensor([0.4, 0.1, 0.1])[None, :, None, None].expand(1, 3, R, R)
    weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    as_bright = tinted + 0.2 - (tinted * weights).sum(dim=1, keepdim=True)
    assert float(pixel_distance(as_bright, target.completed(as_bright, HEAD).image)) == pytest.approx(
        0, abs=1e-6
    )
    darker = as_bright - 0.3
    assert float(pixel_distance(darker, target.completed(darker, HEAD).image)) == pytest.approx(
        0.09 + 0.03, rel=1e-3
    )


def test_a_photograph_in_colour_is_compared_in_colour() -> None:
    assert not is_grey(COLOURS)
    whole = with_unknown(TargetImage(COLOURS, HEAD), WHITE, HEAD, None)
    assert whole.completed(BLACK, HEAD) is whole
    assert torch.equal(whole.image, COLOURS)


def test_a_target_keeps_what_is_unknown_at_every_size() -> None:
    small = with_unknown(TargetImage(COLOURS, HEAD), WHITE, HEAD, half()).at(R // 2)
    assert small.known is not None
    assert small.known.shape == (1, 1, R // 2, R // 2)


@given(yaw=st.floats(-1.5, 1.5), covered=st.floats(0, 1))
def test_the_face_counts_most_and_all_together_one(yaw: float, covered: float) -> None:
    mask = torch.full((1, 1, 32, 32), covered)
    weight = pixel_weights(mask, yaw)
    assert float(weight.mean()) == pytest.approx(1, rel=1e-5)
    row, column = divmod(int(weight.argmax()), 32)
    assert 14 <= row <= 22
    assert (column > 15.5) == (yaw > 0) or abs(yaw) < 0.3


def test_a_weighted_distance_of_equal_weights_is_the_plain_one() -> None:
    ones = torch.ones(1, 1, R, R)
    torch.testing.assert_close(pixel_distance(BLACK, COLOURS, ones), pixel_distance(BLACK, COLOURS))


@given(x=st.floats(-40, 140), y=st.floats(-40, 140), edge=st.floats(5, 120), turn=st.floats(-3, 3))
def test_the_share_inside_agrees_with_what_is_cropped(x: float, y: float, edge: float, turn: float) -> None:
    right = edge * np.array([np.cos(turn), np.sin(turn)])
    square = Square(np.array([x, y]), right, np.array([-right[1], right[0]]))
    share = inside_share((100, 100), square, 24)
    corners = [square.centre + a * square.right + b * square.down for a in (-1, 1) for b in (-1, 1)]
    if all(0 <= value <= 100 for corner in corners for value in corner):
        assert share is None
        return
    padded = np.zeros((700, 700), np.uint8)  # the same picture with black all around it
    padded[300:400, 300:400] = 255
    seen = crop(padded, square._replace(centre=square.centre + 300), 24) / 255
    found = np.ones((24, 24)) if share is None else share
    assert np.abs(found - seen).mean() < 0.05


def test_a_dark_print_is_brought_to_the_light_of_the_likely_head() -> None:
    dark = TargetImage.make(torch.full((1, 3, R, R), -0.6), HEAD)
    fair = torch.full((1, 3, R, R), -0.2)
    torch.testing.assert_close(exposed(dark, fair).image, fair)
    pale = exposed(dark, WHITE).image  # no further than so many times
    assert (pale > dark.image).all()
    assert (pale < 1).all()


def test_warm_light_is_half_skin_and_black_and_white_gets_no_colour() -> None:
    warm = torch.tensor([0.4, 0.0, -0.4])[None, :, None, None].expand(1, 3, R, R)
    neutral = torch.tensor([0.2, 0.1, 0.0])[None, :, None, None].expand(1, 3, R, R)
    found = exposed(TargetImage.make(warm, HEAD), neutral).image
    torch.testing.assert_close((found + 1).square(), (warm + 1) * (neutral + 1))  # halfway, as light goes
    grey = exposed(TargetImage.make(torch.full((1, 3, R, R), -0.5), HEAD), neutral).image
    assert float((grey.amax(dim=1) - grey.amin(dim=1)).max()) < 1e-6


def test_what_is_white_beside_the_head_stays_white() -> None:
    half_covered = torch.zeros(1, 1, R, R)
    half_covered[..., R // 2 :, :] = 1
    target = TargetImage.make(torch.full((1, 3, R, R), -0.5), half_covered)
    assert (exposed(target, BLACK).image[..., : R // 2, :] == 1).all()
