"""Encode renders, noise them, predict the noise, and inject a gradient: what every distillation does."""

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

from stylehead.errors import UsageError
from stylehead.methods.config import TeacherSettings
from stylehead.methods.contract import Method, Needs, Networks, Terms
from stylehead.methods.draws import Sampling
from stylehead.teacher import ControlCondition, EpsPair, NoisyLatents, Teacher

T = TypeVar("T", bound=TeacherSettings)


class Distillation(Method[T]):
    """What every method does that learns from a diffusion model.

    Args:
        config: The settings.
        networks: The teacher, and whatever else the method needs.

    Raises:
        UsageError: The settings do not fit the teacher.
        MissingError: There is no teacher.
    """

    needs = Needs(teacher=True)

    def __init__(self, config: T, networks: Networks) -> None:
        super().__init__(config, networks)
        assert networks.teacher is not None, "it is among the needs"
        self.teacher: Teacher = networks.teacher
        if config.ddim_steps != self.teacher.schedule.steps:
            raise UsageError(
                f"`--ddim-steps` (={config.ddim_steps}) must be the teacher's {self.teacher.schedule.steps}."
            )
        self.text = self.teacher.encode_prompt(config.prompt)

    @property
    def sampling(self) -> Sampling:
        """The step indices that are drawn."""
        config = self.config
        return Sampling(config.step_range, config.step_range, config.step_window)

    def encode(self, pictures: Sequence[Tensor], rng: torch.Generator) -> list[Tensor]:
        """Encode pictures, each [N, 3, S, S] in -1..1, in one call: x_0 = E(picture), each [N, C, h, w]."""
        sampler = rng if self.config.posterior == "sample" else None
        latents = self.teacher.encode(torch.cat(list(pictures)), rng=sampler)
        return list(latents.split([len(picture) for picture in pictures]))

    def noise(
        self, latents: Tensor, eps: Tensor, step_index: Tensor, condition: ControlCondition | None = None
    ) -> NoisyLatents:
        """Return x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps at the timesteps of DDIM step indices [N].

        A ControlNet's condition goes with it.
        """
        schedule = self.teacher.schedule
        timestep = schedule.timestep(step_index)
        return NoisyLatents(schedule.add_noise(latents.detach(), eps, timestep), timestep, condition)

    def predict(self, noisy: Sequence[NoisyLatents]) -> list[EpsPair]:
        """Predict the noise with the prompt and without it, for all latents in one call."""
        return self.teacher.predict_all(noisy, self.text)

    def finite(self, gradients: Sequence[Tensor]) -> Tensor:
        """Return whether all elements of gradients are finite, as a tensor: a GPU is not waited for."""
        return torch.stack([gradient.isfinite().all() for gradient in gradients]).all()

    def scaled(self, gradient: Tensor) -> Tensor:
        """Scale a gradient on latents and clamp its elements."""
        limit = self.config.gradient_clamp
        return (gradient * self.config.gradient_scale).clamp(-limit, limit)

    def inject(
        self,
        terms: Terms,
        stage: str,
        gradient: Tensor,
        parts: Sequence[tuple[float, Tensor, Tensor]],
        *,
        finite: Tensor,
    ) -> None:
        """Put a stage's gradient on its latents.

        Args:
            terms: Where the stage's term goes.
            stage: Its name.
            gradient: What is noted of it in the records [N, C, h, w].
            parts: Weight, latents and gradient of each surrogate that is summed up.
            finite: Whether the score was; zeros are injected if not.
        """
        weight, latents, own = parts[0]
        total = weight * surrogate(latents, own)
        for weight, latents, own in parts[1:]:
            total = total + weight * surrogate(latents, own)
        terms.scores[stage], terms.finite[stage] = total, finite
        terms.gradient_rms[stage] = gradient.square().mean().sqrt()


def surrogate(latents: Tensor, gradient: Tensor) -> Tensor:
    """Return a scalar whose derivative with respect to `latents` is `gradient`, averaged over the batch.

    The value itself means nothing. No custom operator is involved: it is <gradient, latents> / B with the
    gradient held constant, so that back-propagating `surrogate(f(theta), g)` puts J_f(theta)^T g / B on
    theta.

    Args:
        latents: Differentiable latents [B, C, h, w].
        gradient: What their derivative is to be, same shape; detached here.
    """
    return (gradient.detach() * latents).sum() / latents.shape[0]
