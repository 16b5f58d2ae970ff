"""Pictures that ControlNets are conditioned on: edges and depth of a render.

Whoever trains a ControlNet for this package must draw its conditions with these functions.
"""

from typing import Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stylehead.images import luma

CANNY_LOW = 50
CANNY_HIGH = 250


def canny_condition(
    image_pm1: Tensor, *, channel: Literal["luma", "red"] = "luma", truncate: bool = False
) -> Tensor:
    """Find the edges of images with OpenCV's Canny (thresholds 50 and 250).

    Args:
        image_pm1: Images [B, 3, H, W] in -1..1; values outside are clamped.
        channel: Grey value to use: `luma` (Rec. 601) or `red` (the released script's choice).
        truncate: Cut fractions of a byte off instead of rounding them (the released script's way). Canny's
            hysteresis makes more of it than it seems: a sixth of the edge pixels differ.

    Returns:
        Edge maps [B, 3, H, W] with values 0 and 1 in three equal channels, on the images' device and dtype.
    """
    image_01 = image_pm1.detach().float().clamp(-1, 1) * 0.5 + 0.5
    grey = image_01[:, 0] if channel == "red" else luma(image_01)
    bytes_ = grey * 255 if truncate else (grey * 255).round()
    edges_01 = _edges(bytes_.to(torch.uint8)).to(image_pm1, non_blocking=True) / 255
    return edges_01[:, None].expand(-1, 3, -1, -1).contiguous()


def _edges(grey: Tensor) -> Tensor:
    """Find the edges of grey pictures [B, H, W] uint8 on the CPU, 0 and 255; on paper there are none."""
    if grey.is_meta:
        return torch.zeros_like(grey)
    edges = [cv2.Canny(picture, CANNY_LOW, CANNY_HIGH) for picture in grey.cpu().numpy()]
    found = torch.from_numpy(np.stack(edges))
    return found.pin_memory() if grey.is_cuda else found


def depth_condition(depth: Tensor, mask: Tensor, *, size: int | None = None) -> Tensor:
    """Draw rendered depth as a ControlNet wants to see it: near is bright, empty is black.

    Depth is normalised to 0..1 between the nearest and the farthest point of each head, so unit and origin
    do not matter: `depth_condition(a * depth + b, mask)` is the same picture for every a > 0.

    Args:
        depth: Distance from the camera [B, 1, h, w], larger is farther; any value outside the mask.
        mask: Opacity of the head [B, 1, h, w]; above 0.5 counts as head.
        size: Height and width of the result; as the input when not given (bilinear otherwise).

    Returns:
        Conditions [B, 3, H, W] in 0..1 in three equal channels.
    """
    inside = mask > 0.5
    far = depth.masked_fill(~inside, -torch.inf).amax(dim=(2, 3), keepdim=True)
    near = depth.masked_fill(~inside, torch.inf).amin(dim=(2, 3), keepdim=True)
    span = (far - near).clamp_min(1e-6)
    bright = torch.where(inside, (far - depth) / span, torch.zeros_like(depth)).clamp(0, 1)
    return _as_picture(bright, size)


def estimated_depth_condition(nearness: Tensor, *, size: int | None = None) -> Tensor:
    """Draw the output of a monocular depth estimator (larger is nearer), each image normalised to 0..1.

    Args:
        nearness: Inverse depth [B, 1, h, w] in any unit.
        size: Height and width of the result; as the input when not given (bilinear otherwise).

    Returns:
        Conditions [B, 3, H, W] in 0..1 in three equal channels.
    """
    low = nearness.amin(dim=(2, 3), keepdim=True)
    span = (nearness.amax(dim=(2, 3), keepdim=True) - low).clamp_min(1e-6)
    return _as_picture((nearness - low) / span, size)


def _as_picture(grey: Tensor, size: int | None) -> Tensor:
    """Resize grey maps [B, 1, h, w] if asked to, and repeat them to three channels."""
    if size is not None and grey.shape[-2:] != (size, size):
        grey = F.interpolate(grey, (size, size), mode="bilinear", align_corners=False)
    return grey.expand(-1, 3, -1, -1).contiguous()
