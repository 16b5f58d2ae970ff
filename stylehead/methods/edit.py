"""Edit, then regress: an editor changes renders of some people, and the generator learns the result.

An editor for pictures knows what a werewolf looks like, and nothing of three dimensions. So it edits a bank
of people from a few sides each, all sides of a person from one noise (`stylehead.bank`), and the generator G
is trained to draw the edits e of all of them with the same weights, which is what makes it one head:

    (P) |G(w, pi) - e| and its square, on the picture and on the render before super-resolution
    (D) |D(G - e)|, D what each halving of the resolution loses: eyes and mouths are a few pixels
    (F) the perceptual distance of the two: crisper eyes and mouths for 0.3 dB less
    (A, M) a critic's opinion, who has seen edits and renders: see `critic.py`
    (O) the outline of G to that of the edit; the depth of G to what it was, where both have a head

The sources: Instruct-NeRF2NeRF (arXiv 2303.12789) and GaussianEditor (2311.14521) for the edits, (P) and (F);
JoJoGAN (2112.11641) for regression on a generator. (D) and what is trained are ours: beside the weights the
biases, the decoder, and the constant noise, which, as a *map of positions*, holds where a mouth is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from stylehead.errors import UsageError
from stylehead.generator import PanoHead
from stylehead.generator.layers import SynthesisLayer
from stylehead.images import resize
from stylehead.methods.config import BankSettings
from stylehead.methods.contract import Cast, Method, Needs, Networks, Terms
from stylehead.methods.critic import CriticInTraining
from stylehead.methods.edited_views import EditedViews, Picked
from stylehead.methods.losses import detail_loss, perceptual_loss
from stylehead.methods.qualities import Timing
from stylehead.methods.scene import Groups, Scene, Views
from stylehead.settings import Count, Few, Natural, Rate, Share, Weight, between, refuse

_TRAINED = ("backbone.synthesis.", "superresolution.", "decoder.", "torgb.")


@dataclass(frozen=True, kw_only=True)
class EditSettings(BankSettings):
    """Settings of edit, then regress; chosen on people that no figure is measured on."""

    iterations: Count = 140
    batch: Few = 2
    views: Few = 2
    weight_average: Annotated[float, between(0, 0.9999)] = 0.95
    psi: Share = 1.0
    ray_jitter: bool = True
    background: Literal["random", "white", "bare"] = "white"
    checkpoint_every: Natural = 200
    preview_every: Natural = 35

    square_weight: Weight = 1.0
    """Weight of the squared difference to the edit."""
    absolute_weight: Weight = 0.3
    """Weight of the absolute difference to the edit."""
    detail_weight: Weight = 0.3
    """Weight of differences in details, which blur keeps small otherwise."""
    raw_weight: Weight = 0.5
    """Weight of the same on the render before super-resolution."""
    perceptual_weight: Weight = 0.2
    """Weight of the perceptual distance to the edit."""
    critic_weight: Weight = 0.0
    """Weight of a critic's verdict, who learns to tell renders from edits."""
    matching_weight: Weight = 0.0
    """Weight of how much the critic's features of the two differ."""
    critic_rate: Rate = 1e-3
    """Learning rate of the critic."""
    critic_from: Share = 0.25
    """Part of the run that the critic only watches."""
    outline_weight: Weight = 0.2
    """Weight of having the edit's outline."""
    depth_weight: Weight = 0.0
    """Weight of keeping the depth of the untouched head."""
    identity_weight: Weight = 0.0
    """Weight of staying recognisable beside the untouched render."""
    side_weight: Share = 1.0
    """Weight of views from the side, beside 1 for the front."""
    back_weight: Share = 1.0
    """Weight of views from behind."""
    train_maps: bool = True
    """Train the constant noise, biases and decoder as well, not the weights alone."""
    patience: Natural = 200
    """Stop when so many steps have brought no lower loss (mean of 50 steps); 0: never."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.background == "random":
            refuse("background", self.background, "white or bare, as the edits have a plain background")


QUALITIES: dict[str, dict[str, Any]] = {
    "quick": {"people": 14, "iterations": 50},
    "good": {},
    "best": {"people": 120, "iterations": 1400, "preview_every": 200},
}
"""For the embedded models: about 1, 3 and 20 minutes of two cores."""
FULL_SCALE: dict[str, Any] = {
    "iterations": 1500, "learning_rate": 1e-3, "weight_average": 0.995,
    "checkpoint_every": 250, "preview_every": 250, "edit_steps": 20,
    "perceptual_weight": 0.0,  # there it is LPIPS, whose network has to be fetched
}  # fmt: skip
FULL_SCALE_QUALITIES: dict[str, dict[str, Any]] = {
    "quick": {"people": 48, "bank_views": 4, "iterations": 600},
    "good": {"people": 128, "bank_views": 8, "iterations": 1500},
    "best": {"people": 250, "bank_views": 8, "iterations": 9000},
}
"""For models of the published size: about 10, 30 and 120 minutes of a large GPU, computed, not measured.

