"""The embedded image autoencoder: 128x128 pictures of heads on plain backgrounds <-> 32x32x4 latents."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from torch import Tensor, nn
from torch.nn import functional

from stylehead.world.recipes.computing import device_of, in_bfloat16
from stylehead.world.recipes.training_pictures import PictureSource
from stylehead.world.recipes.warm_start import copy_pretrained

_KL_WEIGHT = 1e-6
_ANCHOR_WEIGHT = 0.5


def new_vae() -> AutoencoderKL:
    """An untrained autoencoder of the embedded size."""
    vae = AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(12, 32, 64),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        mid_block_add_attention=False,
        sample_size=128,
    )
    for module in vae.modules():
        if isinstance(module, nn.Conv2d):  # keep the signal's size; with the usual start latents are tiny ...
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
    with torch.no_grad():  # ... and drown in the posterior's noise for hours
        vae.quant_conv.weight[4:] = 0
        vae.quant_conv.bias[4:] = -6
    return vae


class VaeRecipe:
    """Reconstruction of single views and 2x2 grids, with a whisper of a KL term.

    Args:
        source: Pictures to learn from.
        batch: Pictures in a step.
        fixed_encoder: Train the decoder alone, for what else was trained on these latents.
    """

    name = "vae"
    learning_rate = 4e-4

    def __init__(self, source: PictureSource, *, batch: int = 6, fixed_encoder: bool = False) -> None:
        torch.manual_seed(0)
        self.model: Any = new_vae()
        self.fixed_encoder = fixed_encoder
        if fixed_encoder:
            self.model.encoder.requires_grad_(False)
            self.model.quant_conv.requires_grad_(False)
        self.source = source
        self.batch = batch

    def parameters(self) -> list[dict[str, object]]:
        """All that is trained."""
        return [{"params": [tensor for tensor in self.model.parameters() if tensor.requires_grad]}]

    def loss(self, progress: float, rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Absolute and squared error of pictures and of their edges."""
        device = device_of(self.model)
        pictures = self.source.draw(self.batch, rng).images.to(device)
        with in_bfloat16(device):
            moments = self.model.encode(pictures).latent_dist.parameters
            posterior = DiagonalGaussianDistribution(moments.float())
            noise = torch.randn(posterior.mean.shape, generator=rng).to(device)
            decoded = self.model.decode(posterior.mean + posterior.std * noise).sample
        error = decoded.float() - pictures
        mse = error.square().mean()
        edges = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
        kl = posterior.kl().mean()
        # Three of the four channels stay close to a small copy of the picture: colours are learned in minutes
        # instead of hours, and a gradient on a latent is a change of colour.
        anchor = functional.mse_loss(posterior.mean[:, :3], functional.avg_pool2d(pictures, 4))
        loss = mse + 0.5 * error.abs().mean() + 0.4 * edges + _ANCHOR_WEIGHT * anchor + _KL_WEIGHT * kl
        psnr = -10 * torch.log10(mse.detach() / 4)
        return loss, {"psnr": float(psnr), "kl": float(kl.detach()), "anchor": float(anchor.detach())}

    def warm_start(self, folder: Path) -> bool:
        """The embedded autoencoder."""
        return copy_pretrained(self.model, folder / "ip2p" / "vae", AutoencoderKL)

    def export(self, averaged: nn.Module, folder: Path, metadata: Mapping[str, str]) -> None:
        """Write the diffusers folder, with the scale that gives latents unit variance."""
        assert isinstance(averaged, AutoencoderKL)
        averaged.register_to_config(scaling_factor=self._scale(averaged, folder / "ip2p" / "vae"))
        averaged.half().cpu().save_pretrained(folder / "ip2p" / "vae", safe_serialization=True)

    def _scale(self, averaged: AutoencoderKL, before: Path) -> float:
        """Of the latents; an encoder that stays keeps the one that others were trained with."""
        if self.fixed_encoder and before.is_dir():
            return float(AutoencoderKL.load_config(before)["scaling_factor"])
        return round(latent_scale(averaged, self.source), 5)


@torch.no_grad()
def latent_scale(vae: AutoencoderKL, source: PictureSource, *, pictures: int = 256) -> float:
    """One over the standard deviation of the latents."""
    rng = torch.Generator().manual_seed(1)
    device = device_of(vae)
    means = [vae.encode(source.draw(8, rng).images.to(device)).latent_dist.mean for _ in range(pictures // 8)]
    return float(1 / torch.cat(means).std())
