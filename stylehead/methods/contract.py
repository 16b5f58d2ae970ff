"""What a system of the table says to the trainer: what it trains, what it looks at, what it minimises."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from stylehead.config import StylizeConfig
from stylehead.generator import PanoHead, trainable_parameters
from stylehead.methods.views import Groups, Scene
from stylehead.perception.image_text import ImageTextSpace

FaceVectors = Callable[[Tensor], Tensor]
"""Maps images [B, 3, H, W] in -1..1 to unit vectors [B, D] that agree for the same person, differentiably."""


class Perception(NamedTuple):
    """Frozen networks that look at pictures, for the methods that ask them; None where there is none."""

    image_text: ImageTextSpace | None = None
    faces: FaceVectors | None = None


@dataclass
class Terms:
    """What an iteration minimises: the sum of `scores` and `losses`.

    Args:
        scores: Surrogates that carry the teacher's gradients; their values mean nothing.
        losses: Weighted regularisers.
        gradient_rms: Root mean square of the gradient put on each stage's latents.
        non_finite: Stages whose score was not finite and therefore counts for nothing.
    """

    scores: dict[str, Tensor] = field(default_factory=dict)
    losses: dict[str, Tensor] = field(default_factory=dict)
    gradient_rms: dict[str, float] = field(default_factory=dict)
    non_finite: list[str] = field(default_factory=list)


class Method(ABC):
    """A system of the table. The trainer draws, renders and descends; everything else is said here.

    Args:
        config: The settings.
    """

    betas: tuple[float, float] = (0.9, 0.999)
    """Adam's decay rates."""

    def __init__(self, config: StylizeConfig) -> None:
        self.config = config

    def trained(self, generator: PanoHead) -> dict[str, nn.Parameter]:
        """Name the parameters that training may change."""
        return dict(trainable_parameters(generator))

    def chosen(
        self, generator: PanoHead, reference: PanoHead, *, rng: torch.Generator
    ) -> Sequence[str] | None:
        """Name those of them that move in the coming iteration; None: all.

        Args:
            generator: The network as it is now.
            reference: The untouched one.
            rng: Source of whatever is drawn for the choice, on the networks' device.
        """
        return None

    @abstractmethod
    def groups(self) -> Groups:
        """Return the groups of views of the trained generator that the terms need."""

    @abstractmethod
    def reference_groups(self) -> Groups:
        """Return the groups of views of the reference that the terms need."""

    @abstractmethod
    def terms(
        self, scene: Scene, *, previous: tuple[Tensor, Tensor] | None = None, rng: torch.Generator
    ) -> Terms:
        """Compute what this iteration minimises.

        Args:
            scene: Renders of this iteration.
            previous: Tri-grids (trained, reference) of the previous iteration, when distances between
                identities count.
            rng: Source of whatever is drawn here.
        """