An edit by InstructPix2Pix at 512 x 512 is 20 steps of three predictions, about a second; an iteration over
four pictures, forward and back through renders and super-resolution, about half a second: 48 x 4 edits and
600 iterations are 8 minutes, 128 x 8 and 1500 are 30, 250 x 8 and 9000 are 108.
"""


class Edit(Method[EditSettings]):
    """Regresses the edited pictures of a bank."""

    name, title = "edit", "edit, then regress"
    qualities: ClassVar[Mapping[str, Mapping[str, Any]]] = QUALITIES
    full_scale_qualities: ClassVar[Mapping[str, Mapping[str, Any]]] = FULL_SCALE_QUALITIES
    full_scale: ClassVar[Mapping[str, Any]] = FULL_SCALE
    pace: ClassVar[Timing | None] = Timing(step=0.6, person=1.5)
    needs: ClassVar[Needs] = Needs(editor=True)

    def __init__(self, config: EditSettings, networks: Networks) -> None:
        super().__init__(config, networks)
        self.features, self.faces = networks.features, networks.faces
        self._picked: Picked | None = None
        self._critic: CriticInTraining | None = None
        if config.critic_weight > 0 or config.matching_weight > 0:
            self._critic = CriticInTraining(config.seed, learning_rate=config.critic_rate)

    @property
    def carried(self) -> tuple[Tensor, ...] | None:
        """What the critic knows."""
        return self._critic.pack() if self._critic is not None and self._critic.lessons else None

    @carried.setter
    def carried(self, packed: tuple[Tensor, ...] | None) -> None:
        if self._critic is not None and packed is not None:
            self._critic.unpack(packed)

    @classmethod
    def needed(cls, config: EditSettings) -> Needs:
        """Return an editor unless a bank is given, and encoders of pictures if a loss compares them."""
        return Needs(
            editor=config.bank is None,
            faces=config.identity_weight > 0,
            features=config.perceptual_weight > 0,
        )

    @property
    def patience(self) -> int:
        """Regression is done when its loss falls no more; with a critic the loss is no measure of that."""
        return self.config.patience if self._critic is None else 0

    def trained(self, generator: PanoHead) -> dict[str, nn.Parameter]:
        """Name all of synthesis, super-resolution and decoder, the constant noise as a map of positions."""
        if not self.config.train_maps:
            return super().trained(generator)
        learn_positions(generator.backbone.synthesis)
        return {name: p for name, p in generator.named_parameters() if name.startswith(_TRAINED)}

    def reference_groups(self) -> Groups:
        """Return the single views, if their depth or who is in them counts."""
        faces = self.config.identity_weight > 0
        return {"single": faces} if faces or self.config.depth_weight > 0 else {}

    def rehearse(self, reference: PanoHead) -> None:
        """Take blank pictures for edits."""
        sizes = reference.config
        self.edits = EditedViews.blank(
            self.config.batch,
            self.config.views,
            num_ws=reference.num_ws,
            w_dim=sizes.w_dim,
            size=sizes.img_resolution,
        )

    def cast(self, *, rng: torch.Generator) -> Cast:
        """Choose people of the bank, and edits of some of their sides.

        Raises:
            UsageError: No edited pictures were given.
        """
        if self.edits is None:
            raise UsageError("The method edit was given no edited pictures.")
        self._picked = self.edits.pick(self.config.batch, self.config.views, rng=rng)
        return Cast(self._picked.ws, self._picked.labels)

    def narrowed(self, cast: Cast, people: slice) -> Cast:
        """Keep some of the people, and their edits."""
        assert self._picked is not None, "it was cast before"
        self._picked = self._picked.part(people)
        return super().narrowed(cast, people)

    def terms(self, scene: Scene, *, rng: torch.Generator) -> Terms:
        """Compare renders with edits: (P), (D), (F) and (O) of the file's text, and who is in them."""
        assert self._picked is not None, "it was cast before"
        config, terms, views = self.config, Terms(), scene.views["single"]
        target = resize(self._picked.pictures_pm1.to(scene.ws.device), views.final().shape[-1])
        outline = resize(self._picked.outlines.to(scene.ws.device), views.mask.shape[-1]).clamp(0, 1)
        labels = scene.draw.labels["single"].flatten(0, 1)
        weights = view_weights(labels, side=config.side_weight, back=config.back_weight)
        terms.losses["picture"] = self._difference(views.final() - target, weights)
        if config.raw_weight > 0:
            error = views.image_raw - resize(target, views.image_raw.shape[-1])
            terms.losses["raw"] = config.raw_weight * self._difference(error, weights)
        if config.outline_weight > 0:
            opacity = views.mask.clamp(1e-4, 1 - 1e-4)
            terms.losses["outline"] = config.outline_weight * functional.binary_cross_entropy(
                opacity, outline
            )
        if config.perceptual_weight > 0 and self.features is not None:
            value = perceptual_loss(views.final(), target, self.features)
            terms.losses["perceptual"] = config.perceptual_weight * value
        if self._critic is not None:
            self._add_opinion(terms, self._critic, views.final(), target, rng)
        if "single" in scene.reference_views:
            self._add_anchors(terms, views, scene.reference_views["single"], outline)
        return terms

    def _difference(self, error: Tensor, weights: Tensor) -> Tensor:
        """Weigh squared and absolute differences of pictures [B, 3, h, w], and those of their details."""
        config, share = self.config, weights[:, None, None, None]
        squared, absolute = (error.square() * share).mean(), (error.abs() * share).mean()
        value = config.square_weight * squared + config.absolute_weight * absolute
        return value + config.detail_weight * detail_loss(error * share)

    def _add_opinion(
        self, terms: Terms, critic: CriticInTraining, painted: Tensor, target: Tensor, rng: torch.Generator
    ) -> None:
        """Let the critic watch at first, then have its say."""
        opinion = critic.opinion(painted, target, rng=rng)
        if critic.lessons > self.config.critic_from * self.config.iterations:
            terms.losses["critic"] = self.config.critic_weight * opinion.adversarial
            terms.losses["matching"] = self.config.matching_weight * opinion.matching

    def _add_anchors(self, terms: Terms, now: Views, before: Views, outline: Tensor) -> None:
        """Hold depth where there is a head before and after, and who is in the pictures."""
        config = self.config
        if config.depth_weight > 0:
            both = ((before.mask > 0.9) & (outline > 0.9)).float()
            change = ((now.depth - before.depth).abs() * both).sum() / both.sum().clamp_min(1)
            terms.losses["depth"] = config.depth_weight * change
        if config.identity_weight > 0 and self.faces is not None:
            likeness = (self.faces(now.final()) * self.faces(before.final()).detach()).sum(dim=-1)
            terms.losses["identity"] = config.identity_weight * (1 - likeness).mean()


def learn_positions(network: nn.Module) -> None:
    """Make the constant noise of synthesis layers a parameter, as it is: a map of where things are."""
    for module in network.modules():
        if isinstance(module, SynthesisLayer) and not isinstance(module.noise_const, nn.Parameter):
            constant = module.noise_const
            del module.noise_const
            module.noise_const = nn.Parameter(constant.clone())


def view_weights(labels: Tensor, *, side: float, back: float) -> Tensor:
    """Weigh views by where their cameras stand: 1 in front, then `side`, then `back`; [B], 1 on average.

    Args:
        labels: Cameras [B, 25].
        side: At a right angle to the face.
        back: Behind the head.
    """
    position = labels[:, 3:12:4]
    facing = position[:, 2] / position.norm(dim=1)
    turned = torch.where(facing > 0, side + (1 - side) * facing, side + (side - back) * facing)
    return turned / turned.mean().clamp_min(1e-8)
