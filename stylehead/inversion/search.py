"""Where to start: poses and heads from which the refinement is worth trying, best first.

A few random heads are rendered small from a grid of poses. In every pose, the picture is approximated by a
regularised combination of them (one small linear system); the poses in which that works best win, and the
combination is also a first guess of the head.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from stylehead.generator import PanoHead, RenderOptions
from stylehead.geometry import camera_from_angles
from stylehead.inversion.latents import LatentSpace, mapped_samples
from stylehead.inversion.pose import pose
from stylehead.inversion.similarity import TargetImage


@dataclass(frozen=True)
class GridConfig:
    """What the grid search renders."""

    heads: int = 24
    """Random heads beside the mean one."""
    resolution: int = 12
    """Edge of the renders, pixels."""
    yaw_step_deg: float = 15.0
    yaw_limit_deg: float = 75.0
    pitch_step_deg: float = 12.0
    pitch_limit_deg: float = 24.0
    ridge: float = 3.0
    """How strongly the combination is held near the mean head."""
    seed: int = 1
    """Of the random heads."""


class Start(NamedTuple):
    """A place to start from: poses [K, 6] and coordinates of heads [K, A], best first."""

    poses: Tensor
    coords: Tensor


class PoseGrid:
    """Small renders of random heads from a grid of poses; made once for any number of pictures.

    Args:
        generator: In evaluation mode.
        space: Its latents.
        config: What to render.
        done: Called with the share 0..1 of renders that are there.
    """

    def __init__(
        self,
        generator: PanoHead,
        space: LatentSpace,
        config: GridConfig | None = None,
        done: Callable[[float], None] = lambda _share: None,
    ) -> None:
        self._config = config = config or GridConfig()
        samples = mapped_samples(generator, config.heads, seed=config.seed)
        self._coords = torch.cat([space.mean.new_zeros(1, len(space.scales)), space.coords(samples)])
        angles = _right_half(config).to(space.mean.device)
        labels = camera_from_angles(angles[:, 0], angles[:, 1])
        renders = []
        for number, coords in enumerate(self._coords):
            renders.append(_small(generator, space.ws(coords[None]), labels, config.resolution))
            done((number + 1) / len(self._coords))
        right = torch.stack(renders)  # [M+1, P, 4, r, r]
        turned = angles[:, 0] > 0
        # People are nearly symmetric: a mirrored render stands for the mirrored pose.
        self._renders = torch.cat([right, right[:, turned].flip(-1)], dim=1).flatten(2)
        signs = angles.new_tensor([-1.0, 1.0])
        self.angles = torch.cat([angles, angles[turned] * signs])
        self._solve = self._systems()

    def _systems(self) -> Tensor:
        """Inverse of each pose's regularised system, [P, M, M]."""
        basis = (self._renders[1:] - self._renders[:1]).transpose(0, 1)
        gram = basis @ basis.transpose(1, 2)
        identity = torch.eye(len(gram[0]), device=gram.device, dtype=gram.dtype)
        return torch.linalg.inv(gram + self._config.ridge * identity)

    def starts(self, target: TargetImage, count: int) -> Start:
        """The best `count` poses that differ by at least one step of the grid, and heads for them."""
        small = target.at(self._config.resolution)
        picture = torch.cat([small.image, small.mask], dim=1).flatten()
        mean, basis = self._renders[0], (self._renders[1:] - self._renders[:1]).transpose(0, 1)
        rest = picture - mean
        shares = (self._solve @ (basis @ rest[:, :, None]))[:, :, 0]
        left = rest - (shares[:, :, None] * basis).sum(dim=1)
        score = left.square().sum(dim=1) + self._config.ridge * shares.square().sum(dim=1)
        rows = self._apart(score, count)
        angles = self.angles[rows]
        return Start(pose(angles[:, 0], angles[:, 1]), shares[rows] @ self._coords[1:])

    def head_at(self, target: TargetImage, angles: Tensor) -> Tensor:
        """Coordinates [1, A] of a first guess of the head, when its yaw and pitch [2] are known."""
        nearest = (self.angles - angles).square().sum(dim=1).argmin()
        small = target.at(self._config.resolution)
        picture = torch.cat([small.image, small.mask], dim=1).flatten()
        basis = self._renders[1:, nearest] - self._renders[:1, nearest]
        shares = self._solve[nearest] @ (basis @ (picture - self._renders[0, nearest]))
        return shares[None] @ self._coords[1:]

    def expected_mask(self, angles: Tensor | None = None) -> Tensor:
        """How often the heads cover each pixel, [r, r] in 0..1: from one pose [2], or from all in front."""
        masks = self._renders.unflatten(2, (4, self._config.resolution, self._config.resolution))[:, :, 3]
        if angles is None:
            rows = self.angles[:, 0].abs() < math.radians(50)
            return masks[:, rows].mean(dim=(0, 1))
        nearest = (self.angles - angles).square().sum(dim=1).argmin()
        return masks[:, nearest].mean(dim=0)

    def _apart(self, score: Tensor, count: int) -> list[int]:
        yaw_step, pitch_step = (
            math.radians(self._config.yaw_step_deg),
            math.radians(self._config.pitch_step_deg),
        )
        chosen: list[int] = []
        for row in score.argsort().tolist():
            steps = (self.angles[chosen] - self.angles[row]).abs() / self.angles.new_tensor(
                [yaw_step, pitch_step]
            )
            if not len(chosen) or float(steps.amax(dim=1).min()) > 0.9:
                chosen.append(row)
            if len(chosen) == count:
                break
        return chosen


@torch.no_grad()
def _small(generator: PanoHead, ws: Tensor, labels: Tensor, resolution: int) -> Tensor:
    """Colour on white and mask, [P, 4, r, r]."""
    grid = generator.prepare(generator.planes(ws))
    options = RenderOptions(resolution=resolution, raw_mask=True)
    raw = generator.render_raw(grid, ws, labels, background="white", options=options)
    return torch.cat([raw.image_raw, raw.weight_sum], dim=1)


def _right_half(config: GridConfig) -> Tensor:
    """Angles [P, 2] in radians with yaw from 0 up."""
    yaws = torch.arange(0.0, config.yaw_limit_deg + 1e-3, config.yaw_step_deg)
    steps = int(config.pitch_limit_deg / config.pitch_step_deg + 1e-6)
    half = torch.arange(1.0, steps + 1) * config.pitch_step_deg
    pitches = torch.cat([-half.flip(0), torch.zeros(1), half])
    return torch.deg2rad(torch.cartesian_prod(yaws, pitches))
