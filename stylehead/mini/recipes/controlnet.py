"""The two embedded ControlNets: edges or depth of the *photograph* steer the picture in any style.

The distillation conditions on the untouched head while it asks for a style, so that is what is learned here:
pairs of one person as photograph (condition) and in the style (picture), from the same camera.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTextModel, CLIPTokenizer

from stylehead.guidance.schedule import Schedule
from stylehead.mini.recipes.embedded import copy_pretrained
from stylehead.mini.recipes.pictures import PictureSource
from stylehead.mini.recipes.pool import LatentPool
from stylehead.mini.recipes.unet import encode_captions, noisy_batch


def new_controlnet(unet: UNet2DConditionModel) -> ControlNetModel:
    """A ControlNet that starts as a copy of the denoiser's encoder."""
    return ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(8, 16, 32, 64))


class ControlNetRecipe:
    """Noise prediction with the denoiser frozen.

    Args:
        kind: What the condition shows.
        source: Pictures to learn from.
        vae: Trained autoencoder.
        teacher: Folder with the trained unet/, text_encoder/ and tokenizer/.
        batch: Latents in a step.
    """

    learning_rate = 6e-4

    def __init__(
        self,
        kind: Literal["canny", "depth"],
        source: PictureSource,
        vae: AutoencoderKL,
        teacher: Path,
        *,
        batch: int = 16,
    ) -> None:
        self.kind = kind
        self.name = f"controlnet_{kind}"
        self.unet = UNet2DConditionModel.from_pretrained(teacher / "unet", torch_dtype=torch.float32)
        self.text_encoder = CLIPTextModel.from_pretrained(teacher / "text_encoder", dtype=torch.float32)
        self.tokenizer = CLIPTokenizer.from_pretrained(teacher / "tokenizer", local_files_only=True)
        torch.manual_seed(0)
        self.model: nn.Module = new_controlnet(self.unet)
        for frozen in (self.unet, self.text_encoder):
            frozen.requires_grad_(False)
        self.pool = LatentPool(source, vae)
        self.schedule = Schedule()
        self.batch = batch

    def parameters(self) -> list[dict[str, object]]:
        """The ControlNet."""
        return [{"params": list(self.model.parameters())}]

    def loss(self, progress: float, rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Mean squared error of the predicted noise, and for the log the same without the condition."""
        items = self.pool.draw(self.batch, rng)
        batch = noisy_batch(self.schedule, items.latents, items.captions, rng)
        with torch.no_grad():
            text = encode_captions(self.tokenizer, self.text_encoder, batch.captions)
        picture = (
            (items.canny if self.kind == "canny" else items.depth).float().div(255).expand(-1, 3, -1, -1)
        )
        down, mid = self.model(
            batch.latents_t, batch.timestep, text, controlnet_cond=picture.contiguous(), return_dict=False
        )
        eps = self.unet(
            batch.latents_t,
            batch.timestep,
            text,
            down_block_additional_residuals=down,
            mid_block_additional_residual=mid,
        ).sample
        loss = functional.mse_loss(eps, batch.eps)
        return loss, {}

    def warm_start(self, folder: Path) -> bool:
        """The embedded ControlNet."""
        return copy_pretrained(self.model, folder / "teacher" / self.name, ControlNetModel)

    def export(self, averaged: nn.Module, folder: Path, metadata: Mapping[str, str]) -> None:
        """Write controlnet_<kind>/ in half precision."""
        assert isinstance(averaged, ControlNetModel)
        averaged.half().save_pretrained(folder / "teacher" / self.name, safe_serialization=True)
