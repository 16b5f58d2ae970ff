"""The frozen text-to-image diffusion model that tells the generator where to go."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from stylehead.errors import MissingError
from stylehead.guidance.parts import TeacherParts, TeacherPaths, load_parts
from stylehead.guidance.schedule import Schedule


class PromptEmbedding(NamedTuple):
    """Text-encoder output for a prompt and for the empty prompt, each [1, L, D]."""

    cond: Tensor
    uncond: Tensor


class ControlCondition(NamedTuple):
    """What a ControlNet looks at.

    `kind` is `canny` or `depth`; `image_01` the condition [B, 3, H, W] in 0..1 (or [1, 3, H, W] for all);
    `scale` the strength of its residuals.
    """

    kind: str
    image_01: Tensor
    scale: float = 1.0


class Question(NamedTuple):
    """Noised latents [B, C, h, w] at timesteps [B], to be denoised under an optional condition."""

    latents_t: Tensor
    timestep: Tensor
    condition: ControlCondition | None = None


class EpsPair(NamedTuple):
    """Noise predicted with the prompt and with the empty prompt, each [B, C, h, w] float32."""

    eps_cond: Tensor
    eps_uncond: Tensor

    def guided(self, cfg_scale: float) -> Tensor:
        """Return eps_uncond + cfg_scale (eps_cond - eps_uncond)."""
        return self.eps_uncond + cfg_scale * (self.eps_cond - self.eps_uncond)


class _Residuals(NamedTuple):
    down: list[Tensor]
    mid: Tensor


class Teacher:
    """A frozen latent diffusion model with ControlNets: encodes, decodes, predicts noise, and samples.

    Args:
        parts: The networks, as `load_parts` returns them.
    """

    def __init__(self, parts: TeacherParts) -> None:
        self.parts = parts
        self.schedule: Schedule = parts.schedule
        self._embeddings: dict[str, Tensor] = {}

    @classmethod
    def load(
        cls,
        source: str | Path | TeacherPaths,
        *,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        vae_dtype: torch.dtype = torch.float32,
        steps: int = 50,
    ) -> "Teacher":
        """Load a teacher from local folders in diffusers layout (safetensors only, never the network).

        Args:
            source: One folder with everything, or `TeacherPaths`.
            device: Where the networks go.
            dtype: Of UNet, ControlNets and text encoder (`torch.float16` halves their memory on a GPU).
            vae_dtype: Of the VAE, through which gradients flow.
            steps: Number of DDIM steps that step indices count.

        Raises:
            MissingError: A folder or file is not there.
            JobError: A file is not what its place says.
        """
        paths = source if isinstance(source, TeacherPaths) else TeacherPaths(Path(source))
        return cls(
            load_parts(paths, device=torch.device(device), dtype=dtype, vae_dtype=vae_dtype, steps=steps)
        )

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        device: torch.device = self.parts.unet.device
        return device

    @property
    def latent_size(self) -> int:
        """Height and width of a latent."""
        return int(self.parts.unet.config.sample_size)

    @property
    def latent_channels(self) -> int:
        """Channels of a latent."""
        return int(self.parts.unet.config.in_channels)

    @property
    def image_size(self) -> int:
        """Height and width of the images that this teacher was trained on."""
        return self.latent_size * 2 ** (len(self.parts.vae.config.block_out_channels) - 1)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of conditions that this teacher has a ControlNet for."""
        return tuple(self.parts.controlnets)

    def save_memory(self, on: bool) -> None:
        """Recompute the VAE's layers in the backward pass: the same gradients, slower, less memory."""
        vae = self.parts.vae
        (vae.enable_gradient_checkpointing if on else vae.disable_gradient_checkpointing)()

    # ---------------------------------------------------------------------------------------------- text

    def encode_prompt(self, prompt: str) -> PromptEmbedding:
        """Embed a prompt and the empty prompt, each computed once and remembered.

        A prompt longer than the text encoder's window loses its end, as in every Stable Diffusion pipeline.
        """
        return PromptEmbedding(self._embed(prompt), self._embed(""))

    @torch.no_grad()
    def _embed(self, prompt: str) -> Tensor:
        if prompt not in self._embeddings:
            tokenizer, encoder = self.parts.tokenizer, self.parts.text_encoder
            length = encoder.config.max_position_embeddings
            tokens = tokenizer(
                prompt, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
            )
            self._embeddings[prompt] = encoder(tokens.input_ids.to(self.device)).last_hidden_state
        return self._embeddings[prompt]

    # ---------------------------------------------------------------------------------------------- images

    def encode(self, image_pm1: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Encode images to scaled latents, differentiably.

        Args:
            image_pm1: Images [B, 3, H, W], nominally in -1..1 (not clamped).
            generator: Draws a sample of the posterior; its mean is returned when not given.

        Returns:
            Latents [B, C, H/f, W/f], multiplied by the VAE's scaling factor, float32.
        """
        vae = self.parts.vae
        posterior = vae.encode(image_pm1.to(vae.dtype)).latent_dist
        latents = posterior.mean
        if generator is not None:
            eps = torch.randn(latents.shape, generator=generator, device=generator.device)
            latents = latents + posterior.std * eps.to(latents)
        return latents.float() * vae.config.scaling_factor

    def decode(self, latents: Tensor) -> Tensor:
        """Decode scaled latents [B, C, h, w] to images [B, 3, H, W] (nominally -1..1), differentiably."""
        vae = self.parts.vae
        image: Tensor = vae.decode((latents / vae.config.scaling_factor).to(vae.dtype)).sample
        return image.float()

    # ---------------------------------------------------------------------------------------------- denoising

    def predict(
        self,
        latents_t: Tensor,
        timestep: Tensor,
        text: PromptEmbedding,
        *,
        condition: ControlCondition | None = None,
    ) -> EpsPair:
        """Predict the noise in latents with the prompt and without it, in one pass of the UNet.

        Args:
            latents_t: Noised latents [B, C, h, w].
            timestep: Timesteps [B] (not step indices).
            text: From `encode_prompt`; the same text serves the whole batch.
            condition: What the ControlNet of that kind looks at, if any. Both predictions are conditioned.

        Raises:
            MissingError: There is no ControlNet of the condition's kind.
        """
        return self.predict_all([Question(latents_t, timestep, condition)], text)[0]

    @torch.no_grad()
    def predict_all(self, questions: Sequence[Question], text: PromptEmbedding) -> list[EpsPair]:
        """Answer several questions, each with its own ControlNet, in one pass of the UNet.

        Returns:
            One pair of predictions per question, equal to what `predict` gives for each alone.
        """
        sample = torch.cat([q.latents_t.repeat(2, 1, 1, 1) for q in questions]).to(self.parts.unet.dtype)
        timestep = torch.cat([q.timestep.repeat(2) for q in questions])
        hidden = torch.cat([_both(text, len(q.latents_t)) for q in questions])
        residuals = self._residuals(questions, text)
        eps: Tensor = self.parts.unet(
            sample,
            timestep,
            encoder_hidden_states=hidden,
            down_block_additional_residuals=None if residuals is None else residuals.down,
            mid_block_additional_residual=None if residuals is None else residuals.mid,
            return_dict=False,
        )[0].float()
        halves = eps.split([n for q in questions for n in (len(q.latents_t),) * 2])
        return [EpsPair(cond, uncond) for cond, uncond in zip(halves[::2], halves[1::2], strict=True)]

    def _residuals(self, questions: Sequence[Question], text: PromptEmbedding) -> _Residuals | None:
        """Run the ControlNets; questions without a condition get zeros beside those that have one."""
        answers = [self._control(q, text) for q in questions]
        like = next((answer for answer in answers if answer is not None), None)
        if like is None:
            return None
        filled = [
            _zeros_like(like, 2 * len(question.latents_t)) if answer is None else answer
            for answer, question in zip(answers, questions, strict=True)
        ]
        down = [torch.cat(level) for level in zip(*(f.down for f in filled), strict=True)]
        return _Residuals(down, torch.cat([f.mid for f in filled]))

    def _control(self, question: Question, text: PromptEmbedding) -> _Residuals | None:
        latents_t, timestep, condition = question
        if condition is None:
            return None
        controlnet = self.parts.controlnets.get(condition.kind)
        if controlnet is None:
            hint = f"--no-{condition.kind}"
            raise MissingError(f"This teacher has no `{condition.kind}` ControlNet.", hint)
        count = len(latents_t)
        picture = condition.image_01.expand(count, -1, -1, -1).repeat(2, 1, 1, 1)
        down, mid = controlnet(
            latents_t.repeat(2, 1, 1, 1).to(controlnet.dtype),
            timestep.repeat(2),
            encoder_hidden_states=_both(text, count),
            controlnet_cond=picture.to(self.device, controlnet.dtype),
            conditioning_scale=condition.scale,
            return_dict=False,
        )
        return _Residuals(list(down), mid)

    # ---------------------------------------------------------------------------------------------- sampling

    @torch.no_grad()
    def sample(
        self,
        prompt: str,
        *,
        condition: ControlCondition | None = None,
        count: int = 1,
        steps: int = 50,
        cfg_scale: float = 7.5,
        generator: torch.Generator,
    ) -> Tensor:
        """Paint pictures from a prompt with deterministic DDIM and classifier-free guidance.

        Args:
            prompt: The text.
            condition: What a ControlNet looks at, if any.
            count: Number of pictures B (a condition may hold one picture for all, or B).
            steps: Number of DDIM steps.
            cfg_scale: Guidance scale.
            generator: Draws the starting noise.

        Returns:
            Images [B, 3, H, W] in -1..1 (clamped).
        """
        schedule = self.schedule.with_steps(steps)
        text = self.encode_prompt(prompt)
        shape = (count, self.latent_channels, self.latent_size, self.latent_size)
        latents = torch.randn(shape, generator=generator, device=generator.device).to(self.device)
        for step_index in range(steps):
            timestep = schedule.timesteps[step_index].to(self.device).expand(count)
            eps = self.predict(latents, timestep, text, condition=condition)
            latents = schedule.ddim_step(latents, eps.guided(cfg_scale), step_index)
        return self.decode(latents).clamp(-1, 1)


def _both(text: PromptEmbedding, count: int) -> Tensor:
    """Stack the conditional embedding `count` times over the unconditional one, [2 count, L, D]."""
    return torch.cat([text.cond.expand(count, -1, -1), text.uncond.expand(count, -1, -1)])


def _zeros_like(residuals: _Residuals, count: int) -> _Residuals:
    """Return zero residuals of the same shapes for a batch of `count`."""
    return _Residuals(
        [level.new_zeros(count, *level.shape[1:]) for level in residuals.down],
        residuals.mid.new_zeros(count, *residuals.mid.shape[1:]),
    )
