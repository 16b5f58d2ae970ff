"""From style vectors to an image: the backbone that makes the tri-grid, and the background network."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from stylehead.generator.layers import NoiseMode, SynthesisBlock


class SynthesisNetwork(nn.Module):
    """Blocks b4, b8, ... b<resolution>, each doubling the image and adding its own colours."""

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
        self, ws: Tensor, *, noise_mode: NoiseMode = "const", generator: torch.Generator | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Run block by block, yielding features and image of each resolution."""
        x: Tensor | None = None
        img: Tensor | None = None
        start = 0
        for size in self.resolutions:
            block = self.get_submodule(f"b{size}")
            assert isinstance(block, SynthesisBlock)
            window = ws[:, start : start + block.num_conv + 1]
            x, img = block(x, img, window, noise_mode=noise_mode, generator=generator)
            start += block.num_conv
            yield x, img

    def forward(
        self, ws: Tensor, *, noise_mode: NoiseMode = "const", generator: torch.Generator | None = None
    ) -> Tensor:
        """Map ws [B,num_ws,w_dim] to an image [B,img_channels,resolution,resolution].

        A block's colour layer shares its style vector with the next block's first convolution.
        """
        *_, (_, img) = self.blocks(ws, noise_mode=noise_mode, generator=generator)
        return img
