"""The frozen text-to-image diffusion model that tells the generator where to go."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from stylehead.errors import MissingError
from stylehead.memory import TIERS, MemoryTier
from stylehead.processes import allow_compiling
from stylehead.teacher.autoencoder import Autoencoder
from stylehead.teacher.offload import Offloaded
from stylehead.teacher.parts import TeacherParts, TeacherPaths, load_parts
from stylehead.teacher.schedule import Schedule

WITHOUT = {"canny": "--no-canny", "depth": "--depth none"}
"""How to do without each kind of ControlNet."""


class PromptEmbedding(NamedTuple):
    """Text-encoder output for a prompt and the empty prompt, each [1, L, D] (or [B, L, D], a row each)."""

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


class NoisyLatents(NamedTuple):
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


class _Half(NamedTuple):
    """A question with the prompt, or without it: latents, timesteps and text, all [B, ...]."""

    latents_t: Tensor
    timestep: Tensor
    hidden: Tensor


class _Residuals(NamedTuple):
    """What a ControlNet adds to the UNet: one tensor a level, and one in the middle."""

    down: list[Tensor]
    mid: Tensor


class Teacher:
    """A frozen latent diffusion model with ControlNets: encodes, decodes, predicts noise, and samples.

    Args:
        parts: The networks, as `load_parts` returns them.
    """

    def __init__(self, parts: TeacherParts) -> None:
        self.parts = parts
        self.autoencoder = Autoencoder(parts.vae)
        self.device: torch.device = parts.vae.device
        self.schedule: Schedule = parts.schedule.to(self.device)
        """Where everything is computed."""
        self.memory = TIERS["24"]
        """What is traded for memory; see `save_memory`."""
        self._embeddings: dict[str, Tensor] = {}
        self._offloaded: dict[Any, Offloaded] = {}
        for network in (parts.unet, *parts.controlnets.values()):
            if network.dtype != torch.float32:  # as half-precision convolutions of a GPU want it
                network.to(memory_format=torch.channels_last)

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
        return self.latent_size * self.autoencoder.downscale

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of conditions that this teacher has a ControlNet for."""
        return tuple(self.parts.controlnets)

    def save_memory(self, tier: MemoryTier) -> None:
        """Trade time for memory from now on; encodings, predictions and gradients stay the same."""
        self.memory = tier
        self.autoencoder.save_memory(recompute=tier.recompute_encoder, one_at_a_time=tier.slice_pictures)
        sliced = tier.slice_attention and not has_fused_attention(self.device)
        for network in (self.parts.unet, *self.parts.controlnets.values()):
            network.set_attention_slice("max" if sliced else None)
        waiting = (self.parts.unet, self.parts.text_encoder, *self.parts.controlnets.values())
        if self._offloads:
            self._offloaded = {network: Offloaded(network, self.device) for network in waiting}
            return
        self._offloaded = {}
        for network in waiting:
            network.to(self.device)

    def compile(self) -> None:
        """Compile the networks that stay on the device: minutes before the first answers, then faster ones.

        Values and gradients stay the same, up to rounding.
        """
        allow_compiling()
        self.autoencoder.compile()
        for network in (self.parts.unet, *self.parts.controlnets.values()):
            if network not in self._offloaded:
                network.compile()

    @property
    def _offloads(self) -> bool:
        """Whether networks wait in main memory, where this is not where they compute."""
        return self.memory.offload and self.device.type not in ("cpu", "meta")

    def _at_hand(self, network: Any) -> contextlib.AbstractContextManager[Any]:
        """Bring a network to the device for a moment, if it does not stay there."""
        offloaded = self._offloaded.get(network)
        return contextlib.nullcontext(network) if offloaded is None else offloaded.at_hand()

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
            if self.device.type == "meta":  # no tokenizer on paper
                shape = (1, length, encoder.config.hidden_size)
                return torch.empty(shape, dtype=encoder.dtype, device=self.device)
            tokens = tokenizer(
                prompt, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
            )
            with self._at_hand(encoder):
                hidden = encoder(tokens.input_ids.to(self.device)).last_hidden_state
            self._embeddings[prompt] = hidden
        return self._embeddings[prompt]

    # ---------------------------------------------------------------------------------------------- images

    def encode(self, image_pm1: Tensor, *, rng: torch.Generator | None = None) -> Tensor:
        """Encode images to scaled latents, differentiably.

        Args:
            image_pm1: Images [B, 3, H, W], nominally in -1..1 (not clamped).
            rng: Draws a sample of the posterior; its mean is returned when not given, and always by a
                tiny autoencoder.

        Returns:
            Latents [B, C, H/f, W/f], multiplied by the VAE's scaling factor, float32.
        """
        return self.autoencoder.encode(image_pm1, rng=rng)

    def decode(self, latents: Tensor) -> Tensor:
        """Decode scaled latents [B, C, h, w] to images [B, 3, H, W] (nominally -1..1), differentiably."""
        return self.autoencoder.decode(latents)

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
        return self.predict_all([NoisyLatents(latents_t, timestep, condition)], text)[0]

    @torch.no_grad()
    def predict_all(self, noisy: Sequence[NoisyLatents], text: PromptEmbedding) -> list[EpsPair]:
        """Predict the noise of several batches, each with its own ControlNet, in one pass of the UNet.

        To save memory (see `save_memory`) they may be predicted one by one instead.

        Returns:
            One pair of predictions for each, equal to what `predict` gives for each alone.
        """
        halves = [half for one in noisy for half in _halves(one, text)]
        residuals = [r for one in noisy for r in self._residuals(one, text)]
        together = 1 if self.memory.split_questions else len(halves)
        eps: list[Tensor] = []
        with self._at_hand(self.parts.unet) as unet:
            for first in range(0, len(halves), together):
                group = slice(first, first + together)
                eps += _denoise(unet, halves[group], residuals[group])
        return [EpsPair(cond, uncond) for cond, uncond in zip(eps[::2], eps[1::2], strict=True)]

    def _residuals(self, noisy: NoisyLatents, text: PromptEmbedding) -> list["_Residuals | None"]:
        """Run the ControlNet of a batch: its residuals with the prompt, and without it."""
        condition = noisy.condition
        if condition is None:
            return [None, None]
        controlnet = self.parts.controlnets.get(condition.kind)
        if controlnet is None:
            hint = WITHOUT.get(condition.kind)
            raise MissingError(f"This teacher has no `{condition.kind}` ControlNet.", hint)
        picture = condition.image_01.to(self.device, controlnet.dtype)
        halves = _halves(noisy, text)
        groups = [[half] for half in halves] if self.memory.split_questions else [halves]
        found: list[_Residuals | None] = []
        with self._at_hand(controlnet):
            for group in groups:
                found += _control(controlnet, group, picture, condition.scale)
        return found

    # ---------------------------------------------------------------------------------------------- sampling

    @torch.no_grad()
    def sample(
        self,
        prompt: str | Sequence[str],
        *,
        condition: ControlCondition | None = None,
        count: int = 1,
        steps: int = 50,
        cfg_scale: float = 7.5,
        rng: torch.Generator,
    ) -> Tensor:
        """Paint pictures from a prompt with deterministic DDIM and classifier-free guidance.

        Args:
            prompt: The text, or one for each picture.
            condition: What a ControlNet looks at, if any.
            count: Number of pictures B (a condition may hold one picture for all, or B).
            steps: Number of DDIM steps.
            cfg_scale: Guidance scale.
            rng: Draws the starting noise.

        Returns:
            Images [B, 3, H, W] in -1..1 (clamped).
        """
        schedule = self.schedule.with_steps(steps)
        prompts = [prompt] if isinstance(prompt, str) else prompt
        cond, uncond = torch.cat([self._embed(each) for each in prompts]), self._embed("")
        text = PromptEmbedding(cond, uncond)
        shape = (count, self.latent_channels, self.latent_size, self.latent_size)
        latents = torch.randn(shape, generator=rng, device=rng.device).to(self.device)
        for step_index in range(steps):
            timestep = schedule.timesteps[step_index].to(self.device).expand(count)
            eps = self.predict(latents, timestep, text, condition=condition)
            latents = schedule.ddim_step(latents, eps.guided(cfg_scale), step_index)
        return self.decode(latents).clamp(-1, 1)


