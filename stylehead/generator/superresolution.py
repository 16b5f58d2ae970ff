"""From the raw render and its features to the final picture."""

import functools

import torch
from torch import Tensor, nn

from stylehead.architecture import DECODER_FEATURES, SuperresolutionConfig
from stylehead.generator.layers import NoiseMode, SynthesisBlock
from stylehead.generator.ops import resample_filter
from stylehead.generator.recompute import recomputed
from stylehead.images import resize
from stylehead.precision import HalfPart


class SuperResolution(nn.Module):
    """Two synthesis blocks whose styles all come from the last style vector."""

    dtype: torch.dtype = torch.float32
    """What its convolutions compute in; weights, and what comes in and goes out, are in single precision."""

    def __init__(
        self, config: SuperresolutionConfig, *, w_dim: int, img_channels: int, antialias: bool = True
    ) -> None:
        super().__init__()
        self.config = config
        self.antialias = antialias
        if config.kind != "8XDC":  # the other published variants store one filter more
            self.register_buffer("resample_filter", resample_filter())
        middle = config.input_resolution * config.first_up
        self.block0 = SynthesisBlock(
            DECODER_FEATURES,
            config.block0_out_channels,
            w_dim=w_dim,
            resolution=middle,
            img_channels=img_channels,
            up=config.first_up,
            conv_clamp=config.conv_clamp,
        )
        self.block1 = SynthesisBlock(
            config.block0_out_channels,
            config.block1_out_channels,
            w_dim=w_dim,
            resolution=middle * 2,
            img_channels=img_channels,
            conv_clamp=config.conv_clamp,
        )

    def forward(
        self,
        rgb: Tensor,
        features: Tensor,
        ws: Tensor,
        *,
        noise_mode: NoiseMode = "none",
        rng: torch.Generator | None = None,
        one_view: bool = False,
    ) -> Tensor:
        """Map a raw picture [B, 3, R, R] and features [B, 32, R, R] to [B, 3, output, output].

        Args:
            rgb: Raw picture; not changed.
            features: What was rendered, background included.
            ws: Style vectors [K, num_ws, w_dim], B a multiple of K; only the last of each row is used.
            noise_mode: Noise of the convolutions.
            rng: Source of random noise.
            one_view: One picture at a time (with random noise: all at once), and again in the backward pass.
        """
        if not one_view:
            return self._upscale(rgb, features, ws, noise_mode=noise_mode, rng=rng)
        pieces = 1 if noise_mode == "random" else len(rgb)
        views = len(rgb) // len(ws)
        parts = []
        for index, (one_rgb, one_features) in enumerate(
            zip(rgb.chunk(pieces), features.chunk(pieces), strict=True)
        ):
            own = ws if pieces == 1 else ws[index // views : index // views + 1]
            run = functools.partial(self._upscale, one_rgb, one_features, own, noise_mode=noise_mode, rng=rng)
            parts.append(recomputed(run, rng=rng))
        return torch.cat(parts)

    def _upscale(
        self,
        rgb: Tensor,
        features: Tensor,
        ws: Tensor,
        *,
        noise_mode: NoiseMode,
        rng: torch.Generator | None,
    ) -> Tensor:
        size = self.config.input_resolution
        if rgb.shape[-1] < size or (rgb.shape[-1] > size and self.config.kind != "4X"):
            rgb = resize(rgb, size, antialias=self.antialias)
            features = resize(features, size, antialias=self.antialias)
        return self.upscale(rgb, features, ws, noise_mode=noise_mode, rng=rng)

    def upscale(
        self,
        rgb: Tensor,
        features: Tensor,
        ws: Tensor,
        *,
        noise_mode: NoiseMode = "none",
        rng: torch.Generator | None = None,
    ) -> Tensor:
        """The two blocks alone, at whatever size comes in: arguments as in `forward`."""
        last, part = ws[:, -1:].expand(-1, 3, -1), HalfPart(self.dtype)
        x, rgb = self.block0(part.enter(features), rgb, last, noise_mode=noise_mode, rng=rng, part=part)
        return self.block1(x, rgb, last, noise_mode=noise_mode, rng=rng, part=part)[1]
