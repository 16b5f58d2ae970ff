"""How near the editor comes: true photographs of unseen people edited, against the true styled pictures."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from stylehead.evaluation.systems import PROMPTS
from stylehead.images import bytes_to_pm1, psnr, to_01
from stylehead.mini.phrases import filler
from stylehead.teacher.editing import EMBEDDED, Editor, InstructPix2Pix
from stylehead.world.recipes.data import Renders, facing

LONG = 60
"""Words around the style in a long prompt."""
_TOGETHER = 4


@dataclass(frozen=True)
class Pairs:
    """The same people from the same cameras, photographed and in a style: [B, 3, R, R] each, -1..1."""

    photos: Tensor
    truth: Tensor


class Edited(NamedTuple):
    """Edits [B, 3, R, R] in -1..1, and what they should have become."""

    images: Tensor
    pairs: Pairs

    @property
    def psnr(self) -> float:
        """Mean peak signal-to-noise ratio in dB."""
        return float(picture_psnr(self.images, self.pairs.truth).mean())

    @property
    def colour_shift(self) -> float:
        """Mean distance of the mean colours: 0 is none, 1 is black for white."""
        return float(colour_shift(self.images, self.pairs.truth).mean())


def picture_psnr(images: Tensor, truth: Tensor) -> Tensor:
    """PSNR in dB [B] of pictures [B, 3, R, R] in -1..1 (clamped) against the true ones."""
    return psnr(to_01(images.clamp(-1, 1)), to_01(truth))


def embedded_editor(weights: Path) -> Editor:
    """The editor in a folder of embedded weights; an early one shares most of its parts with the teacher."""
    own = weights / "ip2p"
    folder = own if (own / "vae").is_dir() else weights / "teacher"
    return InstructPix2Pix.load(folder, unet=own / "unet", guidance=EMBEDDED)


def true_pairs(photo: Renders, styled: Renders, style: str, *, count: int) -> Pairs:
    """So many pairs of one style, on white, from cameras that see the front half of a head in turn.

    Args:
        photo: Photographs; the cameras of the styled renders are among theirs.
        styled: Renders in styles.
        style: Which.
        count: B.
    """
    rows = [row for row, name in enumerate(styled.styles) if name == style]
    columns = [int(column) for column in torch.where(facing(styled.cameras[rows[0]]) > -1e-3)[0]]
    places = [(rows[n % len(rows)], columns[n % len(columns)]) for n in range(count)]
    people = {int(seed): row for row, seed in enumerate(photo.identities)}
    photos = []
    for row, column in places:
        mine = people[int(styled.identities[row])]
        other = (photo.cameras[mine] - styled.cameras[row, column]).abs().sum(dim=1).argmin()
        photos.append(photo.images[mine, other])
    truth = torch.stack([styled.images[row, column] for row, column in places])
    return Pairs(bytes_to_pm1(torch.stack(photos)), bytes_to_pm1(truth))


def edited(editor: Editor, pairs: Pairs, prompt: str) -> Edited:
    """Edit the photographs, four at a time from the same noise."""
    parts = [
        editor.edit(photos * 0.5 + 0.5, prompt, seed=number)
        for number, photos in enumerate(pairs.photos.split(_TOGETHER))
    ]
    return Edited(torch.cat(parts) * 2 - 1, pairs)


def edited_in_style(editor: Editor, photo: Renders, styled: Renders, style: str, *, count: int) -> Edited:
    """Edit so many photographs by the prompt of a style."""
    return edited(editor, true_pairs(photo, styled, style, count=count), PROMPTS[style])


def edited_by_long_prompts(
    editor: Editor, photo: Renders, styled: Renders, style: str, *, count: int
) -> Edited:
    """Edit so many photographs, each by a prompt of sixty words around the name of a style."""
    pairs = true_pairs(photo, styled, style, count=count)
    images = [
        editor.edit(photo[None] * 0.5 + 0.5, prompt, seed=number)
        for number, (photo, prompt) in enumerate(zip(pairs.photos, long_prompts(style, count), strict=True))
    ]
    return Edited(torch.cat(images) * 2 - 1, pairs)


def long_prompts(style: str, count: int, seed: int = 4) -> list[str]:
    """Prompts of sixty words around a style's name, which stands anywhere among them."""
    words = np.random.default_rng(seed)
    places = [int(words.integers(LONG + 1)) for _ in range(count)]
    return [f"{filler(n, words)} {style} {filler(LONG - n, words)}".strip() for n in places]


def colour_shift(images: Tensor, truth: Tensor) -> Tensor:
    """How far the mean colour [B] of pictures in -1..1 is from the truth's: 0 is none, 1 black for white."""
    return (images.clamp(-1, 1) - truth).mean(dim=(2, 3)).div(2).norm(dim=1) / 3**0.5
