"""Mappers of style vectors: styles that move heads within what a generator can do instead of changing it."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from stylehead.errors import JobError
from stylehead.generator.layers import FullyConnected

STEP = 0.1
"""Factor on a mapper's output before it is added to the style vectors (StyleCLIP)."""
GROUPS: dict[str, tuple[int, int | None]] = {"coarse": (0, 4), "medium": (4, 8), "fine": (8, None)}
"""Style vectors by group: first, and one past the last."""
LAYERS = 4
LR_MUL = 0.01


class LatentMapper(nn.Module):
    """Three small networks, one for each group of style vectors, that say what is added to them.

    Args:
        w_dim: Length of a style vector.
    """

    def __init__(self, w_dim: int) -> None:
        super().__init__()
        for name in GROUPS:
            layers = [FullyConnected(w_dim, w_dim, activation="lrelu", lr_mul=LR_MUL) for _ in range(LAYERS)]
            self.add_module(name, nn.Sequential(*layers))

    @classmethod
    def drawn(cls, w_dim: int, *, rng: torch.Generator) -> "LatentMapper":
        """Make a fresh mapper on a CPU: weights normal over `LR_MUL`, biases 0, as StyleGAN's mapping."""
        with torch.device("meta"):
            shapes = {name: tensor.shape for name, tensor in cls(w_dim).state_dict().items()}
        state = {
            name: torch.randn(shape, generator=rng) / LR_MUL
            if name.endswith("weight")
            else torch.zeros(shape)
            for name, shape in shapes.items()
        }
        return cls.of_state(w_dim, state)

    @classmethod
    def of_state(cls, w_dim: int, state: Mapping[str, Tensor]) -> "LatentMapper":
        """Make a mapper of its tensors.

        Raises:
            JobError: They are not those of a mapper of style vectors of this length.
        """
        with torch.device("meta"):
            mapper = cls(w_dim)
        try:
            mapper.load_state_dict(dict(state), assign=True)
        except RuntimeError as error:
            raise JobError("The style's mapper does not fit the style vectors of this generator.") from error
        return mapper

    def forward(self, ws: Tensor) -> Tensor:
        """Map style vectors [K, num_ws, w_dim] to what is added to them, of the same shape."""
        parts = []
        for name, (first, end) in GROUPS.items():
            group = ws[:, first:end]
            level = (group.square().mean(dim=2, keepdim=True) + 1e-8).rsqrt()
            parts.append(self.get_submodule(name)(group * level))
        return STEP * torch.cat(parts, dim=1)
