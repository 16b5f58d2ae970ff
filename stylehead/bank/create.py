"""Making a bank: people, from a few sides each, rendered on white."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from stylehead.bank.dataset import Bank, sha256_of
from stylehead.bank.manifest import MANIFEST, BankPerson, BankView, Manifest
from stylehead.errors import UsageError, quoted
from stylehead.export.views import latent_from_seed
from stylehead.files import atomic_path, check_folder_writable
from stylehead.folders import hold, is_vacant, replaced
from stylehead.generator import PanoHead
from stylehead.geometry import camera_from_angles
from stylehead.images import to_pixels
from stylehead.inversion.latents import save_latent

FIRST_SEED = 5_000_000
"""Seeds of a bank's people start here: what users and tables look at are other people."""
JITTER_DEG, PITCH_DEG = 10.0, 15.0
"""Cameras are moved at random by up to this."""
_FACES = (0.0, 35.0, -35.0, 55.0, -55.0)
_REST = (90.0, 180.0, -90.0, 135.0, -135.0)


@dataclass(frozen=True, eq=False)
class Sitter:
    """Somebody for a bank.

    Attributes:
        ws: Style vectors [1, num_ws, w_dim].
        seed: Where they came from, if from a seed.
        source: Where they came from else, in words.
    """

    ws: Tensor
    seed: int | None = None
    source: str | None = None


def sitters_from_seeds(
    generator: PanoHead, count: int, *, seed: int, psi: float, cutoff: int | None = None
) -> list[Sitter]:
    """Draw people.

    Args:
        generator: Whose mapping network to use.
        count: How many.
        seed: Other ones for another number.
        psi: Truncation.
        cutoff: How many style vectors are truncated; all when None.
    """
    numbers = [(FIRST_SEED + seed * 10_007 + index) % 2**32 for index in range(count)]
    return [
        Sitter(latent_from_seed(generator, number, psi=psi, cutoff=cutoff), seed=number) for number in numbers
    ]


def view_angles(count: int, *, rng: np.random.RandomState) -> list[tuple[float, float]]:
    """Choose sides of a person: half of them, the first always, within about 60 degrees of the front.

    Args:
        count: How many.
        rng: Draws which side is which, and the jitter.

    Returns:
        Yaw and nominal pitch in degrees.
    """
    faces = -(-count // 2)
    side = rng.choice([-1.0, 1.0])
    yaws = [side * _FACES[i % len(_FACES)] for i in range(faces)]
    side = rng.choice([-1.0, 1.0])
    yaws += [side * _REST[i % len(_REST)] for i in range(count - faces)]
    return [(yaw + rng.uniform(-JITTER_DEG, JITTER_DEG), rng.uniform(-PITCH_DEG, PITCH_DEG)) for yaw in yaws]


def create_bank(
    folder: Path,
    generator: PanoHead,
    sitters: Sequence[Sitter],
    *,
    views: int,
    seed: int = 0,
    preset: str = "",
    psi: float = 1.0,
    done: Callable[[int], Any] = lambda _count: None,
) -> Bank:
    """Render people into a new bank; the folder appears when it is whole.

    Args:
        folder: New, or empty.
        generator: In evaluation mode.
        sitters: Whom; at least one.
        views: Sides of each; at least one.
        seed: Of the cameras.
        preset: Of the generator, for the manifest.
        psi: Truncation of the people, for the manifest.
        done: Called with the number of finished people, for progress.

    Raises:
        UsageError: There is something in the folder already, or a number is below one.
        JobError: A render holds numbers that are not finite.
    """
    if not sitters or views < 1:
        raise UsageError("A bank needs at least one person and one view.")
    check_vacant(folder)
    with hold(folder, "making"):
        check_vacant(folder)  # another process may have been faster
        with replaced(folder, MANIFEST) as part:
            for name in ("latents", "renders", "masks", "edited"):
                (part / name).mkdir()
            rng = np.random.RandomState(seed % 2**32)
            people: list[BankPerson] = []
            sides: list[BankView] = []
            for index, sitter in enumerate(sitters):
                person, own = _portray(part, generator, sitter, index, view_angles(views, rng=rng))
                people.append(person)
                sides += own
                done(index + 1)
            resolution = generator.config.img_resolution
            manifest = Manifest(generator.fingerprint(), preset, psi, resolution, tuple(people), tuple(sides))
            manifest.write(part)
    return Bank(folder, manifest)


def check_vacant(folder: Path) -> None:
    """Refuse a path where a bank cannot be made; one that was left half moved is finished first.

    Raises:
        UsageError: It is a file, a bank, or a folder with something else in it.
        JobError: Another process is making a bank there.
        OSError: Nothing can be written there.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; a bank needs a folder.", "choose another --out")
    check_folder_writable(folder)
    if (folder / MANIFEST).is_file():
        with hold(folder, "making"):
            pass  # taking it finishes it
        raise UsageError(
            f"{folder} holds a bank already.",
            f"stylehead bank fill {quoted(folder)}, or choose another --out",
        )
    if folder.exists() and not is_vacant(folder):
        raise UsageError(f"{folder} is not empty.", "choose another --out")


def _portray(
    folder: Path, generator: PanoHead, sitter: Sitter, index: int, angles: Sequence[tuple[float, float]]
) -> tuple[BankPerson, list[BankView]]:
    """Render one person and write the latent, the pictures and the masks."""
    name = f"{index:04d}"
    latent = folder / "latents" / f"{name}.npz"
    save_latent(latent, sitter.ws, None)
    radians = torch.tensor(angles, dtype=torch.float32) * (math.pi / 180)
    labels = camera_from_angles(radians[:, 0], radians[:, 1])
    views = []
    for side, (pixels, mask) in enumerate(rendered(generator, sitter.ws, labels)):
        view = f"{name}_{side}"
        _save_png(folder / "renders" / f"{view}.png", pixels)
        _save_png(folder / "masks" / f"{view}.png", mask)
        views.append(
            BankView(
                name=view,
                person=index,
                yaw_deg=round(angles[side][0], 3),
                pitch_deg=round(angles[side][1], 3),
                camera=tuple(labels[side].tolist()),
                render_sha256=sha256_of(folder / "renders" / f"{view}.png"),
            )
        )
    return BankPerson(name, sitter.seed, sitter.source, sha256_of(latent)), views


@torch.no_grad()
def rendered(generator: PanoHead, ws: Tensor, labels: Tensor) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield pixels [S, S, 3] and masks [S, S], uint8, one view at a time."""
    grid = generator.prepare(generator.planes(ws))
    for label in labels.to(ws.device).split(1):
        out = generator.render(grid, ws, label, background="white")
        mask = functional.interpolate(out.mask, size=out.image.shape[-1], mode="bilinear")
        bytes_ = (mask[0, 0].clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
        yield to_pixels(out.image)[0], bytes_


def _save_png(path: Path, pixels: np.ndarray) -> None:
    with atomic_path(path) as part:
        Image.fromarray(pixels).save(part, "PNG")
