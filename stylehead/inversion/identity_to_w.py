"""From who somebody is, in numbers, to the style vector that draws them."""

from pathlib import Path
from typing import Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from stylehead.errors import JobError, MissingError

IDENTITY_TO_W = "identity_to_w.safetensors"
"""Beside the embedded generator, with which it was trained."""


class IdentityToW(nn.Module):
    """From the numbers of an identity [B, 128] to w [B, w_dim]."""

    mean: Tensor
    scale: Tensor

    def __init__(self, numbers: Tensor, *, w_dim: int, hidden: int = 256) -> None:
        super().__init__()
        self.register_buffer("mean", numbers.mean(dim=0))
        self.register_buffer("scale", 1 / numbers.std(dim=0).clamp(min=0.05))
        size = numbers.shape[1]
        self.skip = nn.Linear(size, w_dim)
        self.layers = nn.Sequential(
            nn.Linear(size, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, hidden), nn.LeakyReLU(0.2),
            nn.Linear(hidden, w_dim),
        )  # fmt: skip

    def forward(self, numbers: Tensor) -> Tensor:
        """Map [B, 128] to [B, w_dim]."""
        x = self.standardised(numbers)
        return self.skip(x) + self.layers(x)

    def standardised(self, numbers: Tensor) -> Tensor:
        """Numbers with mean 0 and standard deviation 1, less where they hardly vary."""
        return (numbers - self.mean) * self.scale

    @classmethod
    def load(cls, path: Path, device: str | torch.device = "cpu") -> Self:
        """Read a file that was written beside a generator.

        Raises:
            MissingError: There is no such file.
            JobError: It is damaged or something else.
        """
        if not path.is_file():
            raise MissingError(f"{path} is not there.", "python -m stylehead.world generator")
        try:
            state = {name: tensor.float() for name, tensor in load_file(path).items()}
            w_dim, size = state["skip.weight"].shape
            network = cls(torch.rand(2, size), w_dim=w_dim, hidden=len(state["layers.0.bias"]))
            network.load_state_dict(state)
        except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
            raise JobError(f"{path} does not hold an {cls.__name__}.") from error
        return network.to(device).eval().requires_grad_(False)