def has_fused_attention(device: torch.device) -> bool:
    """Whether attention on a device is one kernel that never holds its scores; slicing then gains nothing."""
    if device.type == "cuda":
        return torch.backends.cuda.flash_sdp_enabled() or torch.backends.cuda.mem_efficient_sdp_enabled()
    return device.type in ("cpu", "meta")


def _halves(question: NoisyLatents, text: PromptEmbedding) -> list[_Half]:
    """Split a question into its half with the prompt and the one without."""
    latents_t, timestep, _ = question
    return [_Half(latents_t, timestep, hidden.expand(len(latents_t), -1, -1)) for hidden in text]


def _join(halves: Sequence[_Half]) -> _Half:
    """Put halves together to one batch."""
    return _Half(*(torch.cat(parts) for parts in zip(*halves, strict=True)))


def _control(
    controlnet: Any, halves: Sequence[_Half], picture_01: Tensor, scale: float
) -> list[_Residuals | None]:
    """Run a ControlNet over halves of one question in one batch; one answer each."""
    batch = _join(halves)
    counts = [len(half.latents_t) for half in halves]
    down, mid = controlnet(
        batch.latents_t.to(controlnet.dtype),
        batch.timestep,
        encoder_hidden_states=batch.hidden,
        controlnet_cond=_for_all(picture_01, counts),
        conditioning_scale=scale,
        return_dict=False,
    )
    levels = zip(*(level.split(counts) for level in down), strict=True)
    return [_Residuals(list(down), mid) for down, mid in zip(levels, mid.split(counts), strict=True)]


