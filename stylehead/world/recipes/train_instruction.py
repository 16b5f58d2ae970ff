"""The embedded InstructPix2Pix: a denoiser conditioned on the picture to be changed.

Brooks et al., 2023: the picture's latent is four more channels of the input, and in training prompt and
picture are left out now and then, for guidance on each. The pairs are one person as a photograph and in a
style, from the same camera. The folder is a whole pipeline, with autoencoder and text encoder of its own.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    StableDiffusionInstructPix2PixPipeline,
    UNet2DConditionModel,
)
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from stylehead.files import atomic_write
from stylehead.teacher.schedule import Schedule
from stylehead.world.recipes.computing import in_bfloat16
from stylehead.world.recipes.networks import importance, latent_size, new_unet, trained
from stylehead.world.recipes.pool import LatentPool, softened
from stylehead.world.recipes.prompt_bank import PromptBank
from stylehead.world.recipes.training_pictures import Pictures, PictureSource
from stylehead.world.recipes.warm_start import copy_pretrained

_DROPOUT = 0.1  # of the prompt, of the picture
_BOTH = 0.05
_TOP_LEVELS, _TOP_PART = 100, 0.2
_TINT_WEIGHT = 6.0
_PHOTO_PART, _NOISE_PART = 0.25, 0.25


class InstructionRecipe:
    """Noise prediction from a noised styled latent, the photograph's latent and a prompt.

    Args:
        source: Pictures to learn from, single views.
        folder: Of the editor's pipeline: its autoencoder, text encoder and tokenizer are read.
        batch: Latents in a step.
        prompts: Encoded prompts of each style that are kept.
        device: Where the networks are that are read.
    """

    name = "instruction"
    learning_rate = 5e-4

    def __init__(
        self,
        source: PictureSource,
        folder: Path,
        *,
        batch: int = 24,
        prompts: int = 256,
        device: torch.device | str = "cpu",
    ) -> None:
        self.device = device
        self.vae: Any = trained(AutoencoderKL, folder / "vae", device)
        tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
        text_encoder = trained(CLIPTextModel, folder / "text_encoder", device)
        self.prompts = PromptBank(tokenizer, text_encoder, size=prompts)
        torch.manual_seed(0)
        self.model: nn.Module = new_unet(latent_size(self.vae), in_channels=8)
        self.pool = LatentPool(source, self.vae, self._photo_latents, fresh=0.08)
        self.schedule = Schedule()
        self.batch = batch

    def parameters(self) -> list[dict[str, object]]:
        """The denoiser's."""
        return [{"params": list(self.model.parameters())}]

    def loss(self, progress: float, rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Mean squared error of the predicted noise; for the log also that of the estimated latent."""
        items = self.pool.draw(self.batch, rng)
        text_dropped, photo_dropped = (part.to(self.device) for part in dropped(self.batch, rng))
        states = self.prompts.draw(items.styles, rng)
        states[text_dropped] = self.prompts.empty
        photos = items.kept["photos"] * ~photo_dropped[:, None, None, None]
        scale = self.vae.config.scaling_factor
        noised = noise(self.schedule, items.latents, items.kept["photos"] * scale, rng)
        with in_bfloat16(self.device):
            model_input = torch.cat([noised.latents_t, photos], dim=1)
            eps = self.model(model_input, noised.timestep, states).sample.float()
        errors = error_with_tint(noised, eps)
        alpha_bar = self.schedule.alpha_bar(noised.timestep)
        off = (eps.detach() - noised.eps) * (1 / alpha_bar - 1).sqrt()  # in the estimated latents
        seen, high = ~(text_dropped | photo_dropped), noised.timestep >= 1000 - _TOP_LEVELS
        values = {"x0": _mean(off.square(), seen & ~high), "x0_top": _mean(off.square(), seen & high)}
        values["tint_top"] = _mean(off.mean(dim=(2, 3)).square(), seen & high)
        return (errors * importance(noised.timestep)).mean(), {n: v for n, v in values.items() if v == v}

    def warm_start(self, folder: Path) -> bool:
        """The embedded network."""
        return copy_pretrained(self.model, folder / "ip2p" / "unet", UNet2DConditionModel)

    def export(self, averaged: nn.Module, folder: Path, metadata: Mapping[str, str]) -> None:
        """Write ip2p/unet/ in half precision, ip2p/scheduler/ and what makes a pipeline of the folder."""
        assert isinstance(averaged, UNet2DConditionModel)
        averaged.half().cpu().save_pretrained(folder / "ip2p" / "unet", safe_serialization=True)
        write_pipeline(folder / "ip2p")

    def _photo_latents(self, pictures: Pictures, rng: torch.Generator) -> dict[str, Tensor]:
        """Of the photographs, not scaled: so the published pipeline gives them to its denoiser."""
        photos = softened(pictures.photos, rng).to(self.device)
        return {"photos": self.vae.encode(photos).latent_dist.mean}


def error_with_tint(noised: "Noised", eps_hat: Tensor) -> Tensor:
    """Squared error [B] of predicted noise [B, 4, h, w]; where sampling starts, that of its mean counts too.

    The mean colour of a picture is one of a thousand frequencies of the noise: alone, the plain error hardly
    sees it (compare the multi-scale loss of Hoogeboom et al., arXiv 2301.11093). At lower levels the mean of
    the noise cannot be known, and weight on it drowns the rest.
    """
    difference = eps_hat - noised.eps
    top = noised.timestep >= 1000 - _TOP_LEVELS
    tint = difference.mean(dim=(2, 3)).square().mean(dim=1)
    return difference.square().mean(dim=(1, 2, 3)) + _TINT_WEIGHT * top * tint


def _mean(found: Tensor, rows: Tensor) -> float:
    return float(found[rows].mean())


class Noised(NamedTuple):
    """Noised latents [B, 4, h, w], the noise [B, 4, h, w] to be predicted from them, and timesteps [B]."""

    latents_t: Tensor
    eps: Tensor
    timestep: Tensor


def noise(schedule: Schedule, latents: Tensor, photos: Tensor, rng: torch.Generator) -> Noised:
    """Noise latents at random levels; at the highest, half of them are not what is in the noise.

    The last of Stable Diffusion's levels leave 7 % of the signal, in which a denoiser of 32x32 latents can
    read the mean colour. Sampling starts from noise alone, in which it then reads grey, or from the noised
    photograph, in which it reads the photograph's. So where sampling starts, there is noise alone in a
    quarter of the latents and the photograph in another, and what is to be found is the noise that would have
    led there from the latents x_0: `(x_t - sqrt(abar_t) x_0) / sqrt(1 - abar_t)`.

    Args:
        schedule: The levels.
        latents: [B, 4, h, w], scaled.
        photos: Latents of the photographs [B, 4, h, w], scaled.
        rng: Source of chance.
    """
    count, levels = len(latents), schedule.num_train_timesteps
    timestep = torch.randint(levels, (count,), generator=rng)
    top = torch.rand(count, generator=rng) < _TOP_PART
    timestep = torch.where(top, levels - 1 - timestep * _TOP_LEVELS // levels, timestep).to(latents.device)
    eps = torch.randn(latents.shape, generator=rng).to(latents.device)
    chance = torch.rand(count, 1, 1, 1, generator=rng).to(latents.device)
    high = (timestep >= levels - _TOP_LEVELS)[:, None, None, None]
    start = torch.where(high & (chance < _PHOTO_PART), photos, latents)
    latents_t = schedule.add_noise(start, eps, timestep)
    latents_t = torch.where(high & (chance > 1 - _NOISE_PART), eps, latents_t)
    alpha_bar = schedule.alpha_bar(timestep)
    return Noised(latents_t, (latents_t - alpha_bar.sqrt() * latents) / (1 - alpha_bar).sqrt(), timestep)


def dropped(count: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """For which of a batch the prompt [B], and the picture [B], is left out; for some both."""
    chance = torch.rand(count, generator=rng)
    return chance < _DROPOUT, (chance > _DROPOUT - _BOTH) & (chance < 2 * _DROPOUT - _BOTH)


def write_pipeline(folder: Path) -> None:
    """Write the scheduler and the index with which diffusers opens the folder as InstructPix2Pix."""
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
        set_alpha_to_one=False, steps_offset=1,
    )  # fmt: skip
    pipeline = StableDiffusionInstructPix2PixPipeline(
        vae=trained(AutoencoderKL, folder / "vae").half(),
        text_encoder=trained(CLIPTextModel, folder / "text_encoder").half(),
        tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True),
        unet=trained(UNet2DConditionModel, folder / "unet").half(),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder, safe_serialization=True)
    for config in folder.glob("*/config.json"):
        _forget_origin(config)


def _forget_origin(config: Path) -> None:
    """Take the folder out of a configuration that diffusers notes it was loaded from."""
    content = json.loads(config.read_text(encoding="utf-8"))
    if content.pop("_name_or_path", None) is not None:
        atomic_write(config, json.dumps(content, indent=2) + "\n")
