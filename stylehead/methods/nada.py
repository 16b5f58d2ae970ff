"""StyleGAN-NADA (arXiv 2108.00946): move pictures along the direction from one text to another.

What its authors published: the loss, its 79 templates, the choice of layers in every iteration, Adam's
betas and rate. What is ours because PanoHead is no StyleGAN: which parameters belong to which style vector,
a random camera in every iteration, one image-text network instead of up to two, and the floor below.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from stylehead.generator import PanoHead
from stylehead.geometry import conditioning_camera, random_cameras
from stylehead.methods.config import ImageTextSettings
from stylehead.methods.contract import Method, Needs, Networks, Terms
from stylehead.methods.qualities import Timing
from stylehead.methods.scene import Groups, Scene
from stylehead.perception.roles import ImageText
from stylehead.precision import constant
from stylehead.settings import Count, Rate, Share, refuse

FLOOR = 0.1
"""Shorter moves of a picture count as less than a whole direction, instead of as one of rounding errors.

Ours: the authors' generators drew new noise in every render, so that no picture ever stood still; here the
first one does, and the direction of nothing has no gradient that one could follow.
"""


@dataclass(frozen=True, kw_only=True)
class NadaSettings(ImageTextSettings):
    """Settings of StyleGAN-NADA."""

    learning_rate: Rate = 1.6e-3
    learning_rate_end: Share = 1.0
    source_prompt: str = "a photo of a person"
    """What every head is before, in words: the direction of nada goes from there to the prompt."""
    adaptive_layers: Share = 0.67
    """Part of the layers that nada trains in an iteration, those that matter most then; 1 for all."""
    adaptive_heads: Count = 2
    """Heads on which nada finds out which layers matter."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.source_prompt.strip():
            refuse("source_prompt", repr(self.source_prompt), "some words, for example `a photo of a person`")


class Nada(Method[NadaSettings]):
    """Trains constant and convolutions of the backbone, those of its layers that matter for the text.

    Raises:
        MissingError: There is no space in which directions can be compared.
    """

    name, title, needs = "nada", "StyleGAN-NADA", Needs(image_text=True)
    pace = Timing(step=0.48)
    published: ClassVar[Mapping[str, Any]] = {
        "iterations": 600, "batch": 2, "psi": 1.0, "adaptive_heads": 8,
    }  # fmt: skip
    betas = (0.0, 0.99**0.8)

    def __init__(self, config: NadaSettings, networks: Networks) -> None:
        super().__init__(config, networks)
        assert networks.image_text is not None, "it is among the needs"
        self.image_text = networks.image_text
        self.target = text_meaning(self.image_text, config.prompt)
        source = text_meaning(self.image_text, config.source_prompt)
        self.direction = functional.normalize(self.target - source, dim=0)

    def trained(self, generator: PanoHead) -> dict[str, nn.Parameter]:
        """Name constant and convolutions, biases too; no colour layer, no super-resolution."""
        parameters = dict(generator.named_parameters())
        return {name: parameters[name] for layer in layers(generator) for name in layer}

    def updated(
        self, generator: PanoHead, reference: PanoHead, *, rng: torch.Generator
    ) -> Sequence[str] | None:
        """Name the layers whose style vectors one step towards the target text would move most."""
        config = self.config
        if config.adaptive_layers >= 1:
            return None
        candidates = layers(generator)
        count = max(1, int(config.adaptive_layers * generator.num_ws))
        moves = torch.stack(list(self._moves(generator, reference, rng))).mean(dim=0)[: len(candidates)]
        best = _largest(moves, min(count, len(candidates)))
        return [name for index in sorted(best) for name in candidates[index]]

    def _moves(self, generator: PanoHead, reference: PanoHead, rng: torch.Generator) -> Iterator[Tensor]:
        """Yield how far each style vector of a fresh head would move [num_ws], up to the step's size.

        One plain step moves a vector by its rate times the gradient, so the gradient alone ranks them.
        """
        config = self.config
        device = next(generator.parameters()).device
        looking = conditioning_camera(torch.pi * config.conditioning_pitch_deg / 180)[0].tolist()
        camera = constant(tuple(looking), torch.float32, device)[None]
        for _ in range(config.adaptive_heads):
            z = torch.randn(1, generator.config.z_dim, generator=rng, device=device)
            label = random_cameras(
                1,
                yaw_range_rad=torch.pi * config.yaw_deg / 180,
                pitch_range_rad=torch.pi * config.pitch_deg / 180,
                rng=rng,
                device=device,
            )
            with torch.no_grad():
                ws = reference.mapping(
                    z, camera, truncation_psi=config.psi, truncation_cutoff=config.psi_cutoff
                )
            ws.requires_grad_()
            image = generator.synthesis(ws, label, background="white", noise_mode=config.noise_mode).image
            loss = 1 - (self.image_text.images(image) @ functional.normalize(self.target, dim=0)).mean()
            (gradient,) = torch.autograd.grad(loss, ws)
            yield gradient[0].abs().mean(dim=1)

    def reference_groups(self) -> Groups:
        """Return the single views."""
        return {"single": True}

    def terms(self, scene: Scene, *, rng: torch.Generator) -> Terms:
        """Compare where pictures went with where the text points."""
        with torch.no_grad():
            before = self.image_text.images(scene.reference_views["single"].final())
        after = self.image_text.images(scene.views["single"].final())
        return Terms(losses={"direction": direction_loss(after - before, self.direction)})


def _largest(moves: Tensor, count: int) -> list[int]:
    """Return which of the layers move most; on the meta device, which has no numbers, the first."""
    if moves.is_meta:
        return list(range(count))
    largest: list[int] = moves.topk(count).indices.tolist()
    return largest


def direction_loss(moves: Tensor, direction: Tensor, *, floor: float = FLOOR) -> Tensor:
    """Return the mean of 1 - cos of the angle between moves of pictures and the direction of the text.

    It is 0 for pictures that moved along the direction, 1 for those that stood still, 2 for the opposite.

    Args:
        moves: Differences of embeddings [B, D], after minus before.
        direction: Unit vector [D], or zeros when the texts mean the same: then nothing has a gradient.
        floor: Moves shorter than this are not scaled up to length 1, but divided by it.
    """
    return 1 - (functional.normalize(moves, dim=1, eps=floor) @ direction).mean()


def text_meaning(space: ImageText, text: str) -> Tensor:
    """Return the mean [D] of a text's unit vectors over the space's templates."""
    return space.texts([template.format(text) for template in space.templates]).mean(dim=0)


def layers(generator: PanoHead) -> list[list[str]]:
    """Name the parameters of each convolution of the backbone, the constant with the first.

    Layer i is what style vector i modulates. The last vector modulates only the last colour layer, which is
    not trained, and is left out.
    """
    found: list[list[str]] = []
    for size in generator.backbone.synthesis.resolutions:
        block = f"backbone.synthesis.b{size}"
        names = [name for name, _ in generator.named_parameters() if name.startswith(f"{block}.")]
        for part in ("conv0", "conv1"):
            own = [name for name in names if name.startswith(f"{block}.{part}.")]
            if own:
                found.append(own)
        if f"{block}.const" in names:
            found[-1].insert(0, f"{block}.const")
    return found
