"""Convolutions of the generator: the fixed blur filter, up-sampling and weight modulation.

On a CPU activations are kept in channels-last memory, where convolutions are two to three times as fast, and
1x1 convolutions become matrix products.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from stylehead.precision import HalfPart, like

_TAPS = (1.0, 3.0, 3.0, 1.0)
SINGLE = HalfPart(torch.float32)
"""The numbers of everything that was not told otherwise."""
_FILTER = tuple(tuple(row * column / 64 for column in _TAPS) for row in _TAPS)


def resample_filter() -> Tensor:
    """The 4x4 filter [1, 3, 3, 1] x [1, 3, 3, 1], normalised to sum 1."""
    return torch.tensor(_FILTER)


def blur2d(x: Tensor, *, padding: int = 0, gain: float = 1.0, bias: Tensor | None = None) -> Tensor:
    """Filter every channel of images with `resample_filter`.

    Args:
        x: Images [B, C, H, W].
        padding: Zeros around the image.
        gain: Factor on the filter.
        bias: [C], added last.

    Returns:
        [B, C, H + 2 padding - 3, W + 2 padding - 3].
    """
    channels = x.shape[1]
    kernel = (like(_FILTER, x) * gain).expand(channels, 1, 4, 4)
    return functional.conv2d(x, kernel, bias, padding=padding, groups=channels)


def upsample2d(x: Tensor) -> Tensor:
    """Double the size of images [B, C, H, W]: zeros between the pixels, two before, one after, and the blur.

    The taps are those of bilinear interpolation, which repeats the outermost pixels where the filter sees
    zeros: three quarters of its value remain there.
    """
    doubled = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    fade_y, fade_x = (x.new_ones(size) for size in doubled.shape[-2:])
    for fade in (fade_y, fade_x):
        fade[0] = fade[-1] = 0.75
    return doubled * (fade_y[:, None] * fade_x)


def modulated_conv2d(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    *,
    bias: Tensor | None = None,
    up: int = 1,
    demodulate: bool = True,
    gain: float = 1.0,
    part: HalfPart = SINGLE,
) -> Tensor:
    """Convolve with a kernel whose input channels are scaled by styles.

    `w' = weight style`; with demodulation each output channel of w' is divided by its norm
    `sqrt(sum w'^2 + 1e-8)`. One style for the whole batch modulates the kernel itself (one plain
    convolution); several styles scale the activations before and after a shared kernel instead, which is the
    same sum and never copies the kernel.

    Args:
        x: Images [B, I, H, W], grouped style by style: the first B/K belong to the first style, and so on.
        weight: Kernel [O, I, k, k].
        styles: Factors [K, I] with B a multiple of K.
        bias: [O], added last.
        up: 1, or 2 for a stride-2 transposed convolution followed by the blur filter.
        demodulate: Normalise the output channels.
        gain: Factor on the result, before the bias.
        part: The numbers to convolve in, those of x; kernels and styles are always made in single precision.

    Returns:
        [B, O, H up, W up].
    """
    if part.half and styles.shape[0] > 1:  # one by one: sums before demodulation could overflow
        options: Any = {"bias": bias, "up": up, "demodulate": demodulate, "gain": gain, "part": part}
        each = zip(x.chunk(len(styles)), styles.split(1), strict=True)
        return torch.cat([modulated_conv2d(views, weight, style, **options) for views, style in each])
    bias = None if bias is None else part.enter(bias)
    if styles.shape[0] == 1:
        kernel = weight * styles.reshape(1, -1, 1, 1)
        if demodulate:
            kernel = kernel * (gain * (kernel.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).rsqrt())
        elif gain != 1:
            kernel = kernel * gain
        return _convolve(x, part.enter(kernel), bias, up=up)

    views = x.shape[0] // styles.shape[0]
    if not demodulate:
        styles = styles if gain == 1 else styles * gain
    x = x * styles.repeat_interleave(views, dim=0)[:, :, None, None]
    if not demodulate:
        return _convolve(x, weight, bias, up=up)
    scale = gain * (styles.square() @ weight.square().sum(dim=(2, 3)).t() + 1e-8).rsqrt()
    x = _convolve(x, weight, None, up=up) * scale.repeat_interleave(views, dim=0)[:, :, None, None]
    return x if bias is None else x.add_(bias[:, None, None])


def _convolve(x: Tensor, kernel: Tensor, bias: Tensor | None, *, up: int) -> Tensor:
    if x.device.type == "cpu":
        if kernel.shape[-1] == 1:  # as a matrix product over the pixels
            return functional.linear(x.permute(0, 2, 3, 1), kernel[:, :, 0, 0], bias).permute(0, 3, 1, 2)
        x = x.contiguous(memory_format=torch.channels_last)
    if up == 1:
        return functional.conv2d(x, kernel, bias, padding=kernel.shape[-1] // 2)
    x = functional.conv_transpose2d(x, kernel.transpose(0, 1), stride=2)
    return blur2d(x, padding=1, gain=4.0, bias=bias)
