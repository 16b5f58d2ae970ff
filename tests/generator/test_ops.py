"""Filters and convolutions against slow, literal versions of their definitions."""

import pytest
import torch
from torch.nn import functional

from stylehead.generator.ops import blur2d, modulated_conv2d, resample_filter, upsample2d

FILTER = resample_filter().double()


def naive_blur(image, padding):
    """[H,W] zero-padded by (before, after), every output pixel a 4x4 sum."""
    before, after = padding
    padded = functional.pad(image, (before, after, before, after))
    rows, columns = (size - 3 for size in padded.shape)
    out = image.new_zeros(rows, columns)
    for row in range(rows):
        for column in range(columns):
            out[row, column] = (padded[row : row + 4, column : column + 4] * FILTER).sum()
    return out


def naive_upsample(image):
    height, width = image.shape
    spread = image.new_zeros(2 * height, 2 * width)
    spread[::2, ::2] = image
    return naive_blur(spread, (2, 1)) * 4


def naive_modulated_conv(image, weight, style, *, up, demodulate):
    """One image [I,H,W] with kernel [O,I,k,k] and style [I]."""
    kernel = weight * style[None, :, None, None]
    if demodulate:
        kernel = kernel / (kernel.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
    outputs, _, size, _ = kernel.shape
    _, height, width = image.shape
    if up == 1:
        out = image.new_zeros(outputs, height, width)
        padded = functional.pad(image, [size // 2] * 4)
        for row in range(height):
            for column in range(width):
                window = padded[None, :, row : row + size, column : column + size]
                out[:, row, column] = (kernel * window).sum(dim=(1, 2, 3))
        return out
    out = image.new_zeros(outputs, 2 * height + 1, 2 * width + 1)
    for row in range(height):
        for column in range(width):
            stamp = (kernel * image[None, :, row, column, None, None]).sum(dim=1)
            out[:, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3] += stamp
    return torch.stack([naive_blur(channel, (1, 1)) * 4 for channel in out])


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_blur_is_the_4x4_sum():
    x = random(2, 3, 5, 6)
    expected = torch.stack([torch.stack([naive_blur(channel, (1, 1)) for channel in image]) for image in x])
    assert torch.allclose(blur2d(x, padding=1, gain=4), 4 * expected)


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (5, 3)])
def test_upsampling_inserts_zeros_and_blurs(shape):
    x = random(2, 3, *shape)
    expected = torch.stack([torch.stack([naive_upsample(channel) for channel in image]) for image in x])
    assert torch.allclose(upsample2d(x), expected)


@pytest.mark.parametrize("styles", [1, 2, 4])
@pytest.mark.parametrize(
    ("size", "up", "demodulate"), [(3, 1, True), (3, 2, True), (1, 1, False), (3, 1, False)]
)
def test_modulated_convolution_follows_its_definition(styles, size, up, demodulate):
    x, weight, style = random(4, 3, 4, 5), random(2, 3, size, size, seed=1), random(styles, 3, seed=2)
    bias = random(2, seed=3)
    per_image = style.repeat_interleave(4 // styles, dim=0)
    expected = torch.stack(
        [
            naive_modulated_conv(image, weight, s, up=up, demodulate=demodulate)
            for image, s in zip(x, per_image, strict=True)
        ]
    )
    actual = modulated_conv2d(x, weight, style, bias=bias, up=up, demodulate=demodulate, gain=1.5)
    assert torch.allclose(actual, 1.5 * expected + bias[:, None, None])


@pytest.mark.parametrize("styles", [1, 2])
@pytest.mark.parametrize("up", [1, 2])
def test_gradients_of_the_modulated_convolution(styles, up):
    x, weight, style = random(2, 2, 3, 3), random(2, 2, 3, 3, seed=1), random(styles, 2, seed=2)
    for tensor in (x, weight, style):
        tensor.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda *args: modulated_conv2d(*args, up=up), (x, weight, style))
