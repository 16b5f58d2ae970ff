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
from stylehead.methods.losses import RelativeDistanceSettings, relative_distance, remembered
from stylehead.methods.qualities import Timing
from stylehead.methods.render_distillation import (
    FusionSettings,
    RenderDistillation,
    RenderPrediction,
    distilled,
)
from stylehead.methods.scene import Groups, Scene
from stylehead.settings import Weight


@dataclass(frozen=True, kw_only=True)
class DiffusionGAN3DSettings(FusionSettings, RelativeDistanceSettings):
    """Settings of DiffusionGAN3D; nothing is published but that distances are kept."""

    relative_distance_weight: Weight = 1.0
    reconstruction_weight: Weight = 0.0
    """Weight in diffusiongan3d of keeping what the prediction changes little: for local edits, not styles."""


class DiffusionGAN3D(RenderDistillation[DiffusionGAN3DSettings]):
    """Score distillation with relative distances kept; local edits can be held to where they belong."""

    name, title = "diffusiongan3d", "DiffusionGAN3D (re-implementation)"
    pace = Timing(step=0.21)
    published: ClassVar[Mapping[str, Any]] = {"iterations": 5000}  # ours: not published
    betas = (0.0, 0.99**0.8)

    def reference_groups(self) -> Groups:
        """Return the single views, if reconstruction compares with them."""
        return {"single": True} if self.config.reconstruction_weight > 0 else {}

    def terms(self, scene: Scene, *, rng: torch.Generator) -> Terms:
        """Distil, and keep what is to stay."""
        config, predicted = self.config, self.predict_renders(scene, rng=rng)
        terms = self.score(predicted, [distilled(predicted)])
        balance = self.balance(predicted.latents)
        distance = relative_distance(config, scene, self.carried)
        self.carried = remembered(config, scene)
        if distance is not None:
            terms.losses["relative_distance"] = config.relative_distance_weight * balance * distance
        if config.reconstruction_weight > 0:
            guided = torch.where(terms.finite["single"], predicted.guided, 0.0)
            kept = reconstruction_loss(predicted._replace(guided=guided))
            terms.add_predicted("single", "reconstruction", config.reconstruction_weight * balance * kept)
        return terms


def reconstruction_loss(predicted: RenderPrediction) -> Tensor:
    """Return the mean squared change of the render where the prediction changes little.

    Every pixel counts by 1 minus the size of the predicted change there: the mean absolute difference of
    noises over channels, divided by the largest in the picture (our reading of a soft mask).
    """
    assert predicted.frozen_images is not None, "the reference was not rendered"
    wish = (predicted.guided - predicted.eps).abs().mean(dim=1, keepdim=True)
    wish = wish / wish.amax(dim=(2, 3), keepdim=True).clamp_min(1e-8)
    size = predicted.images.shape[-1]
    wish = functional.interpolate(wish, size=size, mode="bilinear", align_corners=False)
    return ((1 - wish) * (predicted.images - predicted.frozen_images).square()).mean()
