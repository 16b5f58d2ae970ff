"""Renders of the procedural heads on the disk: written once in shards, read into memory for training.

Training identities have seeds from `TRAINING_SEED_BASE` up; every smaller seed (what users type, what is
evaluated) is never rendered here.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stylehead.errors import MissingError


@dataclass(frozen=True)
class Renders:
    """Renders of N identity-style pairs from V cameras each.

    Attributes:
        images: uint8 [N, V, 3, R, R] on white.
        masks: uint8 [N, V, R, R], 255 = head.
        depths: float16 [N, V, R, R], distance along the camera's axis, 0 outside.
        cameras: float32 [N, V, 25].
        z: float32 [N, 64].
        numbers: float32 [N, 128], the identity in numbers.
        styles: N style names.
        identities: int64 [N], seeds.
        psi: float32 [N], how truncated each person was drawn (z and numbers are those of the whole person);
            None where all are whole.
    """

    images: Tensor
    masks: Tensor
    depths: Tensor
    cameras: Tensor
    z: Tensor
    numbers: Tensor
    styles: tuple[str, ...]
    identities: Tensor
    psi: Tensor | None = None

    def __len__(self) -> int:
        return self.images.shape[0]

    def rows(self, rows: Tensor) -> "Renders":
        """Some of the pairs, [N'], with all of their views."""
        names = (field.name for field in dataclasses.fields(self) if field.name != "styles")
        tensors = {name: getattr(self, name) for name in names}
        picked: dict[str, Any] = {
            name: None if tensor is None else tensor[rows] for name, tensor in tensors.items()
        }
        return Renders(styles=tuple(self.styles[row] for row in rows.tolist()), **picked)

    def to(self, device: torch.device) -> "Renders":
        """The same on a device."""
        tensors: dict[str, Any] = {n: v.to(device) for n, v in vars(self).items() if isinstance(v, Tensor)}
        return dataclasses.replace(self, **tensors)

    def columns(self, columns: Tensor) -> "Renders":
        """Some of the views of each pair, [N, V']."""
        pick = (torch.arange(len(self), device=columns.device)[:, None], columns)
        names = ("images", "masks", "depths", "cameras")
        return dataclasses.replace(self, **{name: getattr(self, name)[pick] for name in names})


def load_renders(folder: Path, *, limit: int | None = None) -> Renders:
    """Read every shard of a folder.

    Args:
        folder: Where the recipe `data` wrote.
        limit: Stop after this many identity-style pairs.

    Raises:
        MissingError: There is no shard.
    """
    shards = list(_shards(folder, limit))
    if not shards:
        raise MissingError(f"{folder} holds no renders.", "python -m stylehead.world data")
    return joined_renders(shards)


def joined_renders(shards: Sequence[Mapping[str, np.ndarray]]) -> Renders:
    """Make one of arrays by their names in shards, `psi` among them or not."""

    def joined(name: str) -> Tensor:
        return torch.from_numpy(np.concatenate([shard[name] for shard in shards]))

    images = torch.cat([torch.from_numpy(shard["images"]).permute(0, 1, 4, 2, 3) for shard in shards])
    return Renders(
        images=images,
        masks=joined("mask"),
        depths=joined("depth"),
        cameras=joined("cam"),
        z=joined("z"),
        numbers=joined("params"),
        styles=tuple(str(style) for shard in shards for style in shard["style"]),
        identities=joined("ident"),
        psi=joined("psi") if "psi" in shards[0] else None,
    )


def _shards(folder: Path, limit: int | None) -> Iterator[dict[str, np.ndarray]]:
    count = 0
    for path in sorted(folder.glob("shard_*.npz")):
        if limit is not None and count >= limit:
            return
        with np.load(path, allow_pickle=False) as archive:
            shard = {name: archive[name] for name in archive.files}
        count += len(shard["z"])
        yield shard


def facing(cameras: Tensor) -> Tensor:
    """Cosine of the angle between the camera [..., 25] and the front: 1 sees the face, -1 the back."""
    return cameras[..., 11] / cameras[..., 3:12:4].norm(dim=-1)


def ray_depths(views: Renders, resolution: int) -> tuple[Tensor, Tensor]:
    """Masks and distances along rays at the raw resolution.

    Returns:
        mask [B, V, r, r] in 0..1 and distance [B, V, r, r]: the mean over the part of a pixel that the head
        covers, 0 where there is none.
    """
    masks, depths = views.masks, views.depths.float()
    batch, count, size = masks.shape[0], masks.shape[1], masks.shape[-1]
    block = size // resolution
    shape = (batch, count, resolution, block, resolution, block)
    covered = (depths > 0).float()
    total = (depths * covered).reshape(shape).sum(dim=(3, 5))
    mean = total / covered.reshape(shape).sum(dim=(3, 5)).clamp(min=1)
    return masks.float().div(255).reshape(shape).mean(dim=(3, 5)), mean * _ray_lengths(
        views.cameras, resolution
    )


def _ray_lengths(cameras: Tensor, resolution: int) -> Tensor:
    """How much longer a ray is than its part along the camera's axis, [B, V, r, r]."""
    centre = (torch.arange(resolution, device=cameras.device) + 0.5) / resolution - 0.5
    squared = centre[:, None].square() + centre[None, :].square()
    return (1 + squared / cameras[..., 16, None, None].square()).sqrt()
