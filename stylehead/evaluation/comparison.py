"""What a row of the table is measured on: stylised heads, the untouched ones, and how they should look."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from stylehead.errors import MissingError
from stylehead.evaluation.portraits import Portraits
from stylehead.images import perceptual_vectors, resize
from stylehead.perception.lpips import LpipsPictures
from stylehead.perception.roles import Encoders, FaceEmbeddings, Features

BATCH = 16
DEPTH_SIZE = 128
"""Height and width at which estimated depth is kept: the difference of two shapes needs no more."""
NEAR_FRONT_DEG = 30.0
"""Faces are compared in views whose yaw is within plus or minus this: beyond, there is not enough face."""


class EncodedPortraits:
    """Portraits and their embeddings, each computed when it is first read.

    Args:
        portraits: The pictures, N people from V sides.
        encoders: The networks that embed them.
        batch: Pictures at once; it changes nothing but memory and time.
    """

    def __init__(self, portraits: Portraits, encoders: Encoders, *, batch: int = BATCH) -> None:
        self.portraits, self.encoders, self.batch = portraits, encoders, batch

    @cached_property
    def near_front(self) -> Portraits:
        """The F views in which faces are compared."""
        yaws = [yaw for yaw in self.portraits.yaws_deg if abs(yaw) <= NEAR_FRONT_DEG]
        return self.portraits.pick(yaws_deg=yaws)

    @cached_property
    def faces(self) -> FaceEmbeddings:
        """Faces in the near-front views: unit vectors [N, F, D], and where one was found [N, F]."""
        return self._faces("faces")

    @cached_property
    def judged_faces(self) -> FaceEmbeddings:
        """The same by the second identity encoder."""
        return self._faces("identity_judge")

    def _faces(self, role: Literal["faces", "identity_judge"]) -> FaceEmbeddings:
        network, images = self.encoders.require(role), self.near_front.images
        with torch.no_grad():
            parts = [network.faces(chunk) for chunk in images.flatten(0, 1).split(self.batch)]
        joined = (torch.cat(part).cpu() for part in zip(*parts, strict=True))
        vectors, found = (part.unflatten(0, images.shape[:2]) for part in joined)
        return FaceEmbeddings(vectors, found)

    @cached_property
    def image_text(self) -> Tensor:
        """Image-text embeddings, unit vectors [N, V, D]."""
        return self._all(self.encoders.require("image_text").images)

    @cached_property
    def inception(self) -> Tensor:
        """Inception features [N, V, 2048]."""
        return self._all(self.encoders.require("inception").features)

    @cached_property
    def styles(self) -> Tensor:
        """Indices of the styles that the classifier predicts, [N, V]."""
        return self._all(self.encoders.require("recogniser").styles)

    @cached_property
    def judged_styles(self) -> Tensor:
        """The same by the second recogniser."""
        return self._all(self.encoders.require("style_judge").styles)

    @cached_property
    def judged_looks(self) -> Tensor:
        """Vectors [N, V, F] whose squared distances are the second recogniser's distances of looks."""
        network = self.encoders.require("style_judge")
        return self._all(lambda images: perceptual_vectors(network.maps(images)))

    @cached_property
    def nearness(self) -> Tensor:
        """Estimated inverse depth [N, V, 1, DEPTH_SIZE, DEPTH_SIZE]."""
        network = self.encoders.require("depth")
        return self._all(lambda images: resize(network.nearness(images), DEPTH_SIZE))

    def perceptual(self, column: int) -> Tensor:
        """Vectors [N, F] of one side whose squared distances are perceptual; not kept, they are large."""
        network, images = self.encoders.require("features"), self.portraits.images[:, column]
        with torch.no_grad():
            parts = [_looks(network, chunk) for chunk in images.split(self.batch)]
        return torch.cat(parts).cpu()

    def _all(self, encode: Callable[[Tensor], Tensor]) -> Tensor:
        images = self.portraits.images
        with torch.no_grad():
            parts = [encode(chunk) for chunk in images.flatten(0, 1).split(self.batch)]
        return torch.cat(parts).cpu().unflatten(0, images.shape[:2])


def _looks(network: Features, images: Tensor) -> Tensor:
    """Return vectors [B, F] whose squared distances are a network's perceptual ones; LPIPS has its own."""
    if isinstance(network, LpipsPictures):
        return network.vectors(images)
    return perceptual_vectors(network.maps(images))


class Reference(NamedTuple):
    """Pictures in the style with which distributions are compared."""

    encoded: EncodedPortraits
    """The pictures."""
    paired: bool
    """They show the same people from the same sides, so that they can be compared one by one."""
    name: str
    """Where they come from, for people."""


@dataclass(frozen=True, eq=False)
class Target:
    """What heads should look like."""

    prompt: str
    """In words."""
    style: str
    """Name of the style, which groups the rows of a table."""
    truth: EncodedPortraits | None = None
    """The true stylised pictures, where they are known."""
    reference: Reference | None = None
    """Pictures in the style, if there are any."""
    why: dict[str, MissingError] = field(default_factory=dict)
    """Why truth, reference or oracle is not there."""
    oracle: EncodedPortraits | None = None
    """Heads trained on true pictures of other people: the best that edited ones can teach."""

    def need_truth(self) -> EncodedPortraits:
        """Return the true pictures.

        Raises:
            MissingError: They are not known.
        """
        if self.truth is None:
            raise self.why.get("truth", MissingError("The true stylised pictures are not known."))
        return self.truth

    def need_oracle(self) -> EncodedPortraits:
        """Return the oracle's heads.

        Raises:
            MissingError: There are none.
        """
        if self.oracle is None:
            how = "stylehead eval --runs RUN --runs ORACLE_RUN, trained on `python -m stylehead.world bank`"
            raise self.why.get("oracle", MissingError("No run on true pictures is among these.", how))
        return self.oracle

    def need_reference(self) -> Reference:
        """Return the reference pictures.

        Raises:
            MissingError: There are none.
        """
        if self.reference is None:
            raise self.why.get("reference", MissingError("There are no reference pictures."))
        return self.reference


@dataclass(frozen=True, eq=False)
class Comparison:
    """A stylisation to be measured, and what it is compared with."""

    stylised: EncodedPortraits
    """Its heads."""
    untouched: EncodedPortraits
    """The same people before."""
    target: Target
    """What they should look like."""
    force: bool = False
    """Measure Frechet distances over too few pictures as well."""

    @property
    def encoders(self) -> Encoders:
        """The networks that embed all of these pictures."""
        return self.stylised.encoders
