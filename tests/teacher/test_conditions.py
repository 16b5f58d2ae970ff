"""ControlNet conditions against OpenCV and against slow loops."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stylehead.teacher import canny_condition, depth_condition, estimated_depth_condition


def picture(seed: int, size: int = 24) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(2, 3, 4, 4, generator=generator) * 2.4 - 1.2
    return torch.nn.functional.interpolate(coarse, (size, size), mode="nearest")


@pytest.mark.parametrize("channel", ["luma", "red"])
def test_canny_equals_opencv(channel):
    image = picture(0)
    got = canny_condition(image, channel=channel)
    for sample, edges in zip(image.numpy(), got.numpy(), strict=True):
        rgb = np.clip(sample, -1, 1) * 0.5 + 0.5
        grey = rgb[0] if channel == "red" else 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]
        expected = cv2.Canny(np.round(grey * 255).astype(np.uint8), 50, 250) / 255
        for plane in edges:
            np.testing.assert_array_equal(plane, expected)
    assert got.any()
    assert not got.all()


def test_the_channel_matters():
    image = torch.zeros(1, 3, 16, 16)
    image[:, 0, :, 8:] = 1.0
    image[:, 0, :, :8] = -1.0
    image[:, 1] = -image[:, 0] * 0.299 / 0.587
    assert canny_condition(image, channel="red").any()
    assert not canny_condition(image, channel="luma").any()


def slow_depth(depth: np.ndarray, mask: np.ndarray) -> np.ndarray:
    out = np.zeros_like(depth)
    inside = [(i, j) for i, j in np.ndindex(depth.shape) if mask[i, j] > 0.5]
    if not inside:
        return out
    near, far = min(depth[at] for at in inside), max(depth[at] for at in inside)
    for at in inside:
        out[at] = (far - depth[at]) / max(far - near, 1e-6)
    return out


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000))
def test_depth_equals_a_slow_loop(seed):
    generator = torch.Generator().manual_seed(seed)
    depth = torch.rand(2, 1, 5, 6, generator=generator) + 2.2
    mask = torch.rand(2, 1, 5, 6, generator=generator)
    got = depth_condition(depth, mask)
    assert got.shape == (2, 3, 5, 6)
    for sample in range(2):
        expected = slow_depth(depth[sample, 0].numpy(), mask[sample, 0].numpy())
        for plane in got[sample].numpy():
            np.testing.assert_allclose(plane, expected, atol=1e-5)


def test_depth_ignores_unit_origin_and_what_is_outside():
    depth = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    mask = torch.zeros_like(depth)
    mask[..., 2:6, 2:6] = 1
    elsewhere = torch.where(mask > 0.5, 3 * depth + 7, torch.full_like(depth, torch.inf))
    torch.testing.assert_close(depth_condition(elsewhere, mask), depth_condition(depth, mask))


def test_depth_of_nothing_is_black():
    assert not depth_condition(torch.rand(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)).any()


def test_near_is_bright():
    depth = torch.tensor([[2.0, 3.0]]).reshape(1, 1, 1, 2)
    assert depth_condition(depth, torch.ones_like(depth))[0, 0].tolist() == [[1.0, 0.0]]


def test_estimated_depth_is_normalised_and_resized():
    nearness = torch.tensor([[5.0, 7.0], [6.0, 9.0]]).reshape(1, 1, 2, 2)
    got = estimated_depth_condition(nearness)
    torch.testing.assert_close(got[0, 1], torch.tensor([[0.0, 0.5], [0.25, 1.0]]))
    assert estimated_depth_condition(nearness, size=6).shape == (1, 3, 6, 6)
