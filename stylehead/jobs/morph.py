"""A film from head to head, or from style to style, and back to where it began."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from stylehead.export.frames import Look, render_frames
from stylehead.export.orbit import Shot, closed_path
from stylehead.generator import PanoHead, mix_styles, remove_styles
from stylehead.images import Pixels
from stylehead.jobs.named_heads import NamedHead, StyleChoice


def morph(
    generator: PanoHead,
    heads: Sequence[NamedHead],
    styles: Sequence[StyleChoice],
    shots: Sequence[Shot],
    look: Look,
    done: Callable[[int], Any] = lambda _count: None,
) -> Pixels:
    """Render the film.

    Args:
        generator: In evaluation mode.
        heads: Several are gone through, all styles acting on all of them; of one, the styles are gone
            through: from the first to the next, or from the untouched head to the only one.
        styles: See `heads`.
        shots: One camera a picture.
        look: Size and background.
        done: Called with the number of finished pictures.

    Returns:
        [T, H, W, 3], or [T, H, W, 4] when the background is transparent.
    """
    through_heads = len(heads) > 1
    stations = len(heads) if through_heads else max(2, len(styles))
    every = torch.cat([head.ws for head in heads])
    frames = []
    for number, (shares, shot) in enumerate(zip(closed_path(stations, len(shots)), shots, strict=True)):
        _wear(generator, styles, (1.0,) * len(styles) if through_heads else shares[-len(styles) :])
        weights = torch.tensor(shares if through_heads else (1.0,)).to(every)
        ws = (weights[:, None, None] * every).sum(dim=0, keepdim=True)
        frames.append(render_frames(generator, ws, [shot], look))
        done(number + 1)
    return np.concatenate(frames)


def _wear(generator: PanoHead, styles: Sequence[StyleChoice], shares: Sequence[float]) -> None:
    """Put styles on, each at a share of its own strength."""
    parts = [(choice.style, choice.strength * share) for choice, share in zip(styles, shares, strict=True)]
    if not any(strength for _, strength in parts):
        remove_styles(generator)
    else:
        mix_styles(parts).apply(generator)
