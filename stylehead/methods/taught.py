"""What the rivals that ask a diffusion model about whole renders have in common: SDS and its balance."""

from typing import NamedTuple

import torch
from torch import Tensor

from stylehead.config import StylizeConfig
from stylehead.errors import UsageError
from stylehead.images import resize
from stylehead.methods.contract import Method, Terms
from stylehead.methods.inject import surrogate
from stylehead.methods.views import Groups, Scene
from stylehead.teacher import Question, Teacher

PUBLISHED_LATENTS = 4 * 64 * 64
"""Numbers in a latent of Stable Diffusion, where the published weights of the losses come from."""


class Answer(NamedTuple):
    """Renders in the teacher's terms, N of them.

    `images` [N, 3, S, S] are clamped to -1..1 and differentiable, as are `latents` [N, C, h, w]; `guided` is
    what the teacher takes for their noise, and `eps` the noise itself, both of root mean square 1 if the
    settings say so; `alpha_bar` [N, 1, 1, 1] is the noise level. `frozen_images` and `frozen_guided` are the
    same of the untouched generator's renders under the same noise, or None.
    """

    images: Tensor
    latents: Tensor
    guided: Tensor
    eps: Tensor
    alpha_bar: Tensor
    frozen_images: Tensor | None
    frozen_guided: Tensor | None


class Taught(Method):
    """Distils single views without conditions, masks and mirrors.

    Args:
        config: The settings.
        teacher: The diffusion model.

    Raises:
        UsageError: The settings do not fit the teacher.
    """

    def __init__(self, config: StylizeConfig, teacher: Teacher) -> None:
        super().__init__(config)
        if config.ddim_steps != teacher.schedule.steps:
            raise UsageError(
                f"`--ddim-steps` (={config.ddim_steps}) must be the teacher's {teacher.schedule.steps}."
            )
        self.teacher = teacher
        self.text = teacher.encode_prompt(config.prompt)

    def groups(self) -> Groups:
        """Return the single views."""
        return {"single": True}

    def ask(self, scene: Scene, *, rng: torch.Generator) -> Answer:
        """Show the teacher this iteration's renders, and those of the reference if there are any.

        Both get the same noise at the same level, in one call.
        """
        pictures = [self._picture(scene.views["single"].final())]
        frozen = scene.reference_views.get("single")
        latents = self._encode(pictures[0], rng)
        encoded = [latents.detach()]
        if frozen is not None and frozen.image is not None:
            with torch.no_grad():
                pictures.append(self._picture(frozen.final()))
                encoded.append(self._encode(pictures[1], rng))
        schedule, eps = self.teacher.schedule, scene.draw.eps["single"]
        timestep = schedule.timestep(scene.draw.step_index["single"])
        questions = [Question(schedule.add_noise(clean, eps, timestep), timestep) for clean in encoded]
        pairs = self.teacher.predict_all(questions, self.text)
        guided = [self._level(pair.guided(self.config.cfg_scale)) for pair in pairs]
        return Answer(
            images=pictures[0],
            latents=latents,
            guided=guided[0],
            eps=self._level(eps),
            alpha_bar=schedule.alpha_bar(timestep),
            frozen_images=pictures[1] if len(pictures) > 1 else None,
            frozen_guided=guided[1] if len(guided) > 1 else None,
        )

    def score(self, answer: Answer, gradients: list[Tensor]) -> Terms:
        """Put gradients on the latents, each scaled and clamped for itself; none if one is not finite."""
        config, limit = self.config, self.config.gradient_clamp
        if not all(gradient.isfinite().all() for gradient in gradients):
            return Terms(non_finite=["single"])
        parts = [(gradient * config.gradient_scale).clamp(-limit, limit) for gradient in gradients]
        total = torch.stack(parts).sum(dim=0)
        return Terms(
            scores={"single": surrogate(answer.latents, total)},
            gradient_rms={"single": total.square().mean().sqrt().item()},
        )

    def balance(self, latents: Tensor) -> float:
        """Return the factor on losses that are means, to keep their published balance with the score.

        The score's gradient is a sum over latents, of which a smaller teacher has fewer (ours).
        """
        return latents[0].numel() / PUBLISHED_LATENTS

    def _picture(self, images: Tensor) -> Tensor:
        return resize(images, self.teacher.image_size).clamp(-1, 1)

    def _encode(self, images: Tensor, rng: torch.Generator) -> Tensor:
        return self.teacher.encode(images, generator=rng if self.config.posterior == "sample" else None)

    def _level(self, eps: Tensor) -> Tensor:
        return unit_rms(eps) if self.config.rms_rescale else eps


def unit_rms(eps: Tensor) -> Tensor:
    """Scale every sample [B, C, h, w] to root mean square 1; zeros stay zeros."""
    return eps / eps.square().mean(dim=(1, 2, 3), keepdim=True).sqrt().clamp_min(1e-8)


def distilled(answer: Answer) -> Tensor:
    """Return (1 - abar_t) (eps_guided - eps): score distillation sampling of the renders [N, C, h, w]."""
    return (1 - answer.alpha_bar) * (answer.guided - answer.eps)
