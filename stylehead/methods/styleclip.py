"""StyleCLIP (arXiv 2103.17249), its latent mapper: find the prompt within what the generator can draw.

Theirs are the mapper with its three groups of layers and its step, the three losses and their weights, and
the raw prompt without templates. Ours: Adam with Ranger's first decay rates in place of Ranger, the trainer's
random heads and cameras, CLIP's own normalisation of pictures, every style vector normalised by itself (in
their code over the layers of a group), and on the embedded models the preset's identity encoder in place of
ArcFace.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from stylehead.generator import LatentMapper, PanoHead, mapper_parameters
from stylehead.methods.config import ImageTextSettings
from stylehead.methods.contract import Method, Needs, Networks, Terms
from stylehead.methods.qualities import Timing
from stylehead.methods.scene import Groups, Scene
from stylehead.settings import Positive, Share, Weight


@dataclass(frozen=True, kw_only=True)
class StyleCLIPSettings(ImageTextSettings):
    """Settings of StyleCLIP."""

    learning_rate: Positive = 0.5  # large, as the mapper's layers learn at 0.01 of it
    learning_rate_end: Share = 1.0
    clip_weight: Weight = 1.0
    """Weight in styleclip of the prompt."""
    offset_weight: Weight = 0.8
    """Weight in styleclip of keeping style vectors where they were."""
    identity_weight: Weight = 0.1
    """Weight in styleclip of keeping who is in the picture."""


class StyleCLIP(Method[StyleCLIPSettings]):
    """Trains a mapper of style vectors; the generator's own weights stay as they are.

    Raises:
        MissingError: There is no image-text space, or no identity encoder while identities count.
    """

    name, title, needs = "styleclip", "StyleCLIP", Needs(image_text=True)
    pace = Timing(step=0.24)
    published: ClassVar[Mapping[str, Any]] = {"iterations": 50_000, "batch": 2}
    betas = (0.95, 0.999)

    def __init__(self, config: StyleCLIPSettings, networks: Networks) -> None:
        super().__init__(config, networks)
        assert networks.image_text is not None, "it is among the needs"
        self.image_text, self.faces = networks.image_text, networks.faces
        self.target = self.image_text.texts([config.prompt])[0]

    @classmethod
    def needed(cls, config: StyleCLIPSettings) -> Needs:
        """Return the image-text space, and who is in a picture if that counts."""
        return Needs(image_text=True, faces=config.identity_weight > 0)

    def trained(self, generator: PanoHead) -> dict[str, nn.Parameter]:
        """Put a fresh mapper before the generator and name its parameters."""
        device = next(generator.parameters()).device
        rng = torch.Generator().manual_seed(self.config.seed)
        generator.latent_edits = ((LatentMapper.drawn(generator.config.w_dim, rng=rng).to(device), 1.0),)
        return mapper_parameters(generator)

    def reference_groups(self) -> Groups:
        """Return the single views, if it counts who is in them."""
        return {"single": True} if self.config.identity_weight > 0 else {}

    def terms(self, scene: Scene, *, rng: torch.Generator) -> Terms:
        """Compare pictures with the prompt, style vectors and faces with those from before."""
        config, terms = self.config, Terms()
        images = scene.views["single"].final()
        terms.losses["clip"] = config.clip_weight * likeness_loss(self.image_text.images(images), self.target)
        if config.offset_weight > 0:
            terms.losses["offset"] = config.offset_weight * functional.mse_loss(scene.edited_ws, scene.ws)
        if config.identity_weight > 0 and self.faces is not None:
            with torch.no_grad():
                before = self.faces(scene.reference_views["single"].final())
            terms.losses["identity"] = config.identity_weight * likeness_loss(self.faces(images), before)
        return terms


def likeness_loss(vectors: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean of 1 - cos over unit vectors [B, D] and what they are to be, [B, D] or [D]."""
    return 1 - (vectors * wanted).sum(dim=-1).mean()
