"""The networks of the embedded teacher beside its autoencoder, untrained, and how they are fed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from stylehead.teacher.schedule import Schedule
from stylehead.weights.pretrained import load_network

TEXT_WIDTH = 128
_CAPTION_DROPOUT = 0.1
_ERROR_DECAY = 310.0
"""Steps in which a trained denoiser's error falls to 1/e (fitted: 0.165 exp(-t/310) from t = 60 to 900)."""
_LOW_NOISE_PART, _LOW_NOISE_LEVELS = 0.5, 320


def new_unet(size: int, *, in_channels: int = 4) -> UNet2DConditionModel:
    """An untrained denoiser for latents [B, in_channels, size, size]: an editor's has eight channels.

    Outside, where latents are fine, it is narrow and without attention.
    """
    return UNet2DConditionModel(
        sample_size=size,
        in_channels=in_channels,
        out_channels=4,
        down_block_types=("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        block_out_channels=(32, 64, 96, 160),
        layers_per_block=1,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=4,
        norm_num_groups=16,
    ).to(memory_format=torch.channels_last)


def latent_size(vae: AutoencoderKL) -> int:
    """Edge of the latents of the pictures that an autoencoder was trained on."""
    return int(vae.config.sample_size) // 2 ** (len(vae.config.block_out_channels) - 1)


def new_controlnet(unet: UNet2DConditionModel) -> ControlNetModel:
    """A ControlNet that starts as a copy of the denoiser's encoder.

    Its outputs are zero at first, as they should be. What reads the picture is not: started the usual way,
    two pictures differ by 1e-5 after its layers, and it takes thousands of steps to notice them.
    """
    controlnet = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(8, 16, 32))
    reader = controlnet.controlnet_cond_embedding
    for module in reader.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    reader.conv_out.weight.data.mul_(3)  # to the size of the latents' own embedding
    return controlnet.to(memory_format=torch.channels_last)


def new_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """An untrained two-layer CLIP text encoder for a tokenizer and its window."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_WIDTH,
            intermediate_size=4 * TEXT_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=tokenizer.model_max_length,
            projection_dim=TEXT_WIDTH,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def trained(kind: Any, folder: Path, device: torch.device | str = "cpu") -> Any:
    """A network that was trained before, frozen: what a recipe builds on."""
    return load_network(kind, folder, device=torch.device(device), dtype=torch.float32)


@dataclass(frozen=True)
class NoisyBatch:
    """A denoiser's training example: noised latents, the noise, timesteps, and captions with drop-out.

    Chance is drawn on the CPU, so that it is the same everywhere; tensors are where the latents are.
    """

    latents_t: Tensor
    eps: Tensor
    timestep: Tensor
    captions: list[str]


def noisy_batch(schedule: Schedule, latents: Tensor, captions: list[str], rng: torch.Generator) -> NoisyBatch:
    """Noise latents [B, 4, h, w] at random levels and drop some captions."""
    count = len(latents)
    timestep = torch.randint(1000, (count,), generator=rng)
    low = torch.rand(count, generator=rng) < _LOW_NOISE_PART
    timestep = torch.where(low, timestep * _LOW_NOISE_LEVELS // 1000, timestep).to(latents.device)
    eps = torch.randn(latents.shape, generator=rng).to(latents.device)
    dropped = torch.rand(count, generator=rng) < _CAPTION_DROPOUT
    kept = ["" if drop else text for drop, text in zip(dropped, captions, strict=True)]
    return NoisyBatch(schedule.add_noise(latents, eps, timestep), eps, timestep, kept)


def importance(timestep: Tensor) -> Tensor:
    """Weights of errors by timestep [B], with which every noise level counts the same.

    Unweighted, the high ones, where a condition says most, are a hundredth of the gradient, and what shall
    follow a condition does not learn to.
    """
    return torch.exp(timestep / _ERROR_DECAY)


def encode_captions(tokenizer: CLIPTokenizer, encoder: CLIPTextModel, captions: list[str]) -> Tensor:
    """Last hidden states [B, L, D] over the tokenizer's window."""
    tokens = tokenizer(captions, padding="max_length", truncation=True, return_tensors="pt")
    states: Tensor = encoder(tokens.input_ids.to(encoder.device)).last_hidden_state
    return states
