"""A learned first guess: who is it, and from where, by one linear map from features of the picture.

The map is fitted in closed form by `python -m stylehead.world guess` and lies beside the generator as
`guess.safetensors`. It is only where the search starts; without it, the search starts from a grid of poses.

People are nearly symmetric, so that the mirrored picture shows the mirrored pose: the yaw is read from the
difference between features of the picture and of its mirror image, everything else from their mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.nn import functional

from stylehead.errors import JobError, MissingError
from stylehead.files import save_tensors
from stylehead.generator.checkpoint import fingerprint
from stylehead.perception.embedded import Trunk

FILE = "guess.safetensors"
FORMAT = "guess-1"
POOLED = (8, 6, 4, 4)
"""Edges to which a trunk's feature maps are averaged, finest first."""


class MirrorFeatures(NamedTuple):
    """Features of a picture and its mirror image: their mean [B, F], and half their difference [B, F]."""

    even: Tensor
    odd: Tensor


@torch.no_grad()
def mirror_features(trunks: Sequence[Trunk], image_pm1: Tensor) -> MirrorFeatures:
    """Features of pictures [B, 3, R, R] on white, in -1..1."""
    own, mirrored = (_pooled(trunks, picture) for picture in (image_pm1, image_pm1.flip(-1)))
    return MirrorFeatures((own + mirrored) / 2, (own - mirrored) / 2)


def _pooled(trunks: Sequence[Trunk], image_pm1: Tensor) -> Tensor:
    maps = [pair for trunk in trunks for pair in zip(trunk.maps(image_pm1), POOLED, strict=True)]
    return torch.cat([functional.adaptive_avg_pool2d(found, size).flatten(1) for found, size in maps], dim=1)


def features_fingerprint(trunks: Sequence[Trunk]) -> str:
    """Sha256 (hex) over the weights of the networks that features come from."""
    states = [trunk.state_dict() for trunk in trunks]
    return fingerprint({f"{i}.{name}": t for i, state in enumerate(states) for name, t in state.items()})


class Guessed(NamedTuple):
    """Angles [B, 2] (yaw and pitch, radians) and style vectors w [B, w_dim]."""

    angles: Tensor
    w: Tensor


@dataclass(frozen=True, eq=False)
class Guess:
    """The linear map."""

    weight: Tensor
    """[F, 2 + K]: odd features to the yaw (radians), even ones to the pitch and K coordinates of w."""
    bias: Tensor
    """[2 + K]; of the yaw it is 0."""
    basis: Tensor
    """[K, w_dim], and mean [w_dim]: w is `mean + coordinates @ basis`."""
    mean: Tensor
    """See `basis`."""
    generator: str
    """Fingerprint of the generator to which w belongs."""
    features: str
    """Fingerprint of the networks that the features come from."""

    def __call__(self, trunks: Sequence[Trunk], image_pm1: Tensor) -> Guessed:
        """Guess from pictures [B, 3, R, R] on white."""
        features = mirror_features(trunks, image_pm1)
        yaw = features.odd @ self.weight[:, :1] + self.bias[:1]
        rest = features.even @ self.weight[:, 1:] + self.bias[1:]
        return Guessed(torch.cat([yaw, rest[:, :1]], dim=1), self.mean + rest[:, 1:] @ self.basis)

    def save(self, path: Path, metadata: dict[str, str]) -> None:
        """Write the map in half precision, atomically."""
        tensors = {"weight": self.weight.half(), "bias": self.bias, "basis": self.basis, "mean": self.mean}
        header = {
            "stylehead.format": FORMAT,
            "stylehead.generator": self.generator,
            "stylehead.features": self.features,
        }
        save_tensors(path, tensors, {**metadata, **header})

    @classmethod
    def load(cls, path: Path, device: str | torch.device = "cpu") -> "Guess":
        """Read a file of `save`.

        Raises:
            MissingError: There is no such file.
            JobError: It is damaged or something else.
        """
        if not path.is_file():
            raise MissingError(f"{path} is not there.", "python -m stylehead.world guess")
        try:
            with safe_open(path, framework="pt") as file:
                header = file.metadata() or {}
                if header.get("stylehead.format") != FORMAT:
                    raise JobError(f"{path} is not a first guess that this version can read.")
                names = ("weight", "bias", "basis", "mean")
                weight, bias, basis, mean = (file.get_tensor(name).float().to(device) for name in names)
        except SafetensorError as error:
            raise JobError(f"{path} is damaged.") from error
        facts = ("stylehead.generator", "stylehead.features")
        return cls(weight, bias, basis, mean, *(header.get(name, "") for name in facts))
