"""DiffusionGAN3D (arXiv 2312.16837), re-implemented from its abstract: no code was ever published.

Known are score distillation of an EG3D generator, the relative distance loss that keeps identities apart,
and a diffusion-guided reconstruction loss for local edits. Not known are the rate, the length, the
timesteps, the guidance and the form of the soft mask: here those of StyleGAN-Fusion, which does the same
before it, and the form below. Left out, as they are made for one case and not for a style: the learnable
tri-plane of an avatar, and the refinement of its texture.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from stylehead.methods.contract import Terms
from stylehead.methods.relative import RelativeDistanceSettings, relative_distance, remembered
from stylehead.methods.taught import Answer, FusionSettings, Taught, distilled
from stylehead.methods.views import Groups, Scene
from stylehead.settings import Weight


@dataclass(frozen=True, kw_only=True)
class DiffusionGAN3DSettings(FusionSettings, RelativeDistanceSettings):
    """Settings of DiffusionGAN3D; nothing is published but that distances are kept."""

    relative_distance_weight: Weight = 1.0
    reconstruction_weight: Weight = 0.0
    """Weight in diffusiongan3d of keeping what the teacher asks little of: for local edits, not styles."""


class DiffusionGAN3D(Taught[DiffusionGAN3DSettings]):
    """Score distillation with relative distances kept; local edits can be held to where they belong."""

    name, title = "diffusiongan3d", "DiffusionGAN3D (re-implementation)"
    published: ClassVar[Mapping[str, Any]] = {"iterations": 5000}  # ours: not published
    betas = (0.0, 0.99**0.8)

    def reference_groups(self) -> Groups:
        """Return the single views, if reconstruction compares with them."""
        return {"single": True} if self.config.reconstruction_weight > 0 else {}

    def terms(self, scene: Scene, *, rng: torch.Generator) -> Terms:
        """Distil, and keep what shall stay."""
        config, answer = self.config, self.ask(scene, rng=rng)
        terms = self.score(answer, [distilled(answer)])
        balance = self.balance(answer.latents)
        distance = relative_distance(config, scene, self.carried)
        self.carried = remembered(config, scene)
        if distance is not None:
            terms.losses["relative_distance"] = config.relative_distance_weight * balance * distance
        if config.reconstruction_weight > 0:
            guided = torch.where(terms.finite["single"], answer.guided, 0.0)
            kept = (
                config.reconstruction_weight * balance * reconstruction_loss(answer._replace(guided=guided))
            )
            terms.add_predicted("single", "reconstruction", kept)
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
