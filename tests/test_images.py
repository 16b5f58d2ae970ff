"""Ranges, sizes, backgrounds and comparisons of pictures."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from torch.nn import functional

from stylehead.errors import JobError
from stylehead.images import (
    bytes_to_01,
    bytes_to_pm1,
    on_colour,
    outline_iou,
    perceptual_distance,
    perceptual_vectors,
    psnr,
    resize,
    to_01,
    to_pixels,
    to_pm1,
)
from stylehead.methods.losses import perceptual_loss


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def layers(image: Tensor) -> list[Tensor]:
    return [image, functional.avg_pool2d(image, 2), image.square()[:, :2]]


# ---------------------------------------------------------------------------------------------------- ranges


def test_every_byte_survives_the_way_to_float_and_back() -> None:
    values = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16).expand(1, 3, 16, 16)
    assert (to_pixels(bytes_to_pm1(values))[0, ..., 0].ravel() == np.arange(256)).all()
    torch.testing.assert_close(to_pm1(bytes_to_01(values)), bytes_to_pm1(values))
    torch.testing.assert_close(to_01(bytes_to_pm1(values)), bytes_to_01(values))


def test_pixels_are_clamped_and_have_their_channels_last() -> None:
    image = torch.tensor([-3.0, 0.0, 3.0]).reshape(1, 3, 1, 1).expand(1, 3, 2, 5)
    pixels = to_pixels(image)
    assert pixels.shape == (1, 2, 5, 3)
    assert pixels[0, 0, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_pictures_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(JobError, match="not finite"):
        to_pixels(torch.full((1, 3, 2, 2), bad))


# ------------------------------------------------------------------------------------- sizes and backgrounds


def test_resizing_to_the_same_size_is_free() -> None:
    image = draw(1, 2, 8, 8, seed=0)
    assert resize(image, 8) is image
    assert resize(image, (4, 6)).shape == (1, 2, 4, 6)


@pytest.mark.parametrize("size", [5, 8, 24])
def test_resizing_is_that_of_pillow(size: int) -> None:
    image = draw(16, 16, seed=1)
    theirs = Image.fromarray(image.numpy()).resize((size, size), Image.Resampling.BILINEAR)
    torch.testing.assert_close(resize(image[None, None], size)[0, 0], torch.from_numpy(np.array(theirs)))


def test_enlarging_needs_no_antialiasing() -> None:
    image = draw(1, 3, 6, 6, seed=2)
    torch.testing.assert_close(resize(image, 12), resize(image, 12, antialias=False))


@given(st.lists(st.floats(-1, 1, width=32), min_size=6, max_size=6), st.floats(0, 1, width=32))
def test_another_colour_behind_a_head_is_the_head_drawn_on_that_colour(values, opacity) -> None:
    head, colour = torch.tensor(values).reshape(2, 3, 1, 1)
    mask = torch.full((1, 1, 1, 1), opacity)
    white = head * mask + (1 - mask)
    torch.testing.assert_close(on_colour(white, mask, colour), head * mask + (1 - mask) * colour)


# ------------------------------------------------------------------------------------------------ comparison


def test_outline_iou_by_hand() -> None:
    mask, truth = torch.zeros(2, 1, 4, 4), torch.zeros(2, 1, 4, 4)
    mask[:, :, :2], truth[0, :, 1:3], truth[1, :, :2] = 1, 1, 1
    assert outline_iou(mask, truth).tolist() == pytest.approx([4 / 12, 1])
    assert outline_iou(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)).tolist() == [0]


def test_psnr_by_hand() -> None:
    truth = torch.zeros(2, 3, 4, 4)
    assert psnr(truth + 0.1, truth).tolist() == pytest.approx([20.0, 20.0], abs=1e-4)
    assert psnr(truth, truth).isinf().all()


def test_perceptual_distance_written_out() -> None:
    maps = ([draw(1, 2, 2, 2, seed=3)], [draw(1, 2, 2, 2, seed=4)])
    total = 0.0
    for y, x in itertools.product(range(2), repeat=2):
        a, b = (layer[0][0, :, y, x] / layer[0][0, :, y, x].norm() for layer in maps)
        total += float((a - b).square().sum()) / 4
    assert float(perceptual_distance(*maps)) == pytest.approx(total)


def test_perceptual_distance_is_zero_for_the_same_picture_only_and_symmetric() -> None:
    one, other = layers(draw(2, 3, 8, 8, seed=1)), layers(draw(2, 3, 8, 8, seed=2))
    assert perceptual_distance(one, one).tolist() == [0, 0]
    assert (perceptual_distance(one, other) > 0).all()
    torch.testing.assert_close(perceptual_distance(one, other), perceptual_distance(other, one))


def test_perceptual_distance_is_that_of_the_vectors_and_of_the_training_loss() -> None:
    images = draw(4, 3, 8, 8, seed=1), draw(4, 3, 8, 8, seed=2)
    distance = perceptual_distance(*(layers(image) for image in images))
    one, other = (perceptual_vectors(layers(image)) for image in images)
    torch.testing.assert_close((one - other).square().sum(dim=1), distance)
    torch.testing.assert_close(perceptual_loss(*images, layers), distance.mean())
