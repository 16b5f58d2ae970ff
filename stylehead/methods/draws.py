"""Every random choice of one iteration, made in one place and in one order.

All of it is drawn whichever terms are switched on, so that two runs with one seed and different switches see
the same heads from the same sides at the same noise levels.
"""

import functools
import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from stylehead.geometry import mirror, random_cameras
from stylehead.methods.config import StylizeConfig

TILES = 4
"""Views of one head in a grid."""


class Sampling(NamedTuple):
    """The ranges that a method has its noise levels and the grid's cameras drawn from.

    Attributes:
        step_range: First and last DDIM step index of single views.
        grid_step_range: Those of the grid.
        step_window: Neighbouring steps drawn from at once; 0 for all of the range.
        grid_yaw_deg: Grid views look from yaw angles within plus or minus this.
    """

    step_range: tuple[int, int] = (0, 49)
    grid_step_range: tuple[int, int] = (0, 49)
    step_window: int = 0
    grid_yaw_deg: float = 180.0


@dataclass(frozen=True)
class Draw:
    """The inputs of one iteration over K identities.

    Attributes:
        z: Latent vectors [K, z_dim].
        labels: Cameras [K, n, 25] of the groups `single`, `single_mirrored`, `grid` and `grid_mirrored`.
        backgrounds_01: Plain colours [K, n, 3, 1, 1] of the same groups; one colour fills a whole grid.
        step_index: DDIM step indices of the stages `single` [K V] and `grid` [K].
        eps: Noise of the same stages, [N, C, h, w].
        again: Which of the heads that come again and again these are; None: none of them.
    """

    z: Tensor
    labels: dict[str, Tensor]
    backgrounds_01: dict[str, Tensor]
    step_index: dict[str, Tensor]
    eps: dict[str, Tensor]
    again: int | None = None

    def to(self, device: torch.device) -> "Draw":
        """Return the same choices on another device, in one copy instead of fifteen."""
        if device == self.z.device:
            return self
        tables = (self.labels, self.backgrounds_01, self.step_index, self.eps)
        tensors = [self.z, *(tensor for table in tables for tensor in table.values())]
        packed = torch.cat([tensor.reshape(-1).to(self.z.dtype) for tensor in tensors])  # indices fit in it
        moved = (packed.pin_memory() if device.type == "cuda" else packed).to(device, non_blocking=True)
        sizes = [tensor.numel() for tensor in tensors]
        parts = (
            part.view(tensor.shape).to(tensor.dtype)
            for part, tensor in zip(moved.split(sizes), tensors, strict=True)
        )
        z = next(parts)
        labels, backgrounds_01, step_index, eps = ({name: next(parts) for name in table} for table in tables)
        return Draw(z, labels, backgrounds_01, step_index, eps, self.again)


def draw_inputs(
    config: StylizeConfig,
    sampling: Sampling = Sampling(),  # noqa: B008, an immutable default
    *,
    z_dim: int,
    latent_shape: tuple[int, int, int],
    rng: torch.Generator,
    progress: float = 0.0,
) -> Draw:
    """Draw heads, cameras, backgrounds, noise levels and noise for one iteration.

    Args:
        config: Batch and camera ranges.
        sampling: Ranges of noise levels and of the grid's cameras.
        z_dim: Length of a latent vector.
        latent_shape: (C, h, w) of the teacher's latents.
        rng: Where every number comes from (a CPU generator makes runs alike on every device).
        progress: How much of the run is over, 0..1; the noise levels may depend on it.
    """
    limits = functools.partial(step_limits, window=sampling.step_window, progress=progress)
    identities, singles = config.batch, config.batch * config.views
    z = torch.randn(identities, z_dim, generator=rng, device=rng.device)
    single = _cameras(config, singles, config.yaw_deg, rng)
    grid = _cameras(config, identities * TILES, sampling.grid_yaw_deg, rng)
    single_colours = random_backgrounds(singles, rng=rng).unflatten(0, (identities, -1))
    grid_colours = random_backgrounds(identities, rng=rng)[:, None].expand(-1, TILES, -1, -1, -1)
    return Draw(
        z=z,
        labels=_with_mirrored(single, grid),
        backgrounds_01={
            "single": single_colours,
            "single_mirrored": single_colours,
            "grid": grid_colours,
            "grid_mirrored": grid_colours,
        },
        step_index={
            "single": _step_indices(limits(sampling.step_range), singles, rng),
            "grid": _step_indices(limits(sampling.grid_step_range), identities, rng),
        },
        eps={
            "single": torch.randn(singles, *latent_shape, generator=rng, device=rng.device),
            "grid": torch.randn(identities, *latent_shape, generator=rng, device=rng.device),
        },
    )


def _cameras(config: StylizeConfig, count: int, yaw_deg: float, rng: torch.Generator) -> Tensor:
    """Draw `count` labels, shaped [K, count / K, 25]."""
    labels = random_cameras(
        count,
        yaw_range_rad=math.radians(yaw_deg),
        pitch_range_rad=math.radians(config.pitch_deg),
        rng=rng,
    )
    return labels.unflatten(0, (config.batch, -1))


def random_backgrounds(count: int, *, rng: torch.Generator) -> Tensor:
    """Draw plain colours, uniform in 0..1, [count, 3, 1, 1]."""
    return torch.rand(count, 3, 1, 1, generator=rng, device=rng.device)


def _with_mirrored(single: Tensor, grid: Tensor) -> dict[str, Tensor]:
    labels = {"single": single, "grid": grid}
    mirrored = {
        f"{name}_mirrored": mirror(label.flatten(0, 1)).unflatten(0, label.shape[:2])
        for name, label in labels.items()
    }
    return labels | mirrored


def step_limits(limits: tuple[int, int], *, window: int, progress: float) -> tuple[int, int]:
    """Return the step indices, both ends included, that are drawn at one moment of a run.

    The window slides evenly from the noisy end of the range to the clean one, so that what a head is like as
    a whole is settled before its details (non-increasing timesteps, arXiv 2306.12422).

    Args:
        limits: First and last index of the whole run.
        window: Indices drawn from at once; 0, or as many as there are, for the whole range throughout.
        progress: How much of the run is over, 0..1.
    """
    low, high = limits
    room = high - low + 1 - window
    if window == 0 or room <= 0:
        return limits
    first = low + round(progress * room)
    return first, first + window - 1


def _step_indices(limits: tuple[int, int], count: int, rng: torch.Generator) -> Tensor:
    """Draw step indices uniformly, both ends included, [count]."""
    return torch.randint(limits[0], limits[1] + 1, (count,), generator=rng, device=rng.device)
