"""Heads seen from many sides: the tri-grid of a head is computed once, then rendered under every camera."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stylehead.errors import UsageError
from stylehead.generator import PanoHead
from stylehead.geometry import camera_from_angles, conditioning_camera
from stylehead.images import Pixels, bytes_to_pm1, on_colour, resize, to_pixels

Backdrop = str
"""Behind the head: "white", "learned" (the generator's own background) or a colour as "#rrggbb"."""

CHUNK = 6
LARGE_CHUNK = 2
"""Cameras rendered together, of small and of large pictures: more takes memory, fewer takes time."""


def latent_from_seed(generator: PanoHead, seed: int, *, psi: float, cutoff: int | None = None) -> Tensor:
    """Draw a head.

    The random numbers are those of the published sampling scripts (NumPy's Mersenne Twister), so that a seed
    shows the same person there and here when the weights are the same.

    Args:
        generator: Whose mapping network to use.
        seed: 0 to 2^32 - 1.
        psi: Truncation: 1 draws every head, 0 only the average one.
        cutoff: How many style vectors are truncated; all when None.

    Returns:
        ws [1, num_ws, w_dim].
    """
    z = np.random.RandomState(seed).randn(1, generator.config.z_dim)
    device = next(generator.parameters()).device
    with torch.no_grad():
        return generator.mapping(
            torch.from_numpy(z).float().to(device),
            conditioning_camera().to(device),
            truncation_psi=psi,
            truncation_cutoff=cutoff,
        )


def turntable_yaws(steps: int) -> list[float]:
    """Angles in degrees once around the head from the front; the last is one step short of the full turn."""
    return [360.0 * step / steps for step in range(steps)]


def render_views(
    generator: PanoHead,
    ws: Tensor,
    yaws_deg: Sequence[float],
    *,
    pitch_deg: float = 0.0,
    backdrop: Backdrop = "white",
    done: Callable[[int], Any] = lambda _count: None,
) -> Pixels:
    """Render one head from several sides.

    Args:
        generator: In evaluation mode.
        ws: [1, num_ws, w_dim].
        yaws_deg: Camera angles about the vertical axis; positive sees the head's left side.
        pitch_deg: Nominal pitch of all cameras; positive looks from below.
        backdrop: See `Backdrop`.
        done: Called with the number of finished views, for progress.

    Returns:
        [V, H, W, 3] bytes.
    """
    labels = camera_from_angles(
        torch.tensor([math.radians(yaw) for yaw in yaws_deg]), math.radians(pitch_deg)
    ).to(ws.device)
    frames = []
    with torch.no_grad():
        grid = generator.prepare(generator.planes(ws))
        size = CHUNK if generator.config.img_resolution <= 256 else LARGE_CHUNK
        for start in range(0, len(labels), size):
            chunk = labels[start : start + size]
            frames.append(to_pixels(_render(generator, grid, ws, chunk, backdrop)))
            done(min(start + size, len(labels)))
    return np.concatenate(frames)


def _render(generator: PanoHead, grid: Any, ws: Tensor, labels: Tensor, backdrop: Backdrop) -> Tensor:
    if backdrop == "learned":
        if not generator.config.rendering.use_background:
            raise UsageError("This generator has no background of its own.", "use --background white")
        return generator.render(grid, ws, labels, background=True).image
    out = generator.render(grid, ws, labels, background="white")
    if backdrop == "white":
        return out.image
    colour = parse_colour(backdrop).to(out.image)
    mask = resize(out.mask.clamp(0, 1), out.image.shape[-1])
    return on_colour(out.image, mask, colour.view(1, 3, 1, 1)).clamp(-1, 1)


def parse_colour(text: str) -> Tensor:
    """Read "#rrggbb" or a colour name as [3] in -1..1.

    Raises:
        UsageError: It is neither.
    """
    from PIL import ImageColor

    try:
        rgb = ImageColor.getrgb(text)[:3]
    except ValueError:
        raise UsageError(
            f"`--background` (={text}) must be white, learned, a colour name or #rrggbb."
        ) from None
    return bytes_to_pm1(torch.tensor(rgb))
