"""Regularisers and backgrounds against slow loops and by their laws."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stylehead.methods.draws import random_backgrounds
from stylehead.methods.losses import (
    alpha_loss,
    latent_loss,
    perceptual_loss,
    relative_distance_loss,
    tweedie_loss,
)
from stylehead.methods.scene import recolour


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_tweedie_loss_by_hand():
    image, target = noise(2, 3, 2, 2), noise(2, 3, 2, 2, seed=1)
    expected = np.mean(((image.numpy() + 1) / 2 - target.numpy()) ** 2)
    assert np.isclose(tweedie_loss(image, target).item(), expected)


def test_anchors_by_hand():
    one, two = noise(2, 3, 1, 4, 4)
    expected = ((one - two) ** 2).mean()
    torch.testing.assert_close(alpha_loss(one, two), expected)
    torch.testing.assert_close(latent_loss(one, two, torch.ones_like(one[:, :1])), expected)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000), colour=st.floats(0, 1))
def test_latent_loss_equals_a_slow_loop(seed, colour):
    one, two = noise(2, 2, 3, 4, 4, seed=seed)
    mask = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    expected = 0.0
    for n, c in np.ndindex(2, 3):
        head, apart = mask[n, 0].numpy(), (one - two)[n, c].numpy()
        shift = (head * apart).sum() / head.sum()
        expected += (head * ((apart - shift) ** 2 + colour * shift**2)).sum() / one.numel()
    assert np.isclose(latent_loss(one, two, mask, colour=colour).item(), expected)


def test_latents_may_change_colour_and_what_is_behind_the_head():
    latents = noise(1, 4, 6, 6)
    mask = torch.zeros(1, 1, 6, 6, dtype=torch.float64)
    mask[..., 1:5, 2:4] = 1
    recoloured = latents + mask * noise(1, 4, 1, 1, seed=1) + (1 - mask) * noise(1, 4, 6, 6, seed=2)
    assert latent_loss(recoloured, latents, mask, colour=0.0) < 1e-12
    assert latent_loss(recoloured, latents, mask, colour=1.0) > 0.01
    assert latent_loss(latents.flip(-1), latents, mask, colour=0.0) > 0.01
    assert latent_loss(recoloured, latents, torch.zeros_like(mask)) == 0


def latent_loss_of_a_whole_picture(latents: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    return latent_loss(latents, reference, torch.ones_like(latents[:, :1]))


@pytest.mark.parametrize("loss", [tweedie_loss, alpha_loss, latent_loss_of_a_whole_picture])
def test_targets_are_constants(loss):
    value, target = noise(2, 1, 3, 2, 2).requires_grad_().unbind()
    target = noise(1, 3, 2, 2, seed=2).requires_grad_()
    grads = torch.autograd.grad(loss(value, target), [value, target], allow_unused=True)
    assert grads[0].abs().sum() > 0
    assert grads[1] is None


def two_layers(image: torch.Tensor) -> list[torch.Tensor]:
    kernel = noise(5, 3, 3, 3, seed=8)
    return [torch.nn.functional.conv2d(image, kernel), image[:, :2] ** 2]


def test_perceptual_loss_equals_a_slow_loop():
    image, target = noise(2, 2, 3, 5, 5)
    expected = 0.0
    for got, wanted in zip(two_layers(image), two_layers(target), strict=True):
        b, _, h, w = got.shape
        for n, i, j in np.ndindex(b, h, w):
            one, other = got[n, :, i, j].numpy(), wanted[n, :, i, j].numpy()
            apart = one / np.linalg.norm(one) - other / np.linalg.norm(other)
            expected += float(apart @ apart) / (b * h * w)
    assert np.isclose(perceptual_loss(image, target, two_layers).item(), expected)
    assert perceptual_loss(image, image, two_layers) == 0


def test_perceptual_loss_is_differentiable_in_the_image():
    image, target = noise(1, 3, 4, 4).requires_grad_(), noise(1, 3, 4, 4, seed=1)
    assert torch.autograd.gradcheck(lambda x: perceptual_loss(x, target, two_layers), image)


def slow_relative_distance(moved, fixed, axis, floor, limit):
    now, before = (
        ((a - b).numpy().reshape(a.shape[0], 3, -1, *a.shape[2:]) ** 2).sum(2 if axis == "channels" else 1)
        for a, b in (moved, fixed)
    )
    total = []
    for at in np.ndindex(*now.shape):
        ratio = now[at] / (max(before[at], floor * before.mean()) + 1e-8)
        total.append(abs((min(ratio, limit) if limit > 0 else ratio) - 1))
    return np.mean(total)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 1000),
    axis=st.sampled_from(["channels", "planes"]),
    floor=st.sampled_from([0.0, 0.05, 0.5]),
    limit=st.sampled_from([0.0, 1.5, 10.0]),
)
def test_relative_distance_equals_a_slow_loop(seed, axis, floor, limit):
    moved = tuple(noise(2, 2, 6, 3, 3, seed=seed))
    fixed = tuple(noise(2, 2, 6, 3, 3, seed=seed + 1))
    got = relative_distance_loss(moved, fixed, axis=axis, floor=floor, limit=limit)
    assert np.isclose(got.item(), slow_relative_distance(moved, fixed, axis, floor, limit))


def test_relative_distance_is_zero_for_shifted_copies_and_bounded_where_references_agree():
    one, other = noise(2, 1, 6, 4, 4)
    shift = noise(1, 6, 4, 4, seed=5)
    value = relative_distance_loss((one + shift, other + shift), (one, other), floor=0.0)
    assert value < 1e-6
    other[:, :, 0] = one[:, :, 0]
    free = relative_distance_loss((one * 2, other), (one, other), floor=0.0, limit=0.0)
    held = relative_distance_loss((one * 2, other), (one, other), floor=0.05, limit=10.0)
    assert free > 1e6
    assert held <= 9


# ---------------------------------------------------------------------------------------- backgrounds


def test_recolouring_is_exact_for_a_composite():
    head, mask = noise(2, 3, 4, 4), torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    colours = random_backgrounds(2, rng=torch.Generator().manual_seed(2))
    on_white = head * mask + (1 - mask)
    expected = head * mask + (1 - mask) * (2 * colours - 1)
    torch.testing.assert_close(recolour(on_white, mask, colours), expected)


def test_white_changes_nothing_and_masks_are_resized():
    image = noise(1, 3, 8, 8)
    mask = torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    assert torch.equal(recolour(image, mask, torch.ones(1, 3, 1, 1)), image)
    black = recolour(torch.ones_like(image), mask, torch.zeros(1, 3, 1, 1))
    torch.testing.assert_close(black, -torch.ones_like(image))


def test_transparency_costs_colour():
    image, mask = torch.ones(1, 3, 4, 4), torch.full((1, 1, 4, 4), 0.5).requires_grad_()
    recolour(image, mask, torch.zeros(1, 3, 1, 1)).sum().backward()
    assert (mask.grad == 6).all()


def test_colours_are_drawn_in_range_from_the_given_generator():
    one, again = (random_backgrounds(50, rng=torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one, again)
    assert 0 <= one.min() < 0.1
    assert 0.9 < one.max() <= 1
