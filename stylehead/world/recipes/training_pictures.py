"""Training pictures for the teacher: single views and 2x2 grids on random plain backgrounds, with captions.

A grid shows four views of one identity in one style, each at half the size, exactly as the distillation tiles
its four renders.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from stylehead.geometry import split_label
from stylehead.images import bytes_to_pm1, on_colour
from stylehead.mini.captions import PHOTO, View, caption
from stylehead.mini.phrases import draw_prompt
from stylehead.world.recipes.data import Renders, facing


class Describe(Protocol):
    """Something that draws captions."""

    def __call__(self, style: str, rng: np.random.Generator, /, *, view: View | None, grid: bool) -> str:
        """Draw a caption for a picture in a style, from a side, or of four views."""
        ...


def any_wording(style: str, rng: np.random.Generator, *, view: View | None, grid: bool) -> str:
    """Captions as the editor's text encoder knows them: in any wording."""
    return draw_prompt(style, rng, view=view, grid=grid).text


@dataclass(frozen=True)
class Pictures:
    """A batch.

    Attributes:
        images: [B, 3, R, R], -1..1.
        photos: The same people from the same cameras as photographs, on the same backgrounds, [B, 3, R, R].
        photo_masks: Of the photographs, [B, 1, R, R], 0..1.
        photo_depths: Of the photographs, [B, 1, R, R], distance along the camera's axis, 0 outside.
        captions: B captions.
        styles: B style names.
        grid: [B] bool, which pictures show four views.
        people: [B] rows of the photographic renders, whom the pictures show.
    """

    images: Tensor
    photos: Tensor
    photo_masks: Tensor
    photo_depths: Tensor
    captions: list[str]
    styles: list[str]
    grid: Tensor
    people: Tensor


class _Item(NamedTuple):
    image: Tensor
    mask: Tensor
    photo: Tensor
    photo_mask: Tensor
    photo_depth: Tensor
    caption: str
    person: int


class PictureSource:
    """Draws pictures, every style equally often.

    Args:
        photo: Photographic renders.
        styled: Renders in the other styles, with the first cameras of the photographs; people who are not in
            `photo` are left out.
        grid_part: Part of the pictures that are 2x2 grids.
        white_part: Part of the pictures that stay on white.
        describe: Draws a picture's caption.
    """

    def __init__(
        self,
        photo: Renders,
        styled: Renders,
        *,
        grid_part: float = 0.35,
        white_part: float = 0.2,
        describe: "Describe" = caption,
    ) -> None:
        self.describe = describe
        self.photo = photo
        self.styled = styled
        self.grid_part = grid_part
        self.white_part = white_part
        self.photo_row = {int(seed): row for row, seed in enumerate(photo.identities)}
        self.rows: dict[str, list[int]] = {PHOTO: list(range(len(photo)))}
        for row, (style, seed) in enumerate(zip(styled.styles, styled.identities.tolist(), strict=True)):
            if seed in self.photo_row:  # their photograph may not be drawn yet
                self.rows.setdefault(style, []).append(row)
        self.styles = sorted(self.rows)

    def draw(self, count: int, rng: torch.Generator, *, styles: Sequence[str] | None = None) -> Pictures:
        """Draw a batch.

        Args:
            count: B.
            rng: Source of every choice.
            styles: The style of each picture, instead of drawing it.
        """
        words = np.random.default_rng(_integer(rng, 2**31))
        chosen = list(styles) if styles is not None else [self._style(rng) for _ in range(count)]
        grids = torch.rand(count, generator=rng) < self.grid_part
        items = [self._one(style, bool(grid), rng, words) for style, grid in zip(chosen, grids, strict=True)]
        colours = torch.rand(count, 3, generator=rng) * 2 - 1
        colours[torch.rand(count, generator=rng) < self.white_part] = 1.0
        colours = colours[..., None, None]
        photo_masks = torch.stack([item.photo_mask for item in items])
        return Pictures(
            images=on_colour(
                torch.stack([item.image for item in items]),
                torch.stack([item.mask for item in items]),
                colours,
            ),
            photos=on_colour(torch.stack([item.photo for item in items]), photo_masks, colours),
            photo_masks=photo_masks,
            photo_depths=torch.stack([item.photo_depth for item in items]),
            captions=[item.caption for item in items],
            styles=chosen,
            grid=grids,
            people=torch.tensor([item.person for item in items]),
        )

    def _style(self, rng: torch.Generator) -> str:
        return self.styles[_integer(rng, len(self.styles))]

    def _one(self, style: str, grid: bool, rng: torch.Generator, words: np.random.Generator) -> _Item:
        row = self.rows[style][_integer(rng, len(self.rows[style]))]
        views = self.photo if style == PHOTO else self.styled
        photo_row = row if style == PHOTO else self.photo_row[int(views.identities[row])]
        columns = drawn_columns(views.cameras[row], rng, grid=grid)
        parts = [
            bytes_to_pm1(views.images[row, columns]),
            views.masks[row, columns].float()[:, None] / 255,
            bytes_to_pm1(self.photo.images[photo_row, columns]),
            self.photo.masks[photo_row, columns].float()[:, None] / 255,
            self.photo.depths[photo_row, columns].float()[:, None],
        ]
        if torch.rand((), generator=rng) < 0.5:  # heads are as good in a mirror
            parts = [part.flip(-1) for part in parts]
        if not grid:
            text = self.describe(style, words, view=view_name(views.cameras[row, columns[0]]), grid=False)
            image, mask, photo, photo_mask, depth = (part[0] for part in parts)
            return _Item(image, mask, photo, photo_mask, depth, text, photo_row)
        image, mask, photo, photo_mask = (tile_2x2(half(part)) for part in parts[:4])
        depth = tile_2x2(parts[4][..., ::2, ::2])
        text = self.describe(style, words, view=None, grid=True)
        return _Item(image, mask, photo, photo_mask, depth, text, photo_row)


def drawn_columns(cameras: Tensor, rng: torch.Generator, *, grid: bool) -> Tensor:
    """Which of a head's cameras [V, 25] are looked through: any four in a grid, else one, mostly of the face.

    Faces are what is hard to paint, and what single views are asked for; a camera in front is e^2 times as
    likely as one behind.
    """
    likely = torch.ones(len(cameras)) if grid else facing(cameras).exp()
    return torch.multinomial(likely, 4 if grid else 1, generator=rng)


def half(images: Tensor) -> Tensor:
    """[B, C, R, R] to [B, C, R/2, R/2] by averaging."""
    return functional.avg_pool2d(images, 2)


def tile_2x2(tiles: Tensor) -> Tensor:
    """Four tiles [4, C, R, R] to one picture [C, 2R, 2R]: first and second on top, third and fourth below."""
    top, below = torch.cat([tiles[0], tiles[1]], dim=-1), torch.cat([tiles[2], tiles[3]], dim=-1)
    return torch.cat([top, below], dim=-2)


def view_name(camera_label: Tensor) -> View:
    """What a caption calls the side that a camera [25] sees."""
    position = split_label(camera_label[None])[0][0, :3, 3]
    yaw = abs(math.degrees(math.atan2(float(position[0]), float(position[2]))))
    return "front" if yaw < 45 else "side" if yaw < 125 else "back"


def _integer(rng: torch.Generator, below: int) -> int:
    return int(torch.randint(below, (), generator=rng))
