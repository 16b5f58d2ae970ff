"""Fully connected and synthesis layers with the published parameter names."""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from stylehead.generator.ops import SINGLE, modulated_conv2d, resample_filter, upsample2d
from stylehead.precision import HalfPart

NoiseMode = Literal["const", "random", "none"]
LRELU_SLOPE = 0.2
LRELU_GAIN = math.sqrt(2.0)


class FullyConnected(nn.Module):
    """`y = act(x (weight g)^T + bias lr_mul)` with `g = lr_mul / sqrt(in)`; lrelu has gain sqrt 2."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        activation: Literal["linear", "lrelu"] = "linear",
        lr_mul: float = 1.0,
        bias_init: float = 0.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_mul)
        self.bias = nn.Parameter(torch.full([out_features], float(bias_init)))
        self.activation = activation
        self.weight_gain = lr_mul / math.sqrt(in_features)
        self.bias_gain = lr_mul

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., in] to [..., out]."""
        y = functional.linear(x, self.weight * self.weight_gain, self.bias * self.bias_gain)
        return functional.leaky_relu(y, LRELU_SLOPE) * LRELU_GAIN if self.activation == "lrelu" else y


class SynthesisLayer(nn.Module):
    """Modulated 3x3 convolution, noise, bias, leaky ReLU and an optional clamp."""

    resample_filter: Tensor
    noise_const: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        w_dim: int,
        resolution: int,
        up: int = 1,
        conv_clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.up = up
        self.conv_clamp = conv_clamp
        self.resolution = resolution
        self.affine = FullyConnected(w_dim, in_channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 3, 3))
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.register_buffer("noise_const", torch.randn(resolution, resolution))
        self.register_buffer("resample_filter", resample_filter())

    def forward(
        self,
        x: Tensor,
        w: Tensor,
        *,
        noise_mode: NoiseMode,
        rng: torch.Generator | None = None,
        part: HalfPart = SINGLE,
    ) -> Tensor:
        """Map [B, I, H, W] and styles w [K, w_dim] (B a multiple of K) to [B, O, resolution, resolution]."""
        # lrelu(a) sqrt 2 == lrelu(a sqrt 2): the gain goes into the small tensors before the activation.
        bias = self.bias * LRELU_GAIN
        x = modulated_conv2d(
            x, self.weight, self.affine(w), bias=bias, up=self.up, gain=LRELU_GAIN, part=part
        )
        if noise_mode != "none":
            noise = self.noise_const
            if noise_mode == "random":
                shape = (x.shape[0], 1, self.resolution, self.resolution)
                noise = torch.randn(shape, generator=rng, device=x.device, dtype=x.dtype)
            x = x.add_(part.enter(noise * (self.noise_strength * LRELU_GAIN)))
        x = functional.leaky_relu_(x, LRELU_SLOPE)
        return x if self.conv_clamp is None else x.clamp(-self.conv_clamp, self.conv_clamp)


class ToRGB(nn.Module):
    """Modulated 1x1 convolution without demodulation, plus bias."""

    def __init__(
        self, in_channels: int, out_channels: int, *, w_dim: int, conv_clamp: float | None = None
    ) -> None:
        super().__init__()
        self.conv_clamp = conv_clamp
        self.affine = FullyConnected(w_dim, in_channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.weight_gain = 1 / math.sqrt(in_channels)

    def forward(self, x: Tensor, w: Tensor, *, part: HalfPart = SINGLE) -> Tensor:
        """Map [B, I, H, W] and styles w [K, w_dim] to [B, O, H, W]."""
        styles = self.affine(w) * self.weight_gain
        x = modulated_conv2d(x, self.weight, styles, bias=self.bias, demodulate=False, part=part)
        return x if self.conv_clamp is None else x.clamp(-self.conv_clamp, self.conv_clamp)


class SynthesisBlock(nn.Module):
    """One resolution of a 'skip' network: conv0 (absent in the first block), conv1, and a colour layer."""

    resample_filter: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        w_dim: int,
        resolution: int,
        img_channels: int,
        up: int = 2,
        conv_clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.up = up
        self.in_channels = in_channels
        self.register_buffer("resample_filter", resample_filter())
        if in_channels == 0:
            self.const = nn.Parameter(torch.randn(out_channels, resolution, resolution))
        else:
            self.conv0 = SynthesisLayer(
                in_channels, out_channels, w_dim=w_dim, resolution=resolution, up=up, conv_clamp=conv_clamp
            )
        self.conv1 = SynthesisLayer(
            out_channels, out_channels, w_dim=w_dim, resolution=resolution, conv_clamp=conv_clamp
        )
        self.torgb = ToRGB(out_channels, img_channels, w_dim=w_dim, conv_clamp=conv_clamp)

    @property
    def num_conv(self) -> int:
        """How many style vectors the convolutions use; the colour layer takes the next one."""
        return 1 if self.in_channels == 0 else 2

    def forward(
        self,
        x: Tensor | None,
        img: Tensor | None,
        ws: Tensor,
        *,
        noise_mode: NoiseMode,
        rng: torch.Generator | None = None,
        part: HalfPart = SINGLE,
    ) -> tuple[Tensor, Tensor]:
        """Grow features x and image img, both None in the first block, by this block.

        Args:
            x: Features [B, I, H, W].
            img: Image so far [B, img_channels, H, W].
            ws: Style vectors [K, num_conv + 1, w_dim], B a multiple of K.
            noise_mode: Noise of the convolutions.
            rng: Source of random noise.
            part: The numbers of the features; an image is always in single precision.
        """
        if x is None:
            x = part.enter(self.const)[None].expand(ws.shape[0], -1, -1, -1)
        else:
            x = self.conv0(x, ws[:, 0], noise_mode=noise_mode, rng=rng, part=part)
        x = self.conv1(x, ws[:, -2], noise_mode=noise_mode, rng=rng, part=part)
        rgb = part.leave(self.torgb(x, ws[:, -1], part=part))
        if img is None:
            return x, rgb
        if self.up == 2:
            return x, upsample2d(img).add_(rgb)  # rgb is a view, and slow to change in place
        return x, img + rgb
