"""How alike a render and the picture to be inverted are: pixels, features, identity."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from stylehead.images import luma, perceptual_distance, resize
from stylehead.perception.embedded import IdentityEncoder, ImageTextEncoder, StyleClassifier, Trunk
from stylehead.perception.roles import Features

IDENTITY_FILE = "identity.safetensors"
FEATURES_FILE = "image_text.safetensors"
HELD_OUT_FILE = "style_classifier.safetensors"
_LAYERS = 3


@dataclass(frozen=True, eq=False)
class ImageSimilarity:
    """The networks by which images are compared."""

    trunk: Trunk | None = None
    """Feature maps of the perceptual loss; None: no such loss."""
    identity: IdentityEncoder | None = None
    """Embeds faces; None: no identity loss. It was trained on the embedded world."""
    held_out: Features | None = None
    """Feature maps of the perceptual distance that is reported, the same as `eval` reports: of a network that
    took no part in the projection. None: none is reported."""

    @classmethod
    def load(cls, folder: Path, device: str | torch.device = "cpu") -> "ImageSimilarity":
        """Load those networks that lie in a folder of embedded models."""
        features, identity, held_out = (
            folder / name for name in (FEATURES_FILE, IDENTITY_FILE, HELD_OUT_FILE)
        )
        return cls(
            ImageTextEncoder.load(features).to(device).trunk if features.is_file() else None,
            IdentityEncoder.load(identity).to(device) if identity.is_file() else None,
            StyleClassifier.load(held_out).to(device) if held_out.is_file() else None,
        )

    @property
    def trunks(self) -> tuple[Trunk, ...]:
        """The feature networks that a learned first guess reads; empty unless both are there."""
        if self.trunk is None or self.identity is None:
            return ()
        return self.identity.trunk, self.trunk

    def perceptual_loss(self, image_pm1: Tensor, other_pm1: Tensor) -> Tensor:
        """Perceptual loss [B] of images [B, 3, R, R] and others (or one): the mean of the finest layers."""
        if self.trunk is None:
            return image_pm1.new_zeros(len(image_pm1))
        maps, others = (self.trunk.maps(image)[:_LAYERS] for image in (image_pm1, other_pm1))
        return perceptual_distance(maps, others) / _LAYERS

    def identity_similarity(self, image_pm1: Tensor, other_pm1: Tensor) -> Tensor:
        """Cosines [B] of face embeddings, -1..1; 0 without an identity network."""
        if self.identity is None:
            return image_pm1.new_zeros(len(image_pm1))
        return (self.identity(image_pm1) * self.identity(other_pm1)).sum(dim=1)

    def reported_distance(self, image_pm1: Tensor, other_pm1: Tensor) -> float | None:
        """Perceptual distance of two images [1, 3, R, R] by the held-out network; None without one."""
        if self.held_out is None:
            return None
        return float(perceptual_distance(self.held_out.maps(image_pm1), self.held_out.maps(other_pm1)))


@dataclass(frozen=True, eq=False)
class TargetImage:
    """The picture to be reproduced, on white."""

    image: Tensor
    """[1, 3, R, R] in -1..1."""
    mask: Tensor
    """Share of each pixel that the head covers, [1, 1, R, R]."""
    known: Tensor | None = None
    """Share of each pixel that the photograph shows, [1, 1, R, R]; None: all of it."""
    weight: Tensor | None = None
    """How much each pixel counts in the pixel distance, [1, 1, R, R], 1 in the mean; None: all alike."""
    grey: bool = False
    """Whether the photograph is black and white: every render is then compared in its own colours."""

    @classmethod
    def make(cls, image_pm1: Tensor, mask: Tensor) -> "TargetImage":
        """Put an aligned picture [1, 3, R, R] on white by its mask [1, 1, R, R]."""
        return cls(image_pm1 * mask + (1 - mask), mask)

    def at(self, resolution: int) -> "TargetImage":
        """Resize to another edge."""
        known, weight = (
            None if part is None else resize(part, resolution) for part in (self.known, self.weight)
        )
        return TargetImage(
            resize(self.image, resolution), resize(self.mask, resolution), known, weight, self.grey
        )

    def completed(self, image_pm1: Tensor, mask: Tensor) -> "TargetImage":
        """Take what the photograph does not show from renders [K, 3, R, R] and their masks [K, 1, R, R].

        No gradient comes from there: nothing is held against a render where, or how, nobody knows better.
        """
        if self.known is None and not self.grey:
            return self
        image, outline, drawn, known = self.image, self.mask, image_pm1.detach(), self.known
        if self.grey:
            image = image + drawn - luma(drawn)[:, None]
        if known is not None:
            image, outline = (
                known * image + (1 - known) * drawn,
                known * outline + (1 - known) * mask.detach(),
            )
        return TargetImage(image, outline, None, self.weight)


def pixel_distance(image: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean over an image of squared plus a tenth of absolute differences, [B]; weighted where weights are."""
    error = image - target
    each = error.square() + 0.1 * error.abs()
    return (each if weight is None else each * weight).mean(dim=(1, 2, 3))
