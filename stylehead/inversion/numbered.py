"""A picture whose faces carry their numbers, so that `--face N` can be chosen by eye."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from stylehead.inversion.faces import Face
from stylehead.inversion.photographs import Bytes

EDGE = 1280
"""Longest edge of the result, pixels."""
_INK, _PAPER = (20, 20, 24), (255, 214, 64)


def number_faces(pixels: Bytes, faces: Sequence[Face]) -> Bytes:
    """Draw a box and a number round every face of a picture [H, W, 3], the largest being 1."""
    picture = Image.fromarray(pixels)
    picture.thumbnail((EDGE, EDGE), Image.Resampling.LANCZOS)
    scale = picture.width / pixels.shape[1]
    draw = ImageDraw.Draw(picture)
    width = max(2, max(picture.size) // 300)
    font = ImageFont.load_default(max(16, max(picture.size) // 36))
    for number, face in enumerate(faces, start=1):
        left, top, right, bottom = (value * scale for value in face.box)
        draw.rectangle((left, top, right, bottom), outline=_PAPER, width=width)
        at = (max(left, 0) + 2 * width, max(top, 0) + 2 * width)
        text = draw.textbbox(at, str(number), font=font)
        draw.rectangle((text[0] - 6, text[1] - 4, text[2] + 6, text[3] + 4), fill=_PAPER)
        draw.text(at, str(number), _INK, font)
    return np.asarray(picture)
