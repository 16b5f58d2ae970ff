"""The networks that look at pictures, as metrics ask them, with the names that go beside every number."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from stylehead.errors import MissingError
from stylehead.images import bytes_to_pm1
from stylehead.perception.embedded import IdentityEncoder, StyleClassifier
from stylehead.perception.image_text import EmbeddedSpace


class Faces(NamedTuple):
    """Who is in B pictures: unit vectors [B,D], and where a face was found at all [B]."""

    vectors: Tensor
    found: Tensor


class FaceNetwork(Protocol):
    """Says who is in a picture."""

    name: str

    def faces(self, images: Tensor) -> Faces:
        """Embed uint8 pictures [B,3,R,R]."""


class ImageTextNetwork(Protocol):
    """Puts pictures and texts into one space."""

    name: str
    is_clip: bool

    def pictures(self, images: Tensor) -> Tensor:
        """Embed uint8 pictures [B,3,R,R] as unit vectors [B,D]."""

    def text(self, prompt: str) -> Tensor:
        """Embed a text as a unit vector [D]."""


class MapNetwork(Protocol):
    """Gives feature maps for a perceptual distance."""

    name: str

    def maps(self, images: Tensor) -> Sequence[Tensor]:
        """Feature maps [B,C_l,h_l,w_l] of uint8 pictures [B,3,R,R]."""


class StyleNetwork(Protocol):
    """Names the style of a picture."""

    name: str

    def styles(self, images: Tensor) -> Tensor:
        """Numbers [B], in the order of `STYLES`, of the styles of uint8 pictures [B,3,R,R]."""


class FeatureNetwork(Protocol):
    """Gives features of whole pictures for distances of distributions."""

    name: str

    def features(self, images: Tensor) -> Tensor:
        """Features [B,D] of uint8 pictures [B,3,R,R]."""


class DepthNetwork(Protocol):
    """Estimates depth from one picture."""

    name: str

    def nearness(self, images: Tensor) -> Tensor:
        """Inverse depth [B,1,h,w], larger is nearer, of uint8 pictures [B,3,R,R]."""


@dataclass(frozen=True, eq=False)
class Encoders:
    """All of them; what is not there is None, and `why` says why and what to do."""

    face: FaceNetwork | None = None
    image_text: ImageTextNetwork | None = None
    perceptual: MapNetwork | None = None
    style: StyleNetwork | None = None
    depth: DepthNetwork | None = None
    inception: FeatureNetwork | None = None
    why: dict[str, MissingError] = field(default_factory=dict)

    def need(self, role: str) -> Any:
        """The network of a role.

        Raises:
            MissingError: It is not there.
        """
        network = getattr(self, role)
        if network is None:
            raise self.why.get(role, MissingError(f"There is no network for {role}."))
        return network

    def names(self) -> dict[str, str]:
        """What each role is done by."""
        roles = ("face", "image_text", "perceptual", "style", "depth", "inception")
        return {role: getattr(self, role).name for role in roles if getattr(self, role) is not None}


# ----------------------------------------------------------------------------------------- the embedded world


class MiniFaces:
    """The embedded identity encoder; it takes every picture for a face.

    Args:
        path: Its weights.
        device: Where it computes.
    """

    def __init__(self, path: Path, device: str = "cpu") -> None:
        self.network, self.device = IdentityEncoder.load(path).to(device), device
        self.name = file_name("mini identity", path)

    @torch.no_grad()
    def faces(self, images: Tensor) -> Faces:  # noqa: D102
        vectors = self.network(bytes_to_pm1(images.to(self.device))).cpu()
        return Faces(vectors, torch.ones(len(vectors), dtype=torch.bool))


class MiniImageText:
    """The embedded image-text encoder.

    Args:
        path: Its weights.
        tokenizer: Folder of the embedded tokenizer.
        device: Where it computes.
    """

    is_clip = False

    def __init__(self, path: Path, tokenizer: Path, device: str = "cpu") -> None:
        self.space, self.device = EmbeddedSpace.load(path, tokenizer, device), device
        self.name = file_name("mini image-text", path)

    @torch.no_grad()
    def pictures(self, images: Tensor) -> Tensor:  # noqa: D102
        return self.space.images(bytes_to_pm1(images.to(self.device))).cpu()

    def text(self, prompt: str) -> Tensor:  # noqa: D102
        return self.space.texts([prompt])[0].cpu()


class MiniStyles:
    """The embedded style classifier, which is never used in training anything; its feature maps as well.

    Args:
        path: Its weights.
        device: Where it computes.
    """

    def __init__(self, path: Path, device: str = "cpu") -> None:
        self.network, self.device = StyleClassifier.load(path).to(device), device
        self.name = file_name("mini style classifier", path)

    @torch.no_grad()
    def styles(self, images: Tensor) -> Tensor:  # noqa: D102
        return self.network(bytes_to_pm1(images.to(self.device))).argmax(dim=1).cpu()

    @torch.no_grad()
    def maps(self, images: Tensor) -> Sequence[Tensor]:  # noqa: D102
        return [layer.cpu() for layer in self.network.trunk.maps(bytes_to_pm1(images.to(self.device)))]


def file_name(title: str, path: Path) -> str:
    """A title with the start of the file's sha256: numbers of two different encoders never look alike."""
    with path.open("rb") as file:
        return f"{title} {hashlib.file_digest(file, 'sha256').hexdigest()[:8]}"
