"""Painted heads, for what random networks do not show."""

import dataclasses

import numpy as np
from PIL import Image

from stylehead.bank import Bank
from stylehead.bank.dataset import sha256_of

SIZE = 64


def person(number: int, *, turned: float = 0.0) -> np.ndarray:
    """An outline like a head's: an ellipse on shoulders, other for each number."""
    rng = np.random.RandomState(number)
    wide, high = rng.uniform(0.17, 0.28), rng.uniform(0.24, 0.33)
    y, x = (np.mgrid[:SIZE, :SIZE] + 0.5) / SIZE
    head = ((x - 0.5 - turned) / wide) ** 2 + ((y - 0.42) / high) ** 2 < 1
    neck = (np.abs(x - 0.5) < 0.1) & (y > 0.5)
    shoulders = (np.abs(x - 0.5) < rng.uniform(0.3, 0.42)) & (y > rng.uniform(0.82, 0.88))
    return head | neck | shoulders


def painted(outline: np.ndarray, colour: tuple[int, int, int], background: int = 255) -> np.ndarray:
    picture = np.full((SIZE, SIZE, 3), background, np.uint8)
    picture[outline] = colour
    return picture


def with_heads(bank: Bank) -> Bank:
    """Put painted heads in the place of what a random generator drew, one person for each view."""
    views = []
    for number, view in enumerate(bank.views):
        mask = Image.fromarray((person(number) * 255).astype(np.uint8))
        size = (bank.manifest.resolution,) * 2
        mask.resize(size, Image.Resampling.NEAREST).save(bank.folder / "masks" / f"{view.name}.png")
        render = Image.fromarray(painted(person(number), (200, 150, 120)))
        render.resize(size, Image.Resampling.NEAREST).save(bank.render_path(view))
        views.append(dataclasses.replace(view, render_sha256=sha256_of(bank.render_path(view))))
    manifest = dataclasses.replace(bank.manifest, views=tuple(views))
    manifest.write(bank.folder)
    return Bank(bank.folder, manifest)
