"""Pictures of several people from several sides, as one row of a table is measured on."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from stylehead.errors import UsageError
from stylehead.evaluation.angles import wrap_yaw
from stylehead.generator import PanoHead
from stylehead.geometry import camera_from_angles
from stylehead.images import to_pixels

_CAMERAS_AT_ONCE = 6


@dataclass(frozen=True, eq=False)
class Portraits:
    """Heads of N people from V sides on white."""

    images: Tensor
    """Uint8 [N, V, 3, R, R]."""
    seeds: tuple[int, ...]
    """Who, N numbers."""
    yaws_deg: tuple[float, ...]
    """From where, V angles above -180 and up to 180; the nominal pitch is 0."""
    masks: Tensor | None = None
    """Opacity [N, V, 1, r, r] in about 0..1, or None where it is not known."""
    depths: Tensor | None = None
    """Distance along the ray [N, V, 1, r, r], or None where there is no geometry."""

    def __len__(self) -> int:
        return len(self.seeds)

    @property
    def resolution(self) -> int:
        """Height and width of the pictures."""
        return self.images.shape[-1]

    def pick(
        self, *, seeds: Sequence[int] | None = None, yaws_deg: Sequence[float] | None = None
    ) -> "Portraits":
        """Keep some of the people and sides, in the order given.

        Raises:
            UsageError: One of them is not there.
        """
        seeds = self.seeds if seeds is None else tuple(seeds)
        yaws_deg = self.yaws_deg if yaws_deg is None else tuple(yaws_deg)
        rows = [_place(seed, self.seeds, "person") for seed in seeds]
        columns = [_place(yaw, self.yaws_deg, "yaw") for yaw in yaws_deg]

        def kept(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor[rows][:, columns]

        return Portraits(
            self.images[rows][:, columns], tuple(seeds), tuple(yaws_deg), kept(self.masks), kept(self.depths)
        )


class Overlap(NamedTuple):
    """The people and sides that two sets of portraits both show, and where each of the two has them."""

    seeds: tuple[int, ...]
    yaws_deg: tuple[float, ...]
    rows: tuple[list[int], list[int]]
    columns: tuple[list[int], list[int]]

    def first(self, tensor: Tensor) -> Tensor:
        """The shared part of a tensor [N, V, ...] of the first set."""
        return tensor[self.rows[0]][:, self.columns[0]]

    def second(self, tensor: Tensor) -> Tensor:
        """The shared part of a tensor [N, V, ...] of the second set, in the same order."""
        return tensor[self.rows[1]][:, self.columns[1]]


def find_overlap(one: Portraits, other: Portraits) -> Overlap:
    """Find what two sets both show, in the order of the first."""
    seeds = [seed for seed in one.seeds if seed in other.seeds]
    yaws = [yaw for yaw in one.yaws_deg if yaw in other.yaws_deg]
    return Overlap(
        tuple(seeds),
        tuple(yaws),
        ([one.seeds.index(seed) for seed in seeds], [other.seeds.index(seed) for seed in seeds]),
        ([one.yaws_deg.index(yaw) for yaw in yaws], [other.yaws_deg.index(yaw) for yaw in yaws]),
    )


@torch.no_grad()
def render_portraits(
    generator: PanoHead,
    latents: Mapping[int, Tensor],
    yaws_deg: Sequence[float],
    *,
    done: Callable[[int], Any] = lambda _count: None,
) -> Portraits:
    """Render heads on white, with their masks and depths.

    Args:
        generator: In evaluation mode.
        latents: ws [1, num_ws, w_dim] by seed.
        yaws_deg: Camera angles about the vertical axis.
        done: Called with the number of finished people, for progress.

    Raises:
        JobError: The pictures hold numbers that are not finite.
    """
    yaws = tuple(wrap_yaw(yaw) for yaw in yaws_deg)
    labels = camera_from_angles(torch.tensor([math.radians(yaw) for yaw in yaws]))
    people = []
    for count, ws in enumerate(latents.values(), start=1):
        grid = generator.prepare(generator.planes(ws))
        parts = [
            generator.render(grid, ws, chunk.to(ws.device), background="white")
            for chunk in labels.split(_CAMERAS_AT_ONCE)
        ]
        pixels = to_pixels(torch.cat([part.image for part in parts]))
        people.append(
            (
                torch.from_numpy(pixels).permute(0, 3, 1, 2),
                torch.cat([part.mask for part in parts]).cpu(),
                torch.cat([part.depth for part in parts]).cpu(),
            )
        )
        done(count)
    images, masks, depths = (torch.stack(part) for part in zip(*people, strict=True))
    return Portraits(images, tuple(latents), yaws, masks, depths)


def _place(wanted: float, there: Sequence[float], what: str) -> int:
    if wanted not in there:
        raise UsageError(f"There is no picture of {what} {wanted:g}.")
    return there.index(wanted)
