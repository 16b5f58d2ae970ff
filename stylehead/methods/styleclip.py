"""StyleCLIP (arXiv 2103.17249), its latent mapper: find the prompt within what the generator can draw.

Theirs are the mapper with its three groups of layers and its step, the three losses and their weights, and
the raw prompt without templates. Ours: Adam with Ranger's first decay rates in place of Ranger, the trainer's
random heads and cameras, CLIP's own normalisation of pictures, and on the embedded models the preset's
identity encoder in place of ArcFace.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from stylehead.config import StylizeConfig
from stylehead.errors import MissingError
from stylehead.generator import LatentMapper, PanoHead, mapper_parameters
from stylehead.methods.contract import Method, Perception, Terms
from stylehead.methods.views import Groups, Scene


class StyleCLIP(Method):
    """Trains a mapper of style vectors; the generator's own weights stay as they are.

    Args:
        config: The settings.
        perception: The image-text space, and who is in a picture if the identity counts.

    Raises:
        MissingError: One of them is not there.
    """

    betas = (0.95, 0.999)

    def __init__(self, config: StylizeConfig, perception: Perception) -> None:
        super().__init__(config)
        if perception.image_text is None:
            raise MissingError("StyleCLIP needs an image-text network.", "--clip FOLDER")
        if config.identity_weight > 0 and perception.faces is None:
            raise MissingError(
                "There is no network here that says who is in a picture and can be learned from.",
                "--identity-weight 0",
            )
        self.image_text, self.faces = perception.image_text, perception.faces
        self.target = self.image_text.texts([config.prompt])[0]

    def trained(self, generator: PanoHead) -> dict[str, nn.Parameter]:
        """Put a fresh mapper before the generator and name its parameters."""
        device = next(generator.parameters()).device
        rng = torch.Generator().manual_seed(self.config.seed)
        generator.latent_edits = ((LatentMapper.drawn(generator.config.w_dim, rng=rng).to(device), 1.0),)
        return mapper_parameters(generator)

    def groups(self) -> Groups:
        """Return the single views."""
        return {"single": True}

    def reference_groups(self) -> Groups:
        """Return the single views, if it counts who is in them."""
        return {"single": True} if self.config.identity_weight > 0 else {}

    def terms(
        self, scene: Scene, *, previous: tuple[Tensor, Tensor] | None = None, rng: torch.Generator
    ) -> Terms:
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
    """Return the mean of 1 - cos over unit vectors [B, D] and what they shall be, [B, D] or [D]."""
    return 1 - (vectors * wanted).sum(dim=-1).mean()
