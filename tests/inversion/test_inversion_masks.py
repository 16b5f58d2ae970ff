"""Finding the head in front of plain, transparent and busy backgrounds."""

import numpy as np
import pytest

from stylehead.inversion.masks import cut_out, head_mask, plain_background

SIZE = 96


def disc(radius: float = 30.0) -> np.ndarray:
    """[R,R] bool: a head and shoulders, roughly."""
    y, x = np.mgrid[:SIZE, :SIZE]
    head = (x - 48) ** 2 + (y - 44) ** 2 < radius**2
    return head | ((np.abs(x - 48) < 40) & (y > 84))


def nothing() -> np.ndarray:
    raise AssertionError("must not be asked")


def iou(found: np.ndarray, truth: np.ndarray) -> float:
    return float(((found > 0.5) & truth).sum() / ((found > 0.5) | truth).sum())


@pytest.mark.parametrize("background", [(255, 255, 255), (0, 0, 0), (40, 160, 80)])
def test_a_plain_background_is_recognised(background: tuple[int, int, int]) -> None:
    pixels = np.empty((SIZE, SIZE, 3), np.uint8)
    pixels[:] = background
    pixels[disc()] = (180, 120, 100)
    pixels[40:48, 40:56] = background  # glasses: the colour of the background, inside the head
    found = head_mask(pixels, None, nothing)
    assert found.source == "plain background"
    assert np.array_equal(found.share > 0.5, disc())


def test_noise_of_a_jpeg_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    pixels = np.full((SIZE, SIZE, 3), 240, np.int16)
    pixels[disc()] = (90, 60, 50)
    pixels = (pixels + rng.integers(-4, 5, pixels.shape)).clip(0, 255).astype(np.uint8)
    found = plain_background(pixels)
    assert found is not None
    assert iou(found, disc()) > 0.99


def test_alpha_counts_before_everything() -> None:
    alpha = (disc() * 255).astype(np.uint8)
    alpha[disc(20.0)] = 200
    found = head_mask(np.zeros((SIZE, SIZE, 3), np.uint8), alpha, nothing)
    assert found.source == "alpha"
    assert found.share[44, 48] == pytest.approx(200 / 255)


def test_a_busy_background_is_cut_away() -> None:
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 110, (SIZE, SIZE, 3)).astype(np.uint8)
    pixels[disc()] = np.add(rng.integers(-15, 16, (int(disc().sum()), 3)), [205, 150, 130])
    y, x = np.mgrid[:SIZE, :SIZE]
    away = np.sqrt((x - 52.0) ** 2 + (y - 48.0) ** 2)
    expected = np.clip(1.6 - away / 30, 0, 1).astype(np.float32)  # off the truth by 6 pixels, and blurred
    found = head_mask(pixels, None, lambda: expected)
    assert found.source == "cut out"
    head_only = disc() & (y < 80)
    assert iou(found.share * (y < 80), head_only) > 0.9
    assert np.array_equal(found.share, head_mask(pixels, None, lambda: expected).share)


def test_a_picture_of_one_colour_keeps_what_is_expected() -> None:
    expected = np.clip(1.5 - np.hypot(*np.mgrid[-48:48, -48:48]) / 30, 0, 1).astype(np.float32)
    pixels = np.full((SIZE, SIZE, 3), 77, np.uint8)
    assert plain_background(pixels) is None
    found = head_mask(pixels, None, lambda: expected)
    assert found.source == "cut out"
    assert 0.05 < found.share.mean() < 0.95
    always = np.ones((SIZE, SIZE), np.float32)
    assert np.array_equal(cut_out(pixels, always), always)
