"""What a photograph leaves open, and what counts most in it, for heads that can only come near it.

A face near the edge of a photograph is cropped beyond it, and a black-and-white one tells nothing of colours.
There a head is compared with nothing: the first guess sees the mean head in its place, and the projection
every render itself. Inside the head, and most of all in its face, a pixel counts more than elsewhere.
"""

import math

import torch
from torch import Tensor

from stylehead.images import luma, resize
from stylehead.inversion.masks import Share
from stylehead.inversion.similarity import TargetImage

FACE_WEIGHT, HEAD_WEIGHT = 4.0, 2.0
"""What the middle of the face, and the head, count beside a pixel of the background."""
_GREY, _MOST_GAIN, _LIGHT = 0.05, 2.5, 0.5
_FACE_CENTRE, _FACE_RADII = (0.5, 0.58), (0.14, 0.2)  # x, y of a front view in parts of the crop
_FACE_SHIFT = 0.12  # to the side at a yaw of 90 degrees


def is_grey(image_pm1: Tensor) -> bool:
    """Whether a picture [1, 3, R, R] is black and white: its channels hardly differ anywhere."""
    return float((image_pm1.amax(dim=1) - image_pm1.amin(dim=1)).mean()) < _GREY


def exposed(target: TargetImage, head_pm1: Tensor) -> TargetImage:
    """Bring a photograph on white to the light in which a likely head [1, 3, R, R] is drawn, by the face.

    Who it is, skin and hair included, was read before: a dark print is nobody's skin. Of a black-and-white
    photograph only the brightness changes, and all of it. Of one in colour, half of the difference is taken
    to be light and the other half to be skin.
    """
    face = _face(target.image.shape[-1], 0.0).to(target.image) * target.mask
    seen, drawn = ((image + 1) / 2 for image in (target.image, head_pm1))
    grey = is_grey(target.image)
    if grey:
        seen, drawn = luma(seen)[:, None], luma(drawn)[:, None]
    means = ((light * face).sum(dim=(2, 3), keepdim=True).clamp(min=1e-3) for light in (drawn, seen))
    gain = (torch.divide(*means) ** (1.0 if grey else _LIGHT)).clamp(1 / _MOST_GAIN, _MOST_GAIN)
    image = ((target.image + 1) * gain - 1).clamp(-1, 1)
    return TargetImage(image * target.mask + 1 - target.mask, target.mask)


def with_unknown(
    target: TargetImage, mean_image_pm1: Tensor, mean_mask: Tensor, known: Share | None
) -> TargetImage:
    """Mark what a photograph does not show, and fill it with the mean head as it is seen from there.

    Args:
        target: The photograph on white.
        mean_image_pm1: The mean head, [1, 3, R, R] on white.
        mean_mask: Its mask, [1, 1, R, R].
        known: Share of each pixel that lies inside the photograph, [R, R]; None: all of it.
    """
    shown = None if known is None else torch.from_numpy(known)[None, None].to(target.image)
    marked = TargetImage(target.image, target.mask, shown, None, is_grey(target.image))
    edge = target.image.shape[-1]
    filled = marked.completed(mean_image_pm1, resize(mean_mask, edge).clamp(0, 1))
    on_white = filled.image * filled.mask + (1 - filled.mask) if marked.grey else filled.image
    return TargetImage(on_white.clamp(-1, 1), filled.mask, shown, None, marked.grey)


def pixel_weights(mask: Tensor, yaw_rad: float) -> Tensor:
    """How much each pixel counts, [1, 1, R, R], 1 in the mean: the face most, then the head, then the rest.

    Args:
        mask: Of the head, [1, 1, R, R].
        yaw_rad: Of the camera; the face is further to the side the more it is turned.
    """
    weight = 1 + FACE_WEIGHT * _face(mask.shape[-1], yaw_rad).to(mask) + HEAD_WEIGHT * mask
    return weight / weight.mean()


def _face(size: int, yaw_rad: float) -> Tensor:
    """Where the middle of a face is in a crop, [size, size] in 0..1."""
    at = (torch.arange(size) + 0.5) / size
    across = (at - _FACE_CENTRE[0] - _FACE_SHIFT * math.sin(yaw_rad)) / _FACE_RADII[0]
    along = (at - _FACE_CENTRE[1]) / _FACE_RADII[1]
    return torch.exp(-(along[:, None].square() + across[None].square()))
