"""InstructPix2Pix (Brooks et al., CVPR 2023): a denoiser that also sees the picture which it shall change.

Sampling is deterministic DDIM, and starts from the *noised picture*: at the last noise level a schedule may
leave a few per cent of the signal, out of which the denoiser reads the mean colour. Pure noise there means
grey, and makes small models draw dark heads (Lin et al., arXiv 2305.08891); with a schedule that ends in pure
noise the two are the same. For the same reason the noise has no mean of its own: over a few latents, chance
gives it a tint that the denoiser takes for the picture's.
"""

from pathlib import Path
from typing import Any, Self

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from stylehead.teacher.editing.editor import (
    PUBLISHED,
    Guidance,
    level_background,
    resized,
    same_noise,
    without_tint,
)
from stylehead.weights.pretrained import load_local, load_network

STEPS = 20
"""Of DDIM, for banks of pictures; the authors take 100 of another sampler."""
PUBLISHED_STEPS = 100
"""Where the published system is what is measured."""
_VIEWS_AT_ONCE = 4


class InstructPix2Pix:
    """Edits by instruction.

    Args:
        vae: An `AutoencoderKL`.
        unet: A denoiser of twice as many channels as the latents have: noised latent, and the picture's.
        text_encoder: A `CLIPTextModel`.
        tokenizer: Its tokenizer.
        scheduler: Noise levels and what the denoiser predicts, as a `DDIMScheduler`.
        guidance: Scales of instruction and picture; the published ones where not given.
        steps: Number of DDIM steps.
        licence: Of the weights.
    """

    name = "InstructPix2Pix"

    def __init__(
        self,
        *,
        vae: Any,
        unet: Any,
        text_encoder: Any,
        tokenizer: Any,
        scheduler: Any,
        guidance: Guidance = PUBLISHED,
        steps: int = STEPS,
        licence: str = "",
    ) -> None:
        self.vae, self.unet, self.text_encoder = vae, unet, text_encoder
        self.tokenizer, self.scheduler = tokenizer, scheduler
        self.text_scale = PUBLISHED.text if guidance.text is None else guidance.text
        self.picture_scale = PUBLISHED.picture if guidance.picture is None else guidance.picture
        self.steps, self.licence = steps, licence

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        unet: Path | None = None,
        device: str = "cpu",
        guidance: Guidance = PUBLISHED,
        steps: int = STEPS,
        licence: str = "",
    ) -> Self:
        """Load local folders in diffusers layout; half precision on a GPU.

        Args:
            folder: Pipeline with `vae/ text_encoder/ tokenizer/ scheduler/` and, unless given, `unet/`.
            unet: Folder of the denoiser.
            device: Where the networks go.
            guidance: Scales of instruction and picture.
            steps: Number of DDIM steps.
            licence: Of the weights.

        Raises:
            MissingError: A network is not there.
            JobError: A network is damaged, or is none that edits pictures.
        """
        place: dict[str, Any] = {
            "device": torch.device(device),
            "dtype": torch.float16 if device.startswith("cuda") else torch.float32,
        }
        return cls(
            vae=load_network(AutoencoderKL, folder / "vae", **place),
            unet=load_network(UNet2DConditionModel, folder / "unet" if unet is None else unet, **place),
            text_encoder=load_network(CLIPTextModel, folder / "text_encoder", **place),
            tokenizer=load_local(CLIPTokenizer.from_pretrained, folder / "tokenizer"),
            scheduler=load_scheduler(folder / "scheduler"),
            guidance=guidance,
            steps=steps,
            licence=licence,
        )

    @property
    def image_size(self) -> int:
        """Height and width of the pictures that the denoiser was trained on."""
        return int(self.unet.config.sample_size) * 2 ** (len(self.vae.config.block_out_channels) - 1)

    @torch.no_grad()
    def edit(
        self,
        pictures_01: Tensor,
        instruction: str,
        *,
        seed: int,
        negative: str = "",
        current_01: Tensor | None = None,
        noise_share: float = 1.0,
    ) -> Tensor:
        """Edit views of one subject; see `Editor.edit`.

        Args:
            pictures_01: Views [V, 3, H, W] in 0..1, on a plain background: what the denoiser sees.
            instruction: What to do, in words.
            seed: Of the noise.
            negative: What to avoid, in words.
            current_01: Pictures to start from instead, of the same shape: what became of the views so far.
            noise_share: Noise level to start at, as a share of all levels; less keeps more of the start.
        """
        views = resized(pictures_01, self.image_size)
        starts = views if current_01 is None else resized(current_01, self.image_size)
        text = torch.cat([self._embed(words) for words in (instruction, negative)])
        parts = [
            self._sample(seen, start, text, seed=seed, noise_share=noise_share)
            for seen, start in zip(views.split(_VIEWS_AT_ONCE), starts.split(_VIEWS_AT_ONCE), strict=True)
        ]
        return level_background(torch.cat(parts), views.cpu().float())

    def _sample(
        self, views_01: Tensor, start_01: Tensor, text: Tensor, *, seed: int, noise_share: float
    ) -> Tensor:
        """Sample edits [V, 3, S, S] of a few views."""
        seen, start = self._encode(views_01), self._encode(start_01) * self.vae.config.scaling_factor
        self.scheduler.set_timesteps(self.steps, device=start.device)
        limit = noise_share * self.scheduler.config.num_train_timesteps
        timesteps = [t for t in self.scheduler.timesteps if int(t) <= limit] or [self.scheduler.timesteps[-1]]
        noise = without_tint(same_noise(*start.shape[:3], seed=seed)).to(start)
        latents = self.scheduler.add_noise(start, noise, timesteps[0].reshape(1))
        for timestep in timesteps:
            predicted = self._predict(latents, seen, text, timestep)
            latents = self.scheduler.step(predicted, timestep, latents).prev_sample
        image = self.vae.decode(latents / self.vae.config.scaling_factor).sample
        return (image.float().cpu() * 0.5 + 0.5).clamp(0, 1)

    def _encode(self, pictures_01: Tensor) -> Tensor:
        """Return the posterior's mean, unscaled: so the denoiser gets pictures."""
        pixels = (pictures_01 * 2 - 1).to(self.vae.device, self.vae.dtype)
        latents: Tensor = self.vae.encode(pixels).latent_dist.mode()
        return latents

    def _predict(self, latents: Tensor, seen: Tensor, text: Tensor, timestep: Tensor) -> Tensor:
        """Predict with instruction and picture, with the picture alone, and with neither (their Eq. 3)."""
        count = len(latents)
        words, nothing = (hidden.expand(count, -1, -1) for hidden in text.split(1))
        prediction = self.unet(
            torch.cat([latents.repeat(3, 1, 1, 1), torch.cat([seen, seen, torch.zeros_like(seen)])], dim=1),
            timestep,
            encoder_hidden_states=torch.cat([words, nothing, nothing]),
            return_dict=False,
        )[0]
        both, picture, neither = prediction.chunk(3)
        guided: Tensor = (
            neither + self.picture_scale * (picture - neither) + self.text_scale * (both - picture)
        )
        return guided

    def _embed(self, words: str) -> Tensor:
        """Return the text encoder's output [1, L, D]; what is longer than its window loses its end."""
        tokens = self.tokenizer(
            words,
            padding="max_length",
            max_length=self.text_encoder.config.max_position_embeddings,
            truncation=True,
            return_tensors="pt",
        )
        hidden: Tensor = self.text_encoder(tokens.input_ids.to(self.text_encoder.device)).last_hidden_state
        return hidden


def load_scheduler(folder: Path) -> DDIMScheduler:
    """Read a scheduler's configuration, whatever sampler it was saved for, as deterministic DDIM.

    Raises:
        MissingError: There is no such folder.
        JobError: It holds no scheduler.
    """
    config = dict(load_local(DDIMScheduler.load_config, folder))
    own: dict[str, Any] = {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1}
    known = {name: config.get(name, value) for name, value in own.items()}
    names = (
        "num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "prediction_type",
        "rescale_betas_zero_snr", "timestep_spacing",
    )  # fmt: skip
    return DDIMScheduler(**known, **{name: config[name] for name in names if name in config})
