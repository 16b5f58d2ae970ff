"""A pool of encoded pictures: encoding costs as much as training, so every latent is used several times."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional

from stylehead.teacher.conditions import canny_condition, depth_condition
from stylehead.world.recipes.computing import device_of
from stylehead.world.recipes.training_pictures import Pictures, PictureSource, half, tile_2x2

Describe = Callable[[Pictures, torch.Generator], dict[str, Tensor]]
"""What is kept of pictures beside latents and captions: tensors [B, ...] by name."""

_MOST_FRESH = 24


@dataclass(frozen=True)
class PoolItems:
    """Latents [B, 4, h, w] (scaled), captions and styles, and what else is kept of the pictures [B, ...]."""

    latents: Tensor
    captions: list[str]
    styles: list[str]
    kept: dict[str, Tensor]


class LatentPool:
    """Keeps `size` encoded pictures and replaces a few of them at every draw.

    Args:
        source: Pictures.
        vae: Encoder; its scaling factor is applied.
        describe: What else to keep of pictures; nothing by default.
        size: Pictures kept.
        fresh: Part of each drawn batch that is newly encoded, up to 24: drawing takes a core its time,
            however large the batch of a graphics card.
    """

    def __init__(
        self,
        source: PictureSource,
        vae: AutoencoderKL,
        describe: Describe = lambda _pictures, _rng: {},
        *,
        size: int = 6144,
        fresh: float = 0.17,
    ) -> None:
        self.source = source
        self.vae = vae.eval().requires_grad_(False)
        self.describe = describe
        self.size = size
        self.fresh = fresh
        self.items: PoolItems | None = None
        self.next = 0

    def draw(self, count: int, rng: torch.Generator) -> PoolItems:
        """Draw a batch; the first calls fill the pool as they go."""
        if self.items is None or len(self.items.captions) < min(self.size, 4 * count):
            self._append(self._encode(count, rng))
        else:
            new = min(_MOST_FRESH, max(1, round(count * self.fresh)))
            items = self._encode(new, rng)
            if len(self.items.captions) < self.size:
                self._append(items)
            else:
                self._replace(items)
        assert self.items is not None
        rows = torch.randint(len(self.items.captions), (count,), generator=rng)
        return PoolItems(
            self.items.latents[rows.to(self.items.latents.device)],
            [self.items.captions[int(row)] for row in rows],
            [self.items.styles[int(row)] for row in rows],
            {name: tensor[rows.to(tensor.device)] for name, tensor in self.items.kept.items()},
        )

    @torch.no_grad()
    def _encode(self, count: int, rng: torch.Generator) -> PoolItems:
        pictures = self.source.draw(count, rng)
        means = self.vae.encode(pictures.images.to(device_of(self.vae))).latent_dist.mean
        return PoolItems(
            means * self.vae.config.scaling_factor,
            pictures.captions,
            pictures.styles,
            self.describe(pictures, rng),
        )

    def _append(self, items: PoolItems) -> None:
        old = self.items
        self.items = items if old is None else PoolItems(
            torch.cat([old.latents, items.latents]),
            old.captions + items.captions,
            old.styles + items.styles,
            {name: torch.cat([tensor, items.kept[name]]) for name, tensor in old.kept.items()},
        )  # fmt: skip

    def _replace(self, items: PoolItems) -> None:
        assert self.items is not None
        for number, text in enumerate(items.captions):
            row = self.next % self.size
            self.items.captions[row], self.items.styles[row] = text, items.styles[number]
            self.items.latents[row] = items.latents[number]
            for name, tensor in self.items.kept.items():
                tensor[row] = items.kept[name][number]
            self.next += 1


def photo_conditions(pictures: Pictures, rng: torch.Generator) -> dict[str, Tensor]:
    """Edges and depth of the photographs, uint8 [B, 1, R, R], as `canny` and `depth`."""
    canny = canny_condition(softened(pictures.photos, rng))[:, :1]
    depth = photo_depth_condition(pictures)[:, :1]
    return {"canny": (canny * 255).byte(), "depth": (depth * 255).byte()}


def softened(photos: Tensor, rng: torch.Generator, *, part: float = 0.5) -> Tensor:
    """Blur a part of the photographs [B, 3, R, R]: generators' pictures are softer, and have fewer edges."""
    chosen = torch.rand(len(photos), 1, 1, 1, generator=rng) < part
    soft = functional.interpolate(half(photos), size=photos.shape[-1], mode="bilinear", align_corners=False)
    return torch.where(chosen, soft, photos)


def photo_depth_condition(pictures: Pictures) -> Tensor:
    """Depth conditions [B, 3, R, R] of the photographs; every tile of a grid is normalised on its own."""
    conditions = []
    for number, grid in enumerate(pictures.grid):
        depth, mask = pictures.photo_depths[number][None], pictures.photo_masks[number][None]
        if not grid:
            conditions.append(depth_condition(depth, mask)[0])
            continue
        conditions.append(_grid_condition(depth, mask))
    return torch.stack(conditions)


def _grid_condition(depth: Tensor, mask: Tensor) -> Tensor:
    tiles = [depth_condition(*pair) for pair in zip(_untile(depth), _untile(mask), strict=True)]
    return tile_2x2(torch.cat(tiles))


def _untile(picture: Tensor) -> list[Tensor]:
    """[1, C, 2R, 2R] to four [1, C, R, R]: top left, top right, bottom left, bottom right."""
    return [tile for row in picture.chunk(2, dim=-2) for tile in row.chunk(2, dim=-1)]
