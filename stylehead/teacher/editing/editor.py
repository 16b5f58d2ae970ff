"""What an editor is: pictures and an instruction in, edited pictures out. It knows nothing about heads."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from stylehead.images import resize

_LARGEST_SHIFT = 0.15
_CORNER = 16


@dataclass(frozen=True)
class Guidance:
    """How strongly an editor follows what it is given; None leaves the editor's own value.

    Attributes:
        text: Scale of the instruction; more changes more.
        picture: Scale of the picture, for editors that have one; more keeps more.
    """

    text: float | None = None
    picture: float | None = None


EMBEDDED = Guidance(text=3.0, picture=1.5)
"""For the embedded InstructPix2Pix (measured: 7.5 burns its colours)."""
PUBLISHED = Guidance(text=7.5, picture=1.5)
"""For the published InstructPix2Pix: its authors' numbers."""


class Editor(Protocol):
    """Edits pictures by instruction.

    Attributes:
        name: For manifests and tables.
        licence: Of its weights, and what it means for results.
    """

    name: str
    licence: str

    def edit(self, pictures_01: Tensor, instruction: str, *, seed: int, negative: str = "") -> Tensor:
        """Edit views of one subject.

        Args:
            pictures_01: Views [V, 3, H, W] in 0..1.
            instruction: What to do, in words.
            seed: Of the noise, which is the same for all views: that makes their edits agree.
            negative: What to avoid, in words; editors that cannot avoid anything ignore it.

        Returns:
            Edited views [V, 3, h, w] in 0..1 at the editor's own size, on the CPU.
        """
        ...


def same_noise(views: int, channels: int, size: int, *, seed: int) -> Tensor:
    """Draw noise for one view and repeat it for all, [V, C, h, w]."""
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(1, channels, size, size, generator=rng).expand(views, -1, -1, -1)


def without_tint(noise: Tensor) -> Tensor:
    """Take the mean of every channel out of noise [V, C, h, w]: of 32x32 latents it is up to a tenth."""
    return noise - noise.mean(dim=(2, 3), keepdim=True)


def resized(images: Tensor, size: int) -> Tensor:
    """Resize pictures [B, 3, H, W] in 0..1 to squares, and keep them in 0..1."""
    return resize(images, size).clamp(0, 1)


def level_background(edited_01: Tensor, pictures_01: Tensor) -> Tensor:
    """Shift the colours of edits so that their upper corners are again as before.

    A diffusion model's pictures are a shade darker or warmer as a whole than what they were made from, by a
    constant. A background that was changed on purpose moves further than that, and is left alone.

    Args:
        edited_01: Edits [V, 3, H, W] in 0..1.
        pictures_01: What they were made from, of the same shape, on a plain background.
    """
    shift = _corner_colours(pictures_01) - _corner_colours(edited_01)
    small = (shift.abs() <= _LARGEST_SHIFT).all(dim=1, keepdim=True)
    return (edited_01 + torch.where(small, shift, 0.0)).clamp(0, 1)


def _corner_colours(pictures: Tensor) -> Tensor:
    """Return the mean colours [V, 3, 1, 1] of the two upper corners."""
    size = max(1, pictures.shape[-1] // _CORNER)
    corners = torch.cat([pictures[..., :size, :size], pictures[..., :size, -size:]], dim=-1)
    return corners.mean(dim=(-2, -1), keepdim=True)
