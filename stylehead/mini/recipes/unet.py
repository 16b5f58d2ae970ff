"""The embedded denoiser and its text encoder, trained together on latents of the procedural heads."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from stylehead.guidance.schedule import Schedule
from stylehead.mini.recipes.embedded import copy_pretrained
from stylehead.mini.recipes.pictures import PictureSource
from stylehead.mini.recipes.pool import LatentPool
from stylehead.mini.tokens import MAX_TOKENS, write_tokenizer

TEXT_WIDTH = 128
_CAPTION_DROPOUT = 0.1
_LOW_NOISE_PART, _LOW_NOISE_LEVELS = 0.5, 320


def new_unet(*, in_channels: int = 4) -> UNet2DConditionModel:
    """An untrained denoiser of the embedded size."""
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=in_channels,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(48, 96, 160),
        layers_per_block=1,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=4,
        norm_num_groups=16,
    ).to(memory_format=torch.channels_last)


def new_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """An untrained two-layer CLIP text encoder for a tokenizer."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_WIDTH,
            intermediate_size=4 * TEXT_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=MAX_TOKENS,
            projection_dim=TEXT_WIDTH,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


class Denoiser(nn.Module):
    """UNet and text encoder, saved and averaged as one."""

    def __init__(self, tokenizer: CLIPTokenizer) -> None:
        super().__init__()
        self.unet = new_unet()
        self.text_encoder = new_text_encoder(tokenizer)


@dataclass(frozen=True)
class NoisyBatch:
    """What a denoiser is asked in training: noised latents, the noise, timesteps, and drop-out captions."""

    latents_t: Tensor
    eps: Tensor
    timestep: Tensor
    captions: list[str]


class UNetRecipe:
    """Plain noise prediction; half of the noise levels are the low ones that distillation uses.

    Args:
        source: Pictures to learn from.
        vae: Trained autoencoder.
        work: Folder for the tokenizer's files.
        batch: Latents in a step.
    """

    name = "unet"
    learning_rate = 1e-3

    def __init__(self, source: PictureSource, vae: AutoencoderKL, work: Path, *, batch: int = 24) -> None:
        write_tokenizer(work / "tokenizer")
        self.tokenizer = CLIPTokenizer.from_pretrained(work / "tokenizer", local_files_only=True)
        torch.manual_seed(0)
        self.model: nn.Module = Denoiser(self.tokenizer)
        self.pool = LatentPool(source, vae)
        self.schedule = Schedule()
        self.batch = batch

    def parameters(self) -> list[dict[str, object]]:
        """Both networks."""
        return [{"params": list(self.model.parameters())}]

    def loss(self, progress: float, rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Mean squared error of the predicted noise."""
        assert isinstance(self.model, Denoiser)
        items = self.pool.draw(self.batch, rng)
        batch = noisy_batch(self.schedule, items.latents, items.captions, rng)
        text = encode_captions(self.tokenizer, self.model.text_encoder, batch.captions)
        eps = self.model.unet(batch.latents_t, batch.timestep, text).sample
        errors = (eps - batch.eps).square().mean(dim=(1, 2, 3))
        low = batch.timestep < _LOW_NOISE_LEVELS
        values = {"low": float(errors[low].mean().detach()), "high": float(errors[~low].mean().detach())}
        return errors.mean(), {name: value for name, value in values.items() if value == value}

    def warm_start(self, folder: Path) -> bool:
        """The embedded denoiser and its text encoder."""
        assert isinstance(self.model, Denoiser)
        teacher = folder / "teacher"
        return copy_pretrained(self.model.unet, teacher / "unet", UNet2DConditionModel) and copy_pretrained(
            self.model.text_encoder, teacher / "text_encoder", CLIPTextModel
        )

    def export(self, averaged: nn.Module, folder: Path, metadata: Mapping[str, str]) -> None:
        """Write unet/, text_encoder/, tokenizer/ and scheduler/ in half precision."""
        assert isinstance(averaged, Denoiser)
        teacher = folder / "teacher"
        averaged.unet.half().save_pretrained(teacher / "unet", safe_serialization=True)
        averaged.text_encoder.half().save_pretrained(teacher / "text_encoder", safe_serialization=True)
        write_tokenizer(teacher / "tokenizer")
        DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
            set_alpha_to_one=False, steps_offset=1,
        ).save_pretrained(teacher / "scheduler")  # fmt: skip


def noisy_batch(schedule: Schedule, latents: Tensor, captions: list[str], rng: torch.Generator) -> NoisyBatch:
    """Noise latents [B,4,h,w] at random levels and drop some captions."""
    count = len(latents)
    timestep = torch.randint(1000, (count,), generator=rng)
    low = torch.rand(count, generator=rng) < _LOW_NOISE_PART
    timestep = torch.where(low, timestep * _LOW_NOISE_LEVELS // 1000, timestep)
    eps = torch.randn(latents.shape, generator=rng)
    dropped = torch.rand(count, generator=rng) < _CAPTION_DROPOUT
    kept = ["" if drop else text for drop, text in zip(dropped, captions, strict=True)]
    return NoisyBatch(schedule.add_noise(latents, eps, timestep), eps, timestep, kept)


def encode_captions(tokenizer: CLIPTokenizer, encoder: CLIPTextModel, captions: list[str]) -> Tensor:
    """Last hidden states [B,L,D]."""
    tokens = tokenizer(
        captions, padding="max_length", max_length=MAX_TOKENS, truncation=True, return_tensors="pt"
    )
    states: Tensor = encoder(tokens.input_ids).last_hidden_state
    return states
