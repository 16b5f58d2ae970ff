"""Still pictures: from tensors to bytes, and to files that carry their recipe."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from stylehead.errors import JobError
from stylehead.export.recipe import Recipe, exif, png_info
from stylehead.files import atomic_path

Pixels = NDArray[np.uint8]
"""[H,W,3] or [N,H,W,3], 0..255."""


def to_pixels(image_pm1: Tensor) -> Pixels:
    """Turn pictures [B,3,H,W] in -1..1 into bytes [B,H,W,3]; what lies outside the range is clamped.

    Raises:
        JobError: There are numbers that are not finite; they would turn black without a word.
    """
    if not torch.isfinite(image_pm1).all():
        raise JobError("The render holds numbers that are not finite.", "try another --seed or --strength")
    scaled = (image_pm1.detach().clamp(-1, 1) + 1) * 127.5
    return scaled.round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()


def save_image(path: Path, pixels: Pixels, recipe: Recipe) -> None:
    """Write one picture [H,W,3] as PNG, JPEG or WebP, atomically.

    Raises:
        JobError: The suffix is none of .png, .jpg, .jpeg, .webp.
    """
    suffix = path.suffix.lower()
    image = Image.fromarray(pixels)
    with atomic_path(path) as part:
        if suffix == ".png":
            image.save(part, pnginfo=png_info(recipe))
        elif suffix in (".jpg", ".jpeg"):
            image.save(part, quality=93, subsampling=0, exif=exif(recipe))
        elif suffix == ".webp":
            image.save(part, quality=93, exif=exif(recipe))
        else:
            raise JobError(f"Cannot write {path}: pictures are .png, .jpg or .webp.")
