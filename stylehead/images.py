"""Pictures: their ranges and sizes, plain colours behind them, and how alike two of them are. Each once.

A name ends in its range: `image_pm1` is float in -1..1, `image_01` float in 0..1; bytes are uint8 in 0..255.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from stylehead.errors import JobError
from stylehead.precision import like

Pixels = NDArray[np.uint8]
"""Pictures as files hold them: [H, W, 3] or [N, H, W, 3], 0..255."""

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in a brightness (Rec. 601)."""

FeatureMaps = Callable[[Tensor], Sequence[Tensor]]
"""Maps images [B, 3, H, W] in -1..1 to feature maps [B, C_l, h_l, w_l], one per layer, differentiably."""

# ---------------------------------------------------------------------------------------------------- ranges


def bytes_to_pm1(images: Tensor) -> Tensor:
    """Scale uint8 images [...] to float32 in -1..1."""
    return images.float() / 127.5 - 1


def bytes_to_01(images: Tensor) -> Tensor:
    """Scale uint8 images [...] to float32 in 0..1."""
    return images.float() / 255


def as_pm1(images: Tensor) -> Tensor:
    """Return images [...] in -1..1: bytes are scaled, floats are in that range already."""
    return bytes_to_pm1(images) if images.dtype == torch.uint8 else images


def as_01(images: Tensor) -> Tensor:
    """Return images [...] in 0..1: bytes are scaled, and so are floats, from -1..1."""
    return bytes_to_01(images) if images.dtype == torch.uint8 else to_01(images)


def to_01(image_pm1: Tensor) -> Tensor:
    """Scale images [...] from -1..1 to 0..1."""
    return image_pm1 * 0.5 + 0.5


def to_pm1(image_01: Tensor) -> Tensor:
    """Scale images [...] from 0..1 to -1..1."""
    return image_01 * 2 - 1


def luma(image: Tensor) -> Tensor:
    """Brightness [B, H, W] of images [B, 3, H, W] in the same range, as Rec. 601 weighs colours."""
    return torch.einsum("bchw,c->bhw", image, like(LUMA, image))


def to_pixels(image_pm1: Tensor) -> Pixels:
    """Turn images [B, 3, H, W] in -1..1 into bytes [B, H, W, 3]; what lies outside the range is clamped.

    Raises:
        JobError: There are numbers that are not finite; they would turn black without a word.
    """
    if not torch.isfinite(image_pm1).all():
        raise JobError("The render holds numbers that are not finite.", "try another --seed or --strength")
    scaled = (image_pm1.detach().clamp(-1, 1) + 1) * 127.5
    return scaled.round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()


# -------------------------------------------------------------------------------------- sizes and backgrounds


def resize(image: Tensor, size: int | tuple[int, int], *, antialias: bool = True) -> Tensor:
    """Resize images [B, C, H, W] bilinearly (corners not aligned); returned as they are when they fit.

    Args:
        image: Any range.
        size: Height and width, or one number for both.
        antialias: Average over what a smaller pixel covers; it changes nothing when enlarging.
    """
    wanted = (size, size) if isinstance(size, int) else size
    if tuple(image.shape[-2:]) == tuple(wanted):
        return image
    return functional.interpolate(image, wanted, mode="bilinear", align_corners=False, antialias=antialias)


def on_colour(image_pm1: Tensor, mask: Tensor, colour_pm1: Tensor) -> Tensor:
    """Put another plain colour behind images that were rendered on white.

    image + (1 - mask) (colour - white): exact where the image really is head * mask + white * (1 - mask).
    Gradients flow to image and mask.

    Args:
        image_pm1: Images on white [B, 3, H, W], nominally -1..1.
        mask: Opacity of the head [B, 1, H, W], 0..1.
        colour_pm1: Colours [B, 3, 1, 1] or [3, 1, 1], -1..1.
    """
    return image_pm1 + (1 - mask) * (colour_pm1 - 1)


def on_white(frames: Pixels) -> Pixels:
    """Lay pictures with opacity [..., 4] on white, [..., 3]; others stay as they are."""
    if frames.shape[-1] == 3:
        return frames
    share = frames[..., 3:].astype(np.float32) / 255
    return (frames[..., :3] * share + 255 * (1 - share)).round().astype(np.uint8)


# ------------------------------------------------------------------------------------------------ comparison


def outline_iou(mask: Tensor, truth: Tensor) -> Tensor:
    """Intersection over union [B] of masks [B, 1, h, w] (resized) and true ones [B, 1, R, R], cut at 0.5."""
    ours, theirs = resize(mask, truth.shape[-1], antialias=False) > 0.5, truth > 0.5
    both = (ours & theirs).sum(dim=(1, 2, 3)).float()
    return both / (ours | theirs).sum(dim=(1, 2, 3)).clamp(min=1)


def psnr(image_01: Tensor, truth_01: Tensor) -> Tensor:
    """PSNR in dB [B] of images [B, 3, H, W] in 0..1 against the true ones; infinite for equal images."""
    mse = (image_01 - truth_01).square().flatten(1).mean(dim=1)
    return -10 * torch.log10(mse)


def feature_distances(maps: Sequence[Tensor], others: Sequence[Tensor]) -> list[Tensor]:
    """Squared distances of feature maps scaled to unit length at every position (arXiv 1801.03924, w = 1).

    It is what LPIPS measures, without its learned weights and over another network: not to be called LPIPS.

    Args:
        maps: Feature maps [B, C_l, h_l, w_l], one per layer.
        others: Those of the images to compare with, of the same shapes (or with a batch of 1).

    Returns:
        [B, h_l, w_l], one per layer.
    """
    return [
        (functional.normalize(one, dim=1) - functional.normalize(other, dim=1)).square().sum(dim=1)
        for one, other in zip(maps, others, strict=True)
    ]


def perceptual_distance(maps: Sequence[Tensor], others: Sequence[Tensor]) -> Tensor:
    """Perceptual distance [B]: `feature_distances` averaged over positions, then summed over layers."""
    return torch.stack([layer.mean(dim=(1, 2)) for layer in feature_distances(maps, others)]).sum(dim=0)


def perceptual_vectors(maps: Sequence[Tensor]) -> Tensor:
    """Vectors [B, F] whose squared Euclidean distance is `perceptual_distance`, to compare all pairs at once.

    Args:
        maps: Feature maps [B, C_l, h_l, w_l], one per layer; F is the sum of C_l h_l w_l.
    """
    parts = [
        functional.normalize(layer, dim=1).flatten(1) / math.sqrt(layer.shape[2] * layer.shape[3])
        for layer in maps
    ]
    return torch.cat(parts, dim=1)
