"""SDS of whole renders and its balance, which StyleGAN-Fusion and DiffusionGAN3D have in common."""

from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from stylehead.images import resize
from stylehead.methods.ask import Distillation
from stylehead.methods.config import TeacherSettings
from stylehead.methods.contract import Terms
from stylehead.methods.scene import Scene
from stylehead.settings import Guidance, Natural, Positive, Rate, Share

PUBLISHED_LATENTS = 4 * 64 * 64
"""Numbers in a latent of Stable Diffusion, where the published weights of the losses come from."""


class RenderPrediction(NamedTuple):
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


@dataclass(frozen=True, kw_only=True)
class FusionSettings(TeacherSettings):
    """What StyleGAN-Fusion does with EG3D: t from 10 to 500, gradients held within 1 and divided by 100."""

    learning_rate: Rate = 8e-4
    learning_rate_end: Share = 1.0
    cfg_scale: Guidance = 100.0
    step_range: tuple[int, int] = (25, 48)
    step_window: Natural = 0
    gradient_scale: Positive = 0.01
    gradient_clamp: Positive = 0.01
    rms_rescale: bool = True
    """Scale predicted and drawn noise to the same size before rivals subtract them."""


F = TypeVar("F", bound=FusionSettings)


class RenderDistillation(Distillation[F]):
    """Distils single views without conditions, masks and mirrors."""

    def predict_renders(self, scene: Scene, *, rng: torch.Generator) -> RenderPrediction:
        """Show the teacher this iteration's renders, and those of the reference if there are any.

        Both get the same noise at the same level, in one call.
        """
        pictures = [self._picture(scene.views["single"].final())]
        frozen = scene.reference_views.get("single")
        (latents,) = self.encode(pictures, rng)
        encoded = [latents.detach()]
        if frozen is not None and frozen.image is not None:
            with torch.no_grad():
                pictures.append(self._picture(frozen.final()))
                encoded += self.encode(pictures[1:], rng)
        eps, step_index = scene.draw.eps["single"], scene.draw.step_index["single"]
        noisy = [self.noise(clean, eps, step_index) for clean in encoded]
        pairs = self.predict(noisy)
        guided = [self._level(pair.guided(self.config.cfg_scale)) for pair in pairs]
        return RenderPrediction(
            images=pictures[0],
            latents=latents,
            guided=guided[0],
            eps=self._level(eps),
            alpha_bar=self.teacher.schedule.alpha_bar(noisy[0].timestep),
            frozen_images=pictures[1] if len(pictures) > 1 else None,
            frozen_guided=guided[1] if len(guided) > 1 else None,
        )

    def score(self, predicted: RenderPrediction, gradients: list[Tensor]) -> Terms:
        """Put gradients on the latents, each scaled and clamped for itself; none if one is not finite."""
        terms, finite = Terms(), self.finite(gradients)
        parts = [self.scaled(torch.where(finite, gradient, 0.0)) for gradient in gradients]
        total = torch.stack(parts).sum(dim=0)
        self.inject(terms, "single", total, [(1.0, predicted.latents, total)], finite=finite)
        return terms

    def balance(self, latents: Tensor) -> float:
        """Return the factor on losses that are means, to keep their published balance with the score.

        The score's gradient is a sum over latents, of which a smaller teacher has fewer (ours).
        """
        return latents[0].numel() / PUBLISHED_LATENTS

    def _picture(self, images: Tensor) -> Tensor:
        return resize(images, self.teacher.image_size).clamp(-1, 1)

    def _level(self, eps: Tensor) -> Tensor:
        return unit_rms(eps) if self.config.rms_rescale else eps


def unit_rms(eps: Tensor) -> Tensor:
    """Scale every sample [B, C, h, w] to root mean square 1; zeros stay zeros."""
    return eps / eps.square().mean(dim=(1, 2, 3), keepdim=True).sqrt().clamp_min(1e-8)


def distilled(predicted: RenderPrediction) -> Tensor:
    """Return (1 - abar_t) (eps_guided - eps): score distillation sampling of the renders [N, C, h, w]."""
    return (1 - predicted.alpha_bar) * (predicted.guided - predicted.eps)
