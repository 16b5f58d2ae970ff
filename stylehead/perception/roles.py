"""Roles of networks that take pictures, one protocol each, and all of them together.

They take pictures as bytes (uint8) or as floats in -1..1, [B, 3, R, R], on any device, and return tensors on
their own; gradients flow to float pictures where a method is called differentiable. Each has a `name` that
goes beside its numbers.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from torch import Tensor

from stylehead.errors import MissingError

Role = Literal[
    "faces", "image_text", "features", "recogniser", "depth", "inception", "style_judge", "identity_judge"
]


class FaceEmbeddings(NamedTuple):
    """Embedded faces of B pictures."""

    vectors: Tensor
    """Unit vectors [B, D] that agree for the same person; zeros where no face was found."""
    found: Tensor
    """Where a face was found, bool [B]."""


class Faces(Protocol):
    """Embeds faces, so that pictures of one person agree."""

    name: str

    def faces(self, images: Tensor) -> FaceEmbeddings:
        """Embed the face of each picture."""


class ImageText(Protocol):
    """Embeds pictures and texts in one space; its weights are frozen."""

    name: str
    is_clip: bool
    """Whether numbers over it may be called by CLIP's name."""
    templates: tuple[str, ...]
    """Sentences around `{}` over which the embedding of a text is averaged."""

    def images(self, images: Tensor) -> Tensor:
        """Embed pictures as unit vectors [B, D], differentiably."""

    def texts(self, texts: Sequence[str]) -> Tensor:
        """Embed texts as unit vectors [N, D]."""


class Features(Protocol):
    """Computes feature maps for perceptual distances."""

    name: str

    def maps(self, images: Tensor) -> Sequence[Tensor]:
        """Feature maps [B, C_l, h_l, w_l], one per layer, finest first, differentiably."""


class Recogniser(Protocol):
    """Classifies pictures by style."""

    name: str

    def styles(self, images: Tensor) -> Tensor:
        """Indices [B] of the most likely styles, in the order of `STYLES`."""


class RecogniserWithMaps(Recogniser, Features, Protocol):
    """Classifies pictures by style, and shows what it goes by."""


class Depth(Protocol):
    """Estimates depth from one picture."""

    name: str

    def nearness(self, images: Tensor) -> Tensor:
        """Inverse depth [B, 1, h, w] in the network's own unit: larger is nearer."""


class PooledFeatures(Protocol):
    """Computes features of whole pictures, for distances of distributions."""

    name: str

    def features(self, images: Tensor) -> Tensor:
        """Features [B, D] of byte pictures."""


@dataclass(frozen=True, eq=False)
class Encoders:
    """A network for every role; one that is missing is None, with the reason in `why`."""

    faces: Faces | None = None
    image_text: ImageText | None = None
    features: Features | None = None
    recogniser: Recogniser | None = None
    depth: Depth | None = None
    inception: PooledFeatures | None = None
    style_judge: RecogniserWithMaps | None = None
    identity_judge: Faces | None = None
    why: dict[str, MissingError] = field(default_factory=dict)

    def require(self, role: Role) -> Any:
        """Return the network of a role.

        Raises:
            MissingError: It is not there.
        """
        network = getattr(self, role)
        if network is None:
            raise self.why.get(role, MissingError(f"There is no network for {role}."))
        return network

    def names(self) -> dict[str, str]:
        """Name of the network by role, of those that are there."""
        roles = [item.name for item in fields(self) if item.name != "why"]
        return {role: getattr(self, role).name for role in roles if getattr(self, role) is not None}


def file_name(title: str, path: Path) -> str:
    """Write a title with the start of the file's sha256: numbers of two networks never look alike."""
    with path.open("rb") as file:
        return f"{title} {hashlib.file_digest(file, 'sha256').hexdigest()[:8]}"