def _for_all(picture_01: Tensor, counts: Sequence[int]) -> Tensor:
    """Return what latents of several batches are conditioned on: [B, 3, H, W], or [1, 3, H, W] for all.

    One picture is embedded once and added to every latent; a CPU sums it up differently then.
    """
    if len(picture_01) == 1 and picture_01.device.type != "cpu":
        return picture_01
    return torch.cat([picture_01.expand(count, -1, -1, -1) for count in counts])


def _denoise(unet: Any, halves: Sequence[_Half], residuals: Sequence[_Residuals | None]) -> list[Tensor]:
    """Run the UNet over halves in one batch; those without residuals get zeros beside those with some."""
    batch = _join(halves)
    like = next((found for found in residuals if found is not None), None)
    down, mid = None, None
    if like is not None:
        pairs = zip(halves, residuals, strict=True)
        filled = [_zeros_like(like, len(half.latents_t)) if r is None else r for half, r in pairs]
        down = [torch.cat(level) for level in zip(*(r.down for r in filled), strict=True)]
        mid = torch.cat([r.mid for r in filled])
    eps: Tensor = unet(
        batch.latents_t.to(unet.dtype),
        batch.timestep,
        encoder_hidden_states=batch.hidden,
        down_block_additional_residuals=down,
        mid_block_additional_residual=mid,
        return_dict=False,
    )[0].float()
    return list(eps.split([len(half.latents_t) for half in halves]))


def _zeros_like(residuals: _Residuals, count: int) -> _Residuals:
    """Return zero residuals of the same shapes for a batch of `count`."""
    return _Residuals(
        [level.new_zeros(count, *level.shape[1:]) for level in residuals.down],
        residuals.mid.new_zeros(count, *residuals.mid.shape[1:]),
    )
