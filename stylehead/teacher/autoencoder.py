"""The image side of a latent diffusion model: Stable Diffusion's autoencoder, or a tiny distilled one."""

from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from stylehead.precision import HalfPart


class Autoencoder:
    """Images to scaled latents and back, differentiably, in single precision outside whatever it is inside.

    Args:
        network: An `AutoencoderKL`, whose posterior has a spread, or an `AutoencoderTiny`, which has none.
    """

    def __init__(self, network: Any) -> None:
        self.network = network
        self.tiny = type(network).__name__ == "AutoencoderTiny"
        self._recompute = False
        half = network.dtype != torch.float32
        self._layout = torch.channels_last if half else torch.preserve_format
        """How pictures lie in memory: half-precision convolutions of a GPU want channels last."""
        if half:
            network.to(memory_format=self._layout)

    @property
    def downscale(self) -> int:
        """How many pixels of an image one latent stands for, along an edge."""
        return 2 ** int(len(self.network.config.block_out_channels) - 1)

    def save_memory(self, *, recompute: bool, one_at_a_time: bool) -> None:
        """Choose how images are encoded; values and gradients stay the same.

        Args:
            recompute: Encode again in the backward pass instead of keeping what layers saw.
            one_at_a_time: Encode and decode the pictures of a batch one after the other.
        """
        network = self.network
        (network.enable_slicing if one_at_a_time else network.disable_slicing)()
        self._recompute = recompute
        if not self.tiny:  # the tiny encoder's own switch forgets to move images to the range that it expects
            (network.enable_gradient_checkpointing if recompute else network.disable_gradient_checkpointing)()

    def compile(self) -> None:
        """Compile the network's two halves (torch.compile) when they are first used."""
        for half in (self.network.encoder, self.network.decoder):
            half.compile()

    def encode(self, image_pm1: Tensor, *, rng: torch.Generator | None = None) -> Tensor:
        """Encode images.

        Args:
            image_pm1: Images [B, 3, H, W], nominally in -1..1 (not clamped).
            rng: Draws a sample of the posterior; its mean is returned when not given. A tiny
                autoencoder has no posterior and always returns the same latents.

        Returns:
            Latents [B, C, H/f, W/f], multiplied by the scaling factor, float32.
        """
        part = HalfPart(self.network.dtype)
        pixels = part.enter(image_pm1).to(memory_format=self._layout)
        if self.tiny:
            latents = self._encode_tiny(pixels)
        else:
            posterior = self.network.encode(pixels).latent_dist
            latents = posterior.mean
            if rng is not None:
                eps = torch.randn(latents.shape, generator=rng, device=rng.device)
                latents = latents + posterior.std * eps.to(latents)
        return part.leave(latents) * self.network.config.scaling_factor

    def _encode_tiny(self, pixels: Tensor) -> Tensor:
        def run(pixels: Tensor) -> Tensor:
            latents: Tensor = self.network.encode(pixels).latents
            return latents

        if self._recompute and torch.is_grad_enabled():
            recomputed: Tensor = checkpoint(run, pixels, use_reentrant=False)
            return recomputed
        return run(pixels)

    def decode(self, latents: Tensor) -> Tensor:
        """Decode scaled latents [B, C, h, w] to images [B, 3, H, W], nominally -1..1."""
        network, part = self.network, HalfPart(self.network.dtype)
        inside = part.enter(latents / network.config.scaling_factor).to(memory_format=self._layout)
        image: Tensor = network.decode(inside).sample
        return part.leave(image)
