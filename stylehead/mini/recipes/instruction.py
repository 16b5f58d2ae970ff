"""The embedded InstructPix2Pix: a denoiser that also sees the picture which it shall change.

Brooks et al., 2023: the picture's latent is four more channels of the input, whose weights start at zero, and
in training prompt and picture are left out now and then, for guidance on each. The pairs are one person as a
photograph and in a style, from the same camera. The text encoder is the teacher's, and stays as it is.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTextModel, CLIPTokenizer

from stylehead.mini.recipes.embedded import copy_pretrained
from stylehead.mini.recipes.networks import encode_captions, importance, new_unet, noisy_batch, trained
from stylehead.mini.recipes.pictures import Pictures, PictureSource
from stylehead.mini.recipes.pool import LatentPool, softened
from stylehead.teacher.schedule import Schedule

_PICTURE_DROPOUT = 0.1


class InstructionRecipe:
    """Noise prediction from a noised styled latent, the photograph's latent and a caption.

    Args:
        source: Pictures to learn from, single views.
        teacher: Folder of the trained teacher: its autoencoder and text encoder are used, its denoiser is
            where this one starts.
        batch: Latents in a step.
    """

    name = "instruction"
    learning_rate = 1e-3

    def __init__(self, source: PictureSource, teacher: Path, *, batch: int = 24) -> None:
        self.tokenizer = CLIPTokenizer.from_pretrained(teacher / "tokenizer", local_files_only=True)
        self.text_encoder: Any = trained(CLIPTextModel, teacher / "text_encoder")
        self.vae: Any = trained(AutoencoderKL, teacher / "vae")
        self.model: nn.Module = widened(trained(UNet2DConditionModel, teacher / "unet"))
        self.pool = LatentPool(source, self.vae, self._photo_latents)
        self.schedule = Schedule()
        self.batch = batch

    def parameters(self) -> list[dict[str, object]]:
        """The denoiser's."""
        return [{"params": list(self.model.parameters())}]

    def loss(self, progress: float, rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Mean squared error of the predicted noise; for the log also without a picture."""
        items = self.pool.draw(self.batch, rng)
        dropped = torch.rand(self.batch, generator=rng) < _PICTURE_DROPOUT
        captions = [
            "" if drop and number % 2 else text
            for number, (drop, text) in enumerate(zip(dropped, items.captions, strict=True))
        ]
        batch = noisy_batch(self.schedule, items.latents, captions, rng)
        photos = items.kept["photos"] * ~dropped[:, None, None, None]
        text = encode_captions(self.tokenizer, self.text_encoder, batch.captions)
        eps = self.model(torch.cat([batch.latents_t, photos], dim=1), batch.timestep, text).sample
        errors = (eps - batch.eps).square().mean(dim=(1, 2, 3))
        seen = errors.detach()[~dropped]
        values = {"seen": float(seen.mean())} if len(seen) else {}
        return (errors * importance(batch.timestep)).mean(), values

    def warm_start(self, folder: Path) -> bool:
        """The embedded network."""
        return copy_pretrained(self.model, folder / "ip2p" / "unet", UNet2DConditionModel)

    def export(self, averaged: nn.Module, folder: Path, metadata: Mapping[str, str]) -> None:
        """Write ip2p/unet/ in half precision."""
        assert isinstance(averaged, UNet2DConditionModel)
        averaged.half().save_pretrained(folder / "ip2p" / "unet", safe_serialization=True)

    def _photo_latents(self, pictures: Pictures, rng: torch.Generator) -> dict[str, Tensor]:
        """Of the photographs, not scaled: so the published pipeline gives them to its denoiser."""
        return {"photos": self.vae.encode(softened(pictures.photos, rng)).latent_dist.mean}


def widened(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """Copy a denoiser of four channels into one of eight that ignores the new four."""
    wide = new_unet(in_channels=8)
    state = unet.state_dict()
    weight = state["conv_in.weight"]
    state["conv_in.weight"] = functional.pad(weight, (0, 0, 0, 0, 0, weight.shape[1]))
    wide.load_state_dict(state)
    return wide
