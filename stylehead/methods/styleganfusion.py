"""StyleGAN-Fusion (arXiv 2212.04473): SDS that goes the way from the frozen render to the trained one.

This is its recipe for EG3D: score distillation, a directional regulariser, and LPIPS towards the frozen
render. Theirs are guidance 100, timesteps from 10 to 500, both noises at root mean square 1, the weights, and
Adam's rate and betas. Ours: the timesteps are those of the DDIM grid in that range, the cameras are those of
the paper's method, and the perceptual distance is that of the preset's feature network.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from stylehead.methods.contract import Needs, Terms
from stylehead.methods.losses import perceptual_loss
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
class StyleGANFusionSettings(FusionSettings):
    """Settings of StyleGAN-Fusion."""

    perceptual_weight: Weight = 20.0
    """Weight of the perceptual distance between a render and the untouched one."""
    direction_weight: Weight = 0.5
    """Weight in styleganfusion of how predictions for the trained and untouched render differ."""


class StyleGANFusion(RenderDistillation[StyleGANFusionSettings]):
    """Score distillation, held by what is predicted for the frozen render."""

    name, title = "styleganfusion", "StyleGAN-Fusion"
    pace = Timing(step=0.32)
    published: ClassVar[Mapping[str, Any]] = {"iterations": 5001}
    betas = (0.0, 0.99**0.8)

    @classmethod
    def needed(cls, config: StyleGANFusionSettings) -> Needs:
        """Return the teacher, and the feature network if the perceptual distance counts."""
        return Needs(teacher=True, features=config.perceptual_weight > 0, trunk="vgg")

    def reference_groups(self) -> Groups:
        """Return the single views, if anything compares with them."""
        compared = self.config.direction_weight > 0 or self.config.perceptual_weight > 0
        return {"single": True} if compared else {}

    def terms(self, scene: Scene, *, rng: torch.Generator) -> Terms:
        """Distil, and compare with the frozen render."""
        config, predicted = self.config, self.predict_renders(scene, rng=rng)
        gradients = [distilled(predicted)]
        if config.direction_weight > 0:
            gradients.append(config.direction_weight * direction(predicted))
        terms = self.score(predicted, gradients)
        features = self.networks.features
        if config.perceptual_weight > 0 and features is not None and predicted.frozen_images is not None:
            distance = perceptual_loss(predicted.images, predicted.frozen_images, features)
            terms.losses["perceptual"] = config.perceptual_weight * self.balance(predicted.latents) * distance
        return terms


def direction(predicted: RenderPrediction) -> Tensor:
    """Return (1 - abar_t) (eps_guided of the trained render - that of the frozen one) [N, C, h, w].

    It is 0 where both renders are the same, as the prediction then is, too.
    """
    assert predicted.frozen_guided is not None, "the reference was not rendered"
    return (1 - predicted.alpha_bar) * (predicted.guided - predicted.frozen_guided)
