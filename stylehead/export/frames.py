"""Pictures for people: of any size, on clean white, on a colour, or cut out. `views` makes what is measured.

A larger picture than the generator's own adds to that one, enlarged, what finer rays see beyond it: outlines,
hair and folds become finer; what only super-resolution paints (the white of an eye) stays as fine as it was.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from stylehead.errors import UsageError
from stylehead.export.orbit import Shot
from stylehead.export.views import CHUNK, LARGE_CHUNK, Backdrop, parse_colour
from stylehead.generator import PanoHead, RenderOptions
from stylehead.generator.trigrid import TriGrid
from stylehead.geometry import camera_from_angles
from stylehead.images import Pixels, resize, to_pixels

TRANSPARENT = "transparent"
_FAINT = 0.1  # opacity below which what super-resolution paints over white fades away
_INSIDE = 0.9  # opacity from which a pixel is all head
_BLEED = 0.016  # reach of the colours of the inside, in edges of the picture
_ENOUGH = 0.02  # weight around a pixel from which its surroundings tell its colour


class Look(NamedTuple):
    """What pictures look like, whatever they show."""

    size: int | None = None
    """Edge in pixels; the generator's own when None."""
    backdrop: Backdrop = "white"
    """`white`, `learned`, `transparent`, or a colour."""


def render_frames(
    generator: PanoHead,
    ws: Tensor,
    shots: Sequence[Shot],
    look: Look | None = None,
    *,
    done: Callable[[int], Any] = lambda _count: None,
) -> Pixels:
    """Render one head from several sides.

    Args:
        generator: In evaluation mode.
        ws: [1, num_ws, w_dim].
        shots: Cameras.
        look: Size and background.
        done: Called with the number of finished pictures, for progress.

    Returns:
        Bytes [V, H, W, 3], or [V, H, W, 4] with opacity when the background is transparent.
    """
    look = look or Look()
    angles = torch.deg2rad(torch.tensor(shots, dtype=torch.float64)).float()
    labels = camera_from_angles(angles[:, 0], angles[:, 1]).to(ws.device)
    frames = []
    with torch.no_grad():
        grid = generator.prepare(generator.planes(ws))
        count = _chunk(look.size or generator.config.img_resolution)
        for start in range(0, len(labels), count):
            part = labels[start : start + count]
            frames.append(to_pixels(picture(generator, grid, ws, part, look)))
            done(start + len(part))
    return np.concatenate(frames)


def _chunk(size: int) -> int:
    """How many pictures of a size to render together."""
    return CHUNK if size <= 256 else LARGE_CHUNK if size <= 512 else 1


def picture(generator: PanoHead, grid: TriGrid, ws: Tensor, labels: Tensor, look: Look) -> Tensor:
    """Pictures [B, 3 or 4, S, S] in -1..1; opacity is the fourth channel, in the same range."""
    learned = look.backdrop == "learned"
    if learned and not generator.config.rendering.use_background:
        raise UsageError("This generator has no background of its own.", "use --background white")
    image, mask = sized(generator, grid, ws, labels, look.size, learned=learned)
    if learned:
        return image
    image, mask = clean_white(image, mask)
    if look.backdrop == "white":
        return image
    head = edge_colours(image, mask)
    if look.backdrop == TRANSPARENT:
        return torch.cat([head, mask * 2 - 1], dim=1)
    colour = parse_colour(look.backdrop).to(image).view(1, 3, 1, 1)
    return head * mask + colour * (1 - mask)


def sized(
    generator: PanoHead,
    grid: TriGrid,
    ws: Tensor,
    labels: Tensor,
    size: int | None = None,
    *,
    learned: bool = False,
) -> tuple[Tensor, Tensor]:
    """Pictures [B, 3, S, S] in -1..1 of a size, on white or what was learned, and opacity [B, 1, S, S]."""
    config = generator.config
    background: Any = True if learned else "white"
    out = generator.render(grid, ws, labels, background=background)
    own, size = config.img_resolution, size or config.img_resolution
    if size <= own:
        return resize(out.image.clamp(-1, 1), size), resize(out.mask.clamp(0, 1), size)
    rays = math.ceil(size * config.neural_rendering_resolution / own)
    options = RenderOptions(resolution=rays, raw_mask=True)
    fine = generator.render_raw(grid, ws, labels, background=background, options=options)
    raw = _enlarge(fine.image_raw, size)
    beyond = raw - _enlarge(resize(raw, own), size)
    image = (_enlarge(out.image, size) + beyond).clamp(-1, 1)
    return image, _enlarge(fine.weight_sum, size).clamp(0, 1)


def clean_white(image_pm1: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Take away what super-resolution leaves on white where there is hardly any head.

    Corners and a rim around the head are tinted otherwise.

    Args:
        image_pm1: On white [B, 3, H, W].
        mask: Opacity [B, 1, H, W], 0..1.

    Returns:
        Both, exactly white and exactly 0 where the opacity is 0, as they were from a tenth up.
    """
    kept = (mask / _FAINT).clamp(0, 1)
    return image_pm1 * kept + (1 - kept), mask * kept


def edge_colours(image_pm1: Tensor, mask: Tensor) -> Tensor:
    """Colours of the head alone [B, 3, H, W], to be laid on anything by its opacity.

    Pictures on white carry a light rim, as super-resolution paints the outline for white. So the colours of
    the inside are bled outwards over it; where no inside is near, they are taken back from white by the
    opacity.

    Args:
        image_pm1: On white [B, 3, H, W].
        mask: Opacity [B, 1, H, W], 0..1.
    """
    inside = ((mask - _INSIDE) / (1 - _INSIDE)).clamp(0, 1)
    bled, share = _bleed(image_pm1, inside)
    from_white = (1 + (image_pm1 - 1) / mask.clamp(min=_FAINT)).clamp(-1, 1)
    outside = torch.lerp(from_white, bled, (share / _ENOUGH).clamp(0, 1))
    return torch.lerp(outside, image_pm1, inside).clamp(-1, 1)


def _bleed(image: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted mean of the pixels around [B, 3, H, W], and how much weight there is [B, 1, H, W]."""
    both = torch.cat([image * weight, weight], dim=1)
    reach = max(1, round(image.shape[-1] * _BLEED))
    for _ in range(2):
        both = functional.avg_pool2d(both, 2 * reach + 1, stride=1, padding=reach, count_include_pad=False)
    return both[:, :-1] / both[:, -1:].clamp(min=1e-6), both[:, -1:]


def _enlarge(image: Tensor, size: int) -> Tensor:
    """Bicubic, without ringing at the border; a smaller size is averaged."""
    if image.shape[-1] >= size:
        return resize(image, size)
    return functional.interpolate(image, (size, size), mode="bicubic", align_corners=False)
