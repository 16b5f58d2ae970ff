"""How alike two pictures are: pixels, features, identity and outline, each per picture of a batch."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from stylehead.images import perceptual_distance, resize
from stylehead.perception.embedded import IdentityEncoder, ImageTextEncoder, Trunk

IDENTITY_FILE = "identity.safetensors"
FEATURES_FILE = "image_text.safetensors"


@dataclass(frozen=True, eq=False)
class Judge:
    """The networks that compare pictures.

    Attributes:
        trunk: Feature maps for the perceptual distance; None: no such distance.
        identity: Embeds faces; None: no identity term. It was trained on the embedded world.
    """

    trunk: Trunk | None = None
    identity: IdentityEncoder | None = None

    @classmethod
    def load(cls, folder: Path, device: str | torch.device = "cpu") -> "Judge":
        """Load those networks that lie in a folder of embedded models."""
        features, identity = folder / FEATURES_FILE, folder / IDENTITY_FILE
        return cls(
            ImageTextEncoder.load(features).to(device).trunk if features.is_file() else None,
            IdentityEncoder.load(identity).to(device) if identity.is_file() else None,
        )

    @property
    def trunks(self) -> tuple[Trunk, ...]:
        """The feature networks that a learned first guess reads; empty unless both are there."""
        if self.trunk is None or self.identity is None:
            return ()
        return self.identity.trunk, self.trunk

    def perceptual(self, image_pm1: Tensor, other_pm1: Tensor) -> Tensor:
        """Perceptual distances [B] between pictures [B,3,R,R] and others of the same shape (or one)."""
        if self.trunk is None:
            return image_pm1.new_zeros(len(image_pm1))
        return perceptual_distance(self.trunk.maps(image_pm1), self.trunk.maps(other_pm1))

    def similarity(self, image_pm1: Tensor, other_pm1: Tensor) -> Tensor:
        """Identity similarities [B], -1..1; 0 without an identity network."""
        if self.identity is None:
            return image_pm1.new_zeros(len(image_pm1))
        return (self.identity(image_pm1) * self.identity(other_pm1)).sum(dim=1)


@dataclass(frozen=True, eq=False)
class Target:
    """The picture to be reproduced, on white.

    Attributes:
        image: [1,3,R,R] in -1..1.
        mask: [1,1,R,R], share of each pixel that the head covers.
    """

    image: Tensor
    mask: Tensor

    @classmethod
    def make(cls, image_pm1: Tensor, mask: Tensor) -> "Target":
        """Put an aligned picture [1,3,R,R] on white by its mask [1,1,R,R]."""
        return cls(image_pm1 * mask + (1 - mask), mask)

    def at(self, resolution: int) -> "Target":
        """The same, reduced to another edge."""
        return Target(resize(self.image, resolution), resize(self.mask, resolution))


def pixel_distance(image: Tensor, target: Tensor) -> Tensor:
    """Mean over a picture of squared plus a tenth of absolute differences, [B]."""
    error = image - target
    return error.square().mean(dim=(1, 2, 3)) + 0.1 * error.abs().mean(dim=(1, 2, 3))
