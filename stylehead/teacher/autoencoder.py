"""The image side of a latent diffusion model: Stable Diffusion's autoencoder, or a tiny distilled one."""

from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint


class Autoencoder:
    """Images to scaled latents and back, differentiably.

    Args:
        network: An `AutoencoderKL`, whose posterior has a spread, or an `AutoencoderTiny`, which has none.
    """

    def __init__(self, network: Any) -> None:
        self.network = network
        self.tiny = type(network).__name__ == "AutoencoderTiny"
        self._recompute = False

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

    def encode(self, image_pm1: Tensor, *, rng: torch.Generator | None = None) -> Tensor:
        """Encode images.

        Args:
            image_pm1: Images [B, 3, H, W], nominally in -1..1 (not clamped).
            rng: Draws a sample of the posterior; its mean is returned when not given. A tiny
                autoencoder has no posterior and always returns the same latents.

        Returns:
            Latents [B, C, H/f, W/f], multiplied by the scaling factor, float32.
        """
        pixels = image_pm1.to(self.network.dtype)
        if self.tiny:
            latents = self._encode_tiny(pixels)
        else:
            posterior = self.network.encode(pixels).latent_dist
            latents = posterior.mean
            if rng is not None:
                eps = torch.randn(latents.shape, generator=rng, device=rng.device)
                latents = latents + posterior.std * eps.to(latents)
        return latents.float() * self.network.config.scaling_factor

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
        network = self.network
        image: Tensor = network.decode((latents / network.config.scaling_factor).to(network.dtype)).sample
        return image.float()
