"""The field of heads: density and features at points in space, read from tri-grids by the decoder."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from stylehead.architecture import DECODER_FEATURES, DECODER_HIDDEN, DecoderActivation
from stylehead.generator.layers import LRELU_GAIN, LRELU_SLOPE, FullyConnected
from stylehead.generator.trigrid import TriGrid, sample_trigrid_mean

_POINTS_AT_ONCE = 65536
"""On a CPU, without gradients: values in between then stay in memory that was just used, a fifth faster."""


class Decoder(nn.Module):
    """Two layers with a softplus between: 32 -> 64 -> density and 32 features. The view does not matter."""

    def __init__(self, *, lr_mul: float = 1.0, activation: DecoderActivation = "none") -> None:
        super().__init__()
        self.activation = activation
        self.net = nn.Sequential(
            FullyConnected(DECODER_FEATURES, DECODER_HIDDEN, lr_mul=lr_mul),
            nn.Softplus(),
            FullyConnected(DECODER_HIDDEN, 1 + DECODER_FEATURES, lr_mul=lr_mul),
        )

    def forward(self, sampled: Tensor) -> tuple[Tensor, Tensor]:
        """Map features averaged over the stacks [..., 32] to density logits [...] and features [..., 32]."""
        density, features = self.net(sampled).split([1, DECODER_FEATURES], dim=-1)
        density = density[..., 0]
        if self.activation == "sigmoid":
            features = torch.sigmoid(features) * 1.002 - 0.001
        elif self.activation == "lrelu":
            features = functional.leaky_relu(features, LRELU_SLOPE) * LRELU_GAIN
        return density, features


@dataclass(frozen=True, eq=False)
class HeadField:
    """The fields of K tri-grids.

    Attributes:
        grid: The tri-grids.
        decoder: Reads them, as `Decoder` does.
        box_warp: Edge of their cube in world units.
        density_noise: Standard deviation of noise on the density logits.
        rng: Source of that noise.
    """

    grid: TriGrid
    decoder: Callable[[Tensor], tuple[Tensor, Tensor]]
    box_warp: float
    density_noise: float = 0.0
    rng: torch.Generator | None = None

    def __call__(self, points: Tensor, kept: Tensor | None) -> tuple[Tensor, Tensor]:
        """Evaluate the field at the samples of rays.

        Args:
            points: [B, M, S, 3], the same number of cameras for each identity.
            kept: Where the result counts, [B, M, S]; None for everywhere.

        Returns:
            Density logits [B, M, S] and features [B, M, S, 32].
        """
        per_identity = points.reshape(len(self.grid.planes), -1, 3)
        if kept is None or kept.device.type != "cpu":  # to pick points, a graphics card must be waited for
            density, features = self.at(per_identity)
        else:
            density, features = self._where(kept.reshape(per_identity.shape[:2]), per_identity)
        if self.density_noise > 0:
            noise = torch.empty_like(density).normal_(generator=self.rng)
            density = density + noise * self.density_noise
        return density.reshape(points.shape[:-1]), features.reshape(*points.shape[:-1], -1)

    def at(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Density logits [K, P] and features [K, P, 32] at points [K, P, 3]."""
        shape = points.shape[:2]
        owners = torch.arange(shape[0], device=points.device).repeat_interleave(shape[1])
        density, features = self._of(points.flatten(0, 1), owners)
        return density.unflatten(0, shape), features.unflatten(0, shape)

    def _of(self, points: Tensor, owners: Tensor) -> tuple[Tensor, Tensor]:
        """Density logits [N] and features [N, 32] at points [N, 3] of identities [N]."""
        if points.device.type != "cpu" or torch.is_grad_enabled():
            return self._at_once(points, owners)
        chunks = zip(points.split(_POINTS_AT_ONCE), owners.split(_POINTS_AT_ONCE), strict=True)
        density, features = (
            torch.cat(part) for part in zip(*itertools.starmap(self._at_once, chunks), strict=True)
        )
        return density, features

    def _at_once(self, points: Tensor, owners: Tensor) -> tuple[Tensor, Tensor]:
        density, features = self.decoder(
            sample_trigrid_mean(self.grid, points, owners, box_warp=self.box_warp)
        )
        return density, features

    def _where(self, kept: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """As `at` where `kept` [K, P] says so, zeros elsewhere: rays reach beyond the cube."""
        (rows,) = kept.flatten().nonzero(as_tuple=True)
        answers = self._of(points.flatten(0, 1)[rows], rows // points.shape[1])
        density, features = (
            part.new_zeros(kept.numel(), *part.shape[1:]).index_copy(0, rows, part).unflatten(0, kept.shape)
            for part in answers
        )
        return density, features
