"""Pictures inside the report page, as data addresses."""

import base64
import io
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from stylehead.evaluation.portraits import Portraits

QUALITY = 84
LARGEST = 192
"""Pictures are shrunk to this height and width at most."""


def strip(portraits: Portraits, seed: int, yaws_deg: Sequence[float]) -> str:
    """One person from several sides, side by side, as a data address; white where a side is not known."""
    known = portraits.pick(seeds=[seed]).images[0]
    white = torch.full_like(known[0], 255)
    sides = [known[portraits.yaws_deg.index(yaw)] if yaw in portraits.yaws_deg else white for yaw in yaws_deg]
    return data_address(torch.cat(sides, dim=-1), len(sides))


def case_pair(before: Portraits, after: Portraits, seed: int) -> str:
    """One person before and after from the side nearest to the front, as a data address."""
    pictures = []
    for portraits in (before, after):
        front = min(portraits.yaws_deg, key=abs)
        picture = portraits.pick(seeds=[seed], yaws_deg=[front]).images[0, 0]
        pictures.append(np.asarray(_shrunk(picture, 1)))
    height = min(len(picture) for picture in pictures)
    same = [np.asarray(Image.fromarray(picture).resize((height, height))) for picture in pictures]
    return _encoded(Image.fromarray(np.concatenate(same, axis=1)))


def data_address(picture: Tensor, columns: int) -> str:
    """A picture uint8 [3, R, columns R] as a data address."""
    return _encoded(_shrunk(picture, columns))


def _shrunk(picture: Tensor, columns: int) -> Image.Image:
    image = Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy())
    if image.height <= LARGEST:
        return image
    return image.resize((LARGEST * columns, LARGEST), Image.Resampling.LANCZOS)


def _encoded(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=QUALITY)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
