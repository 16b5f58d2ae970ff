"""The last brush on the embedded generator: its super-resolution learns from a critic what is true.

A regression that is not sure where an eyelid ends paints the mean of all places. The critic has seen true
pictures and tells such a mean from the real thing; what it looks at (its feature maps) is compared, too.
The tri-grid, the decoder and the mapping stay as they are, so that a head keeps its shape and its latent,
and what super-resolution sees of a head need be rendered only once. It comes
after `mapping`, which writes the whole generator anew.

Sources: hinge loss and feature matching as in pix2pixHD (Wang et al., 2018, equation 4).
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from stylehead.generator import PanoHead
from stylehead.generator.superresolution import SuperResolution
from stylehead.geometry import conditioning_camera
from stylehead.images import bytes_to_pm1
from stylehead.methods.critic import PatchCritic, criticise
from stylehead.methods.losses import detail_loss
from stylehead.world.recipes.computing import device_of
from stylehead.world.recipes.data import Renders
from stylehead.world.recipes.people import People, mostly_facing_columns
from stylehead.world.recipes.train_generator import save_halved

_EDGE, _EDGE_WEIGHT = 2, 10.0  # the outermost pixels lack neighbours and are few: they need a voice
_ADVERSARIAL, _MATCHING = 0.005, 0.5


class FinishModel(nn.Module):
    """Painter and critic, trained in one step."""

    def __init__(self, superresolution: SuperResolution) -> None:
        super().__init__()
        self.superresolution = superresolution
        self.critic = PatchCritic()


@dataclass
class Seen:
    """What super-resolution was shown, kept for other steps: the oldest views make room for new ones.

    Attributes:
        size: Most views that are kept.
        features: [32, r, r] each, in half precision.
        raw: [3, r, r] each.
        w: [w_dim] each.
        truth: uint8 [3, R, R] each.
    """

    size: int
    features: list[Tensor] = field(default_factory=list)
    raw: list[Tensor] = field(default_factory=list)
    w: list[Tensor] = field(default_factory=list)
    truth: list[Tensor] = field(default_factory=list)

    def add(self, features: Tensor, raw: Tensor, w: Tensor, truth: Tensor) -> None:
        """Keep a batch."""
        batches = (features.half(), raw, w, truth)
        for kept, batch in zip((self.features, self.raw, self.w, self.truth), batches, strict=True):
            kept.extend(batch.unbind())
            del kept[: -self.size]

    def draw(self, count: int, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """A batch of different views."""
        rows = torch.randperm(len(self.w), generator=rng)[:count].tolist()
        features, raw, w, truth = (
            torch.stack([kept[i] for i in rows]) for kept in (self.features, self.raw, self.w, self.truth)
        )
        return features.float(), raw, w, truth


class FinishRecipe:
    """See the module's text.

    Args:
        people: Whom to draw.
        generator: The embedded generator.
        batch: Pictures in a step.
        fresh: Identities rendered anew in a step, from two sides each.
        warmup: Steps' worth of views that are rendered before the first step.
        bank: Renders kept.
        part: How far the exported weights are from those before (0) to those after (1): halfway is crisper
            than the one and lacks the halos of the other (network interpolation: Wang et al., ESRGAN, 2018).
    """

    name = "finish"
    learning_rate = 1e-3

    def __init__(
        self,
        people: People,
        generator: PanoHead,
        *,
        batch: int = 8,
        fresh: int = 1,
        warmup: int = 32,
        bank: int = 8192,
        part: float = 0.5,
    ) -> None:
        torch.manual_seed(4)
        self.people = people
        self.generator = generator.requires_grad_(False)
        self.model = FinishModel(generator.superresolution.requires_grad_(True))
        self.before = copy.deepcopy(generator.superresolution.state_dict())
        self.batch, self.fresh, self.warmup, self.part = batch, fresh, warmup, part
        self.seen = Seen(bank)

    def parameters(self) -> list[dict[str, object]]:
        """Painter and critic."""
        return [
            {"params": list(self.model.superresolution.parameters()), "lr": self.learning_rate},
            {"params": list(self.model.critic.parameters()), "lr": 0.3 * self.learning_rate},
        ]

    def loss(self, progress: float, rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Likeness to the truth, the critic's opinion, and the critic's own lesson."""
        while len(self.seen.w) < 2 * self.fresh * self.warmup:
            self._render(rng)
        self._render(rng)
        features, raw, w, truth = self.seen.draw(self.batch, rng)
        truth = bytes_to_pm1(truth)
        painted = self.model.superresolution.upscale(raw, features, w[:, None])
        return _losses(self.model.critic, painted, truth, rng)

    def warm_start(self, folder: Path) -> bool:
        """The painter is the embedded one already; there is no critic to begin with."""
        return True

    def export(self, averaged: nn.Module, folder: Path, metadata: Mapping[str, str]) -> None:
        """Write generator.safetensors with a super-resolution between the one before and this one."""
        assert isinstance(averaged, FinishModel)
        after = averaged.superresolution.state_dict()
        between = {name: start.lerp(after[name].cpu(), self.part) for name, start in self.before.items()}
        self.generator.superresolution.load_state_dict(between)
        save_halved(self.generator, folder / "generator.safetensors", dict(metadata))

    @torch.no_grad()
    def _render(self, rng: torch.Generator) -> None:
        """Two sides each of some people, up to where super-resolution begins."""
        people = self.people.draw(self.fresh, rng)
        people = people.columns(mostly_facing_columns(people.cameras, 2, rng)).to(self._device())
        cameras, truth = people.cameras.flatten(0, 1), people.images.flatten(0, 1)
        ws = self._ws(people)
        raw = self.generator.render_raw(self.generator.planes(ws), ws, cameras, background="white")
        self.seen.add(raw.features, raw.image_raw, ws[:, -1].repeat_interleave(2, dim=0), truth)

    def _ws(self, people: Renders) -> Tensor:
        """Style vectors [K, num_ws, w_dim], of truncated people truncated alike."""
        ws = self.generator.mapping(people.z, conditioning_camera().to(people.z.device))
        if people.psi is None:
            return ws
        return self.generator.backbone.mapping.w_avg.lerp(ws, people.psi[:, None, None])

    def _device(self) -> torch.device:
        """Where the painter is; what is rendered for it follows."""
        device = device_of(self.model)
        self.generator.to(device)
        return device


def _losses(
    critic: PatchCritic, painted: Tensor, truth: Tensor, rng: torch.Generator
) -> tuple[Tensor, dict[str, float]]:
    error = painted - truth
    likeness = (_edge_weights(error) * (error.square() + 0.3 * error.abs())).mean() + 0.3 * detail_loss(error)
    opinion = criticise(critic, painted, truth, rng=rng)
    loss = likeness + _ADVERSARIAL * opinion.adversarial + _MATCHING * opinion.matching + opinion.lesson
    values = {
        "likeness": likeness,
        "matching": opinion.matching,
        "lesson": opinion.lesson,
        "verdict": -opinion.adversarial,
    }
    psnr = -10 * torch.log10(error.detach().square().mean() / 4)
    return loss, {"psnr": float(psnr), **{name: float(value.detach()) for name, value in values.items()}}


def _edge_weights(images: Tensor) -> Tensor:
    """[R, R]: how much the error of each pixel counts."""
    size = images.shape[-1]
    weights = images.new_full((size, size), _EDGE_WEIGHT)
    weights[_EDGE:-_EDGE, _EDGE:-_EDGE] = 1
    return weights
