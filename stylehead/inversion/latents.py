"""The space of heads: mean and principal axes of what the mapping network makes, and files of heads."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stylehead.errors import JobError
from stylehead.files import atomic_path
from stylehead.generator import PanoHead
from stylehead.geometry import LABEL_SIZE, conditioning_camera

SAMPLES = 10_000
"""Mapped samples behind the mean, as in the published projector."""
_FLOOR = 0.02  # smallest deviation along an axis, as a fraction of the largest
_CHUNK = 1000


@dataclass(frozen=True, eq=False)
class LatentSpace:
    """Style vectors in units of their own spread: `w = mean + (coords * scales) @ axes`."""

    mean: Tensor
    """[w_dim]."""
    axes: Tensor
    """[A, w_dim], orthonormal, the widest spread first."""
    scales: Tensor
    """[A], standard deviations along the axes, with a floor."""
    num_ws: int
    """How many style vectors a head has."""

    @classmethod
    def measure(cls, generator: PanoHead, *, samples: int = SAMPLES, seed: int = 0) -> "LatentSpace":
        """Map random vectors and find their mean and axes.

        Args:
            generator: Whose mapping network to use.
            samples: How many; at least 2.
            seed: Of the random vectors.
        """
        w = mapped_samples(generator, samples, seed=seed)
        mean = w.mean(dim=0)
        centred = w - mean
        spread, axes = torch.linalg.eigh(centred.t() @ centred / (len(w) - 1))
        scales = spread.flip(0).clamp(min=0).sqrt()
        return cls(mean, axes.flip(1).t(), scales.clamp(min=float(scales[0]) * _FLOOR), generator.num_ws)

    def ws(self, coords: Tensor, offsets: Tensor | None = None) -> Tensor:
        """Style vectors [B, num_ws, w_dim] at coordinates [B, A], each moved by offsets [B, num_ws, A]."""
        spread = coords[:, None].expand(-1, self.num_ws, -1)
        if offsets is not None:
            spread = spread + offsets
        return self.mean + (spread * self.scales) @ self.axes

    def coords(self, w: Tensor) -> Tensor:
        """Coordinates [..., A] of style vectors [..., w_dim]."""
        return (w - self.mean) @ self.axes.t() / self.scales


@torch.no_grad()
def mapped_samples(generator: PanoHead, samples: int, *, seed: int) -> Tensor:
    """Style vectors w [samples, w_dim] of random heads, before any truncation."""
    device = next(generator.parameters()).device
    rng = torch.Generator().manual_seed(seed)
    z = torch.randn(samples, generator.config.z_dim, generator=rng).to(device)
    label = conditioning_camera().to(device)
    return torch.cat([generator.mapping(part, label)[:, 0] for part in z.split(_CHUNK)])


def save_latent(path: Path, ws: Tensor, camera_label: Tensor | None) -> None:
    """Write a head as `.npz`, atomically: `w` [1, num_ws, w_dim] and, when known, `camera` [25].

    Raises:
        OSError: It cannot be written.
    """
    arrays: dict[str, Any] = {"w": ws.detach().cpu().float().numpy()}
    if camera_label is not None:
        arrays["camera"] = camera_label.detach().cpu().float().reshape(LABEL_SIZE).numpy()
    with atomic_path(path) as part, part.open("wb") as file:
        np.savez(file, **arrays)


def read_camera(path: Path) -> Tensor | None:
    """Camera [1, 25] of a latent file, or None when it has none; nothing is ever unpickled.

    Raises:
        JobError: The file is damaged, or its camera is no label.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            if not hasattr(file, "files"):
                raise JobError(f"{path} is not a latent file.")
            camera = file["camera"] if "camera" in file.files else None
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, AttributeError, TypeError) as error:
        raise JobError(f"{path} is damaged or not a latent file.") from error
    if camera is None:
        return None
    if camera.size != LABEL_SIZE or camera.dtype.kind != "f" or not np.isfinite(camera).all():
        raise JobError(f"`camera` in {path} is no camera label of {LABEL_SIZE} finite numbers.")
    return torch.from_numpy(camera.astype(np.float32)).reshape(1, LABEL_SIZE)
