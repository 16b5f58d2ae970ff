"""The noise schedule of the teacher, and the only place where step indices become timesteps.

Two numbers look alike and are not: a *step index* counts the steps of a DDIM run (0 is the noisiest of 50),
a *timestep* counts the noise levels the model was trained on (0 to 999, 999 is the noisiest). With Stable
Diffusion 1.x's schedule, index i of 50 stands for timestep 981 - 20 i.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from stylehead.errors import JobError


@dataclass(frozen=True)
class Schedule:
    """A variance-preserving noise schedule with DDIM steps in leading spacing.

    Args:
        num_train_timesteps: Number of noise levels T.
        beta_start: Variance added at the first level.
        beta_end: Variance added at the last level.
        beta_schedule: `scaled_linear` (linear in the square root, Stable Diffusion's) or `linear`.
        steps: Number N of DDIM steps.
        steps_offset: Added to every timestep of the leading spacing.
        set_alpha_to_one: Whether the level after the last DDIM step is noise free (else level 0).

    Raises:
        JobError: The numbers describe no usable schedule.
    """

    num_train_timesteps: int = 1000
    beta_start: float = 0.00085
    beta_end: float = 0.012
    beta_schedule: str = "scaled_linear"
    steps: int = 50
    steps_offset: int = 1
    set_alpha_to_one: bool = False
    alphas_cumprod: Tensor = field(init=False, repr=False, compare=False)
    """Share of the signal's variance at every timestep, [T] float32."""
    timesteps: Tensor = field(init=False, repr=False, compare=False)
    """Timestep of every step index, [N] int64, noisiest first."""

    def __post_init__(self) -> None:
        last = (self.steps - 1) * self._stride + self.steps_offset
        if not 1 <= self.steps <= self.num_train_timesteps or not 0 <= last < self.num_train_timesteps:
            raise JobError(f"{self.steps} DDIM steps do not fit in {self.num_train_timesteps} timesteps.")
        object.__setattr__(self, "alphas_cumprod", torch.cumprod(1.0 - self._betas(), dim=0))
        forward = torch.arange(self.steps, dtype=torch.int64) * self._stride + self.steps_offset
        object.__setattr__(self, "timesteps", forward.flip(0))

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, steps: int = 50) -> "Schedule":
        """Read the schedule of a diffusers scheduler config, whatever sampler it was saved for.

        The method is defined on DDIM steps in leading spacing with offset 1, so that is what comes out,
        however the model's own sampler spaces its steps.

        Raises:
            JobError: The model does not predict noise, or its noise levels are not a plain schedule's.
        """
        kind = config.get("prediction_type", "epsilon")
        if kind != "epsilon":
            raise JobError(f"This teacher predicts `{kind}`; only models that predict the noise can teach.")
        if config.get("trained_betas") is not None or config.get("rescale_betas_zero_snr"):
            raise JobError("This teacher's noise schedule was customised; only plain schedules can teach.")
        return cls(
            num_train_timesteps=config.get("num_train_timesteps", 1000),
            beta_start=config.get("beta_start", 0.00085),
            beta_end=config.get("beta_end", 0.012),
            beta_schedule=config.get("beta_schedule", "scaled_linear"),
            steps=steps,
            set_alpha_to_one=config.get("set_alpha_to_one", False),
        )

    def to(self, device: torch.device) -> "Schedule":
        """Return the same schedule with its tables on a device, where they are looked up in every step."""
        moved = dataclasses.replace(self)
        for name in ("alphas_cumprod", "timesteps"):
            object.__setattr__(moved, name, getattr(self, name).to(device))
        return moved

    def with_steps(self, steps: int) -> "Schedule":
        """Return the same noise levels with another number of DDIM steps."""
        return dataclasses.replace(self, steps=steps)

    @property
    def _stride(self) -> int:
        return self.num_train_timesteps // max(self.steps, 1)

    def _betas(self) -> Tensor:
        """Return the variance added at each level, [T] float32."""
        count = self.num_train_timesteps
        if self.beta_schedule == "linear":
            return torch.linspace(self.beta_start, self.beta_end, count, dtype=torch.float32)
        if self.beta_schedule == "scaled_linear":
            low, high = math.sqrt(self.beta_start), math.sqrt(self.beta_end)
            return torch.linspace(low, high, count, dtype=torch.float32) ** 2
        raise JobError(f"The noise schedule `{self.beta_schedule}` is not known.")

    def timestep(self, step_index: Tensor) -> Tensor:
        """Convert step indices (any shape, 0..N-1) to timesteps of the same shape, on the same device."""
        return self.timesteps.to(step_index.device)[step_index]

    def step_index(self, timestep: Tensor) -> Tensor:
        """Convert timesteps of DDIM steps back to step indices: the inverse of `timestep`."""
        return self.steps - 1 - (timestep - self.steps_offset) // self._stride

    def alpha_bar(self, timestep: Tensor) -> Tensor:
        """Return the cumulative alpha at timesteps [B], shaped [B, 1, 1, 1] to multiply images or latents."""
        return self.alphas_cumprod.to(timestep.device)[timestep].reshape(-1, 1, 1, 1)

    def misread_alpha_bar(self, step_index: Tensor) -> Tensor:
        """Return the cumulative alpha at the *step index* [B] taken for a timestep, shaped [B, 1, 1, 1].

        That is what the released script multiplies its scores with: 0.967 to 0.953 for indices 35 to 49,
        instead of 0.622 to 0.998. Only the `release` profile wants it.
        """
        return self.alphas_cumprod.to(step_index.device)[step_index].reshape(-1, 1, 1, 1)

    def add_noise(self, latents: Tensor, eps: Tensor, timestep: Tensor) -> Tensor:
        """Noise latents: x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps.

        Args:
            latents: Clean latents x_0 [B, C, h, w].
            eps: Standard normal noise of the same shape.
            timestep: Timesteps [B].
        """
        alpha_bar = self.alpha_bar(timestep).to(latents.dtype)
        return alpha_bar.sqrt() * latents + (1 - alpha_bar).sqrt() * eps

    def tweedie(self, latents_t: Tensor, eps_hat: Tensor, timestep: Tensor) -> Tensor:
        """Estimate the clean latents in one step: x0_hat = (x_t - sqrt(1 - abar_t) eps_hat) / sqrt(abar_t).

        With the true noise as `eps_hat` this undoes `add_noise`.

        Args:
            latents_t: Noised latents [B, C, h, w].
            eps_hat: Predicted noise of the same shape.
            timestep: Timesteps [B].
        """
        alpha_bar = self.alpha_bar(timestep).to(latents_t.dtype)
        return (latents_t - (1 - alpha_bar).sqrt() * eps_hat) / alpha_bar.sqrt()

    def ddim_step(self, latents_t: Tensor, eps_hat: Tensor, step_index: int) -> Tensor:
        """Take one deterministic DDIM step (eta 0): Eq. 12 of arXiv 2010.02502 with sigma 0.

        Args:
            latents_t: Latents [B, C, h, w] at the noise level of `step_index`.
            eps_hat: Predicted noise of the same shape.
            step_index: Which DDIM step, 0 for the noisiest.

        Returns:
            Latents at the noise level of the following step, [B, C, h, w].
        """
        timestep = self.timesteps[step_index].to(latents_t.device)
        x0_hat = self.tweedie(latents_t, eps_hat, timestep.reshape(1))
        before = int(timestep) - self._stride
        if before >= 0:
            alpha_bar = self.alphas_cumprod[before]
        else:
            alpha_bar = torch.ones(()) if self.set_alpha_to_one else self.alphas_cumprod[0]
        alpha_bar = alpha_bar.to(latents_t)
        return alpha_bar.sqrt() * x0_hat + (1 - alpha_bar).sqrt() * eps_hat
