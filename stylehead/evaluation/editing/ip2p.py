"""InstructPix2Pix (Brooks et al., CVPR 2023), as diffusers runs it, on every view.

All views of a person start from the same noise, which is no guarantee that they fit together: that is what
the row is there to show.
"""

from pathlib import Path
from typing import Any, Self

import torch
from diffusers import (
    StableDiffusionInstructPix2PixPipeline,
    UNet2DConditionModel,
)
from torch import Tensor

from stylehead.evaluation.editing.editor import same_start, views_01
from stylehead.evaluation.editing.pipeline import build_pipeline
from stylehead.evaluation.portraits import Portraits
from stylehead.weights.pretrained import load_local

STEPS = 20
TEXT_SCALE, PICTURE_SCALE = 7.5, 1.5
"""Guidance of prompt and picture: the authors' numbers, who take 100 steps."""


class InstructPix2Pix:
    """Edits by instruction.

    Args:
        pipeline: Of diffusers, with a denoiser of eight channels.
        steps: Of its scheduler.
    """

    def __init__(self, pipeline: StableDiffusionInstructPix2PixPipeline, *, steps: int = STEPS) -> None:
        pipeline.set_progress_bar_config(disable=True)
        self._pipeline: Any = pipeline
        self._steps = steps
        self._latent_size = int(pipeline.unet.config.sample_size)
        self._size = self._latent_size * int(pipeline.vae_scale_factor)

    @classmethod
    def embedded(cls, teacher: Path, folder: Path, *, device: str = "cpu") -> Self:
        """The embedded one: its own denoiser, everything else the teacher's.

        Raises:
            StyleheadError: A network is missing or damaged.
        """
        pipeline = build_pipeline(
            StableDiffusionInstructPix2PixPipeline,
            teacher,
            device,
            unet=(UNet2DConditionModel, folder / "unet"),
        )
        return cls(pipeline)

    @classmethod
    def load(cls, folder: Path, *, device: str = "cpu") -> Self:
        """The published one, from a local folder in diffusers layout.

        Raises:
            JobError: The folder does not hold it.
        """
        pipeline = load_local(
            StableDiffusionInstructPix2PixPipeline.from_pretrained,
            folder,
            use_safetensors=True,
            safety_checker=None,
            requires_safety_checker=False,
        )
        return cls(pipeline.to(device, torch.float16 if device == "cuda" else torch.float32))

    @torch.no_grad()
    def edit(self, person: Portraits, prompt: str) -> Tensor:
        """Return the edited views [V,3,R,R] in 0..1 of a person."""
        views = len(person.yaws_deg)
        pipeline = self._pipeline
        latents = same_start(person, pipeline.vae.config.latent_channels, self._latent_size)
        rngs = [torch.Generator().manual_seed(person.seeds[0]) for _ in range(views)]
        edited: Tensor = pipeline(
            [prompt] * views,
            image=views_01(person, self._size).to(pipeline.device, pipeline.dtype),
            num_inference_steps=self._steps,
            guidance_scale=TEXT_SCALE,
            image_guidance_scale=PICTURE_SCALE,
            latents=latents.to(pipeline.device, pipeline.dtype),
            generator=rngs,
            output_type="pt",
        ).images
        return edited.float().cpu()
