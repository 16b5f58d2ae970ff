"""Reading pictures of a bank, whoever made them, and finding the head's outline in them."""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stylehead.errors import JobError
from stylehead.inversion.photographs import read_photo

Pixels = NDArray[np.uint8]
"""[S, S, 3], 0..255."""
Outline = NDArray[np.bool_]
"""[S, S], true inside the head."""

_SQUARE = 0.02
_TOLERANCE = 8
_GAP = 1 / 64


class ReadPicture(NamedTuple):
    """A picture at the bank's resolution.

    Attributes:
        pixels: uint8 [S, S, 3]; what is transparent is white.
        alpha: uint8 [S, S], 255 = the head; None for an opaque picture.
    """

    pixels: Pixels
    alpha: NDArray[np.uint8] | None


def read_pixels(path: Path, size: int) -> ReadPicture:
    """Read a picture of any format and size as a square.

    Args:
        path: PNG, JPEG or WebP.
        size: Edge of the result.

    Raises:
        UsageError: There is no such file.
        JobError: It is damaged, no picture, or not square.
    """
    photo = read_photo(path)
    height, width = photo.pixels.shape[:2]
    if abs(height - width) > _SQUARE * max(height, width):
        raise JobError(f"{path} is {width}x{height} pixels; pictures of a bank are square.")
    image = Image.fromarray(photo.pixels)
    if photo.alpha is None:
        return ReadPicture(np.asarray(_fitted(image, size)), None)
    alpha = Image.fromarray(photo.alpha)
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=alpha)
    return ReadPicture(np.asarray(_fitted(white, size)), np.asarray(_fitted(alpha, size)))


def read_grey(path: Path, size: int) -> NDArray[np.uint8]:
    """Read a mask as uint8 [S, S].

    Raises:
        JobError: It is damaged.
    """
    return np.asarray(read_pixels(path, size).pixels.max(axis=-1))


def find_outline(picture: ReadPicture) -> Outline:
    """Find the head: by its alpha, else as what the plain background does not reach.

    The background's colour is the commonest along the upper border. It fills the picture from there; a head
    as white as the background stops it as long as it has an edge with gaps below a sixty-fourth of the
    picture. What lies below the picture is body.
    """
    if picture.alpha is not None:
        return np.asarray(picture.alpha > 127)
    pixels = picture.pixels.astype(np.int16)
    size = len(pixels)
    border = np.concatenate([pixels[0], pixels[: size // 2, 0], pixels[: size // 2, -1]])
    distance = np.abs(pixels - np.median(border, axis=0)).max(axis=-1)
    solid = (distance > _TOLERANCE).astype(np.uint8)
    reach = max(1, round(size * _GAP))
    brush, rim = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8), 2 * reach + 1
    closed = cv2.dilate(cv2.copyMakeBorder(solid, rim, 0, rim, rim, cv2.BORDER_CONSTANT, value=0), brush)
    cv2.floodFill(closed, None, (0, 0), 2)
    head = cv2.erode((closed != 2).astype(np.uint8), brush, borderValue=1)
    return np.asarray(head[rim:, rim:-rim] > 0)


def _fitted(image: Image.Image, size: int) -> Image.Image:
    if image.size == (size, size):
        return image
    return image.resize((size, size), Image.Resampling.LANCZOS, reducing_gap=3.0)
