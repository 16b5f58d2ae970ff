"""A learned first guess: who is it, and from where, by one linear map from features of the picture.

The map is fitted in closed form by `python -m stylehead.mini.recipes.guess` and lies beside the generator as
`guess.safetensors`. It is only where the search starts; without it, the search starts from a grid of poses.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.nn import functional

from stylehead.errors import JobError, MissingError
from stylehead.files import save_tensors
from stylehead.mini.encoders import Trunk

FILE = "guess.safetensors"
FORMAT = "guess-1"
POOLED = (8, 8, 6, 4)
"""Edges to which the trunk's feature maps are averaged, finest first."""


@torch.no_grad()
def pooled_features(trunk: Trunk, image_pm1: Tensor) -> Tensor:
    """Features [B,F] of pictures [B,3,R,R] on white, in -1..1."""
    maps = trunk.maps(image_pm1)
    pooled = [functional.adaptive_avg_pool2d(found, size) for found, size in zip(maps, POOLED, strict=True)]
    return torch.cat([part.flatten(1) for part in pooled], dim=1)


@dataclass(frozen=True, eq=False)
class Guess:
    """The linear map.

    Attributes:
        weight: [F,2 + K] from features to yaw and pitch (radians) and K coordinates of w.
        bias: [2 + K].
        basis: [K,w_dim], and mean [w_dim]: w is `mean + coordinates @ basis`.
        mean: See `basis`.
        generator: Fingerprint of the generator to which w belongs.
    """

    weight: Tensor
    bias: Tensor
    basis: Tensor
    mean: Tensor
    generator: str

    def __call__(self, trunk: Trunk, image_pm1: Tensor) -> tuple[Tensor, Tensor]:
        """Angles [B,2] (yaw and pitch, radians) and w [B,w_dim] of pictures [B,3,R,R] on white."""
        found = pooled_features(trunk, image_pm1) @ self.weight + self.bias
        return found[:, :2], self.mean + found[:, 2:] @ self.basis

    def save(self, path: Path, metadata: dict[str, str]) -> None:
        """Write the map in half precision, atomically."""
        tensors = {"weight": self.weight.half(), "bias": self.bias, "basis": self.basis, "mean": self.mean}
        header = {"stylehead.format": FORMAT, "stylehead.generator": self.generator, **metadata}
        save_tensors(path, tensors, header)

    @classmethod
    def load(cls, path: Path, device: str | torch.device = "cpu") -> "Guess":
        """Read a file of :meth:`save`.

        Raises:
            MissingError: There is no such file.
            JobError: It is damaged or something else.
        """
        if not path.is_file():
            raise MissingError(f"{path} is not there.", "python -m stylehead.mini.recipes.guess")
        try:
            with safe_open(path, framework="pt") as file:
                header = file.metadata() or {}
                if header.get("stylehead.format") != FORMAT:
                    raise JobError(f"{path} is not a first guess that this version can read.")
                names = ("weight", "bias", "basis", "mean")
                weight, bias, basis, mean = (file.get_tensor(name).float().to(device) for name in names)
        except SafetensorError as error:
            raise JobError(f"{path} is damaged.") from error
        return cls(weight, bias, basis, mean, header["stylehead.generator"])
