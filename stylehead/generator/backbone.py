"""StyleGAN2's two halves: from a random vector to style vectors, and from these to an image.

Together they are the backbone, whose image is the tri-grid; the second alone draws what is behind the head.
"""

import functools
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from stylehead.architecture import DECODER_FEATURES, GeneratorConfig
from stylehead.generator.layers import FullyConnected, NoiseMode, SynthesisBlock
from stylehead.generator.recompute import recomputed
from stylehead.precision import HalfPart


class MappingNetwork(nn.Module):
    """z and a camera label through `num_layers` fully connected layers to w, repeated to num_ws."""

    w_avg: Tensor

    def __init__(
        self,
        z_dim: int,
        *,
        c_dim: int,
        w_dim: int,
        num_ws: int,
        num_layers: int,
        lr_mul: float,
        layer_features: int | None = None,
        linear_end: bool = False,
    ) -> None:
        super().__init__()
        self.num_ws = num_ws
        self.num_layers = num_layers
        self.embed = FullyConnected(c_dim, w_dim)
        widths = [z_dim + w_dim] + [layer_features or w_dim] * (num_layers - 1) + [w_dim]
        for index, (before, width) in enumerate(pairwise(widths)):
            last = index == num_layers - 1
            layer = FullyConnected(
                before, width, activation="linear" if last and linear_end else "lrelu", lr_mul=lr_mul
            )
            self.add_module(f"fc{index}", layer)
        self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(
        self,
        z: Tensor,
        camera_label: Tensor,
        *,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
    ) -> Tensor:
        """Map z [B, z_dim] and labels [B, c_dim] to ws [B, num_ws, w_dim].

        The first `truncation_cutoff` vectors (all when None) become `w_avg + psi (w - w_avg)`.
        """
        x = torch.cat([_unit_moment(z.to(self.w_avg.dtype)), _unit_moment(self.embed(camera_label))], dim=1)
        for index in range(self.num_layers):
            x = self.get_submodule(f"fc{index}")(x)
        if truncation_psi == 1:
            return x[:, None].expand(-1, self.num_ws, -1).contiguous()
        cutoff = self.num_ws if truncation_cutoff is None else min(max(truncation_cutoff, 0), self.num_ws)
        truncated = self.w_avg.lerp(x, truncation_psi)
        rows = [truncated] * cutoff + [x] * (self.num_ws - cutoff)
        return torch.stack(rows, dim=1)


def _unit_moment(x: Tensor) -> Tensor:
    """Scale every row to mean square one."""
    return x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()


class SynthesisNetwork(nn.Module):
    """Blocks b4, b8, ... b<resolution>, each doubling the image and adding its own colours."""

    dtype: torch.dtype = torch.float32
    """What its convolutions compute in; weights and images are in single precision."""

    def __init__(
        self,
        *,
        w_dim: int,
        resolution: int,
        img_channels: int,
        channel_base: int,
        channel_max: int,
        conv_clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.resolutions = [4 << step for step in range(resolution.bit_length() - 2)]
        in_channels = 0
        for size in self.resolutions:
            out_channels = min(channel_base // size, channel_max)
            block = SynthesisBlock(
                in_channels,
                out_channels,
                w_dim=w_dim,
                resolution=size,
                img_channels=img_channels,
                conv_clamp=conv_clamp,
            )
            self.add_module(f"b{size}", block)
            in_channels = out_channels

    def blocks(
        self,
        ws: Tensor,
        *,
        noise_mode: NoiseMode = "const",
        rng: torch.Generator | None = None,
        recompute: bool = False,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Run block by block, yielding features and image of each resolution."""
        x: Tensor | None = None
        img: Tensor | None = None
        start, part = 0, HalfPart(self.dtype)
        for size in self.resolutions:
            block = self.get_submodule(f"b{size}")
            assert isinstance(block, SynthesisBlock)
            window = ws[:, start : start + block.num_conv + 1]
            arguments: dict[str, Any] = {"noise_mode": noise_mode, "rng": rng, "part": part}
            if recompute:
                x, img = recomputed(functools.partial(block, x, img, window, **arguments), rng=rng)
            else:
                x, img = block(x, img, window, **arguments)
            start += block.num_conv
            yield x, img

    def forward(
        self,
        ws: Tensor,
        *,
        noise_mode: NoiseMode = "const",
        rng: torch.Generator | None = None,
        recompute: bool = False,
    ) -> Tensor:
        """Map ws [B, num_ws, w_dim] to an image [B, img_channels, resolution, resolution].

        A block's colour layer shares its style vector with the next block's first convolution. With
        `recompute` each block runs again in the backward pass instead of keeping what its layers saw.
        """
        grown = torch.empty(0)
        for _, img in self.blocks(ws, noise_mode=noise_mode, rng=rng, recompute=recompute):
            grown = img  # one by one, so that no block's features outlive the next
        return grown


class Backbone(nn.Module):
    """Mapping and tri-grid synthesis, under their published names."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.mapping = MappingNetwork(
            config.z_dim,
            c_dim=config.c_dim,
            w_dim=config.w_dim,
            num_ws=config.num_ws,
            num_layers=config.mapping_num_layers,
            lr_mul=config.mapping_lr_mul,
            layer_features=config.mapping_layer_features,
        )
        self.synthesis = SynthesisNetwork(
            w_dim=config.w_dim,
            resolution=config.rendering.triplane_size,
            img_channels=config.plane_channels,
            channel_base=config.channel_base,
            channel_max=config.channel_max,
            conv_clamp=config.conv_clamp,
        )


def background_network(config: GeneratorConfig) -> SynthesisNetwork:
    """Build the network that draws features behind the head, at half the backbone's channel base."""
    return SynthesisNetwork(
        w_dim=config.w_dim,
        resolution=config.superresolution.input_resolution,
        img_channels=DECODER_FEATURES,
        channel_base=config.channel_base // 2,
        channel_max=config.channel_max,
        conv_clamp=config.conv_clamp,
    )
