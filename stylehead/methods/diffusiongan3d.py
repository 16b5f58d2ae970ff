"""DiffusionGAN3D (arXiv 2312.16837), re-implemented from its abstract: no code was ever published.

Known are score distillation of an EG3D generator, the relative distance loss that keeps identities apart,
and a diffusion-guided reconstruction loss for local edits. Not known are the rate, the length, the
timesteps, the guidance and the form of the soft mask: here those of StyleGAN-Fusion, which does the same
before it, and the form below. Left out, as they are made for one case and not for a style: the learnable
tri-plane of an avatar, and the refinement of its texture.
"""

import torch
from torch import Tensor
from torch.nn import functional

from stylehead.methods.contract import Terms
from stylehead.methods.losses import relative_distance_loss
from stylehead.methods.taught import Answer, Taught, distilled
from stylehead.methods.views import Groups, Scene


class DiffusionGAN3D(Taught):
    """Score distillation with relative distances kept; local edits can be held to where they belong."""

    betas = (0.0, 0.99**0.8)

    def reference_groups(self) -> Groups:
        """Return the single views, if reconstruction compares with them."""
        return {"single": True} if self.config.reconstruction_weight > 0 else {}

    def terms(
        self, scene: Scene, *, previous: tuple[Tensor, Tensor] | None = None, rng: torch.Generator
    ) -> Terms:
        """Distil, and keep what shall stay."""
        config, answer = self.config, self.ask(scene, rng=rng)
        terms = self.score(answer, [distilled(answer)])
        balance = self.balance(answer.latents)
        if config.relative_distance_weight > 0 and previous is not None:
            distance = relative_distance_loss(
                (scene.planes, previous[0]),
                (scene.reference_planes, previous[1]),
                axis=config.relative_distance_axis,
                floor=config.relative_distance_floor,
                limit=config.relative_distance_limit,
            )
            terms.losses["relative_distance"] = config.relative_distance_weight * balance * distance
        if config.reconstruction_weight > 0 and not terms.non_finite:
            kept = reconstruction_loss(answer)
            terms.losses["reconstruction"] = config.reconstruction_weight * balance * kept
        return terms


def reconstruction_loss(answer: Answer) -> Tensor:
    """Return the mean squared change of the render where the teacher asks for little change.

    Every pixel counts by 1 minus the size of the teacher's wish there: the mean absolute difference of noises
    over channels, divided by the largest in the picture (our reading of a soft mask).
    """
    assert answer.frozen_images is not None, "the reference was not rendered"
    wish = (answer.guided - answer.eps).abs().mean(dim=1, keepdim=True)
    wish = wish / wish.amax(dim=(2, 3), keepdim=True).clamp_min(1e-8)
    size = answer.images.shape[-1]
    wish = functional.interpolate(wish, size=size, mode="bilinear", align_corners=False)
    return ((1 - wish) * (answer.images - answer.frozen_images).square()).mean()
