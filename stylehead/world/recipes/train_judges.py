"""How the judges are trained: on people and under augmentations that no other network is trained with."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from stylehead.images import bytes_to_pm1, on_colour
from stylehead.mini.captions import STYLES
from stylehead.perception.judges import JUDGED_SIZE, IdentityJudge, StyleJudge
from stylehead.world.recipes.computing import device_of, in_bfloat16, rng_on
from stylehead.world.recipes.data import Renders, facing
from stylehead.world.recipes.warm_start import copy_saved

_TEMPERATURE = 0.1
_FRONT = 0.2  # cosine of the angle to the front from which on a view shows a face


class StyleJudgeRecipe:
    """Cross entropy over the styles.

    Args:
        photo: Photographs of the judges' people.
        styled: The same people in styles.
        batch: Pictures in a step.
    """

    name = "style_judge"
    learning_rate = 1e-3

    def __init__(self, photo: Renders, styled: Renders, *, batch: int = 48) -> None:
        torch.manual_seed(11)
        self.model: nn.Module = StyleJudge()
        self.views = {style: photo if style == "photo" else styled for style in STYLES}
        self.rows = {
            style: [row for row, name in enumerate(views.styles) if name == style]
            for style, views in self.views.items()
        }
        self.batch = batch

    def parameters(self) -> list[dict[str, object]]:
        """All of it."""
        return [{"params": list(self.model.parameters())}]

    def loss(self, progress: float, rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Cross entropy; for the log also how many are right."""
        target = torch.randint(len(STYLES), (self.batch,), generator=rng)
        places = [self._place(STYLES[int(number)], rng) for number in target]
        device = device_of(self.model)
        rng = rng_on(device, rng)
        with in_bfloat16(device):
            logits = self.model(disturbed(_pictures(places, rng), rng)).float().cpu()
        right = (logits.argmax(dim=1) == target).float().mean()
        return functional.cross_entropy(logits, target), {"accuracy": float(right)}

    def _place(self, style: str, rng: torch.Generator) -> "_Place":
        rows = self.rows[style]
        row = rows[int(torch.randint(len(rows), (), generator=rng))]
        column = int(torch.randint(self.views[style].cameras.shape[1], (), generator=rng))
        return _Place(self.views[style], row, column)

    def warm_start(self, folder: Path) -> bool:
        """The embedded network."""
        return copy_saved(self.model, folder / "style_judge.safetensors", StyleJudge)

    def export(self, averaged: nn.Module, folder: Path, metadata: Mapping[str, str]) -> None:
        """Write style_judge.safetensors."""
        assert isinstance(averaged, StyleJudge)
        averaged.save(folder / "style_judge.safetensors", dict(metadata))


class IdentityJudgeRecipe:
    """Contrastive learning: a person's photograph and the same person in any style agree.

    Args:
        photo: Photographs of the judges' people.
        styled: The same people in styles.
        people: People in a step; two pictures of each.
    """

    name = "identity_judge"
    learning_rate = 1e-3

    def __init__(self, photo: Renders, styled: Renders, *, people: int = 32) -> None:
        torch.manual_seed(12)
        self.model: nn.Module = IdentityJudge()
        self.photo, self.styled = photo, styled
        self.styled_rows: dict[int, list[int]] = {}
        for row, seed in enumerate(styled.identities.tolist()):
            self.styled_rows.setdefault(seed, []).append(row)
        self.people = min(people, len(photo))

    def parameters(self) -> list[dict[str, object]]:
        """All of it."""
        return [{"params": list(self.model.parameters())}]

    def loss(self, progress: float, rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Cross entropy of finding each person's other picture among all in the step."""
        rows = torch.randperm(len(self.photo), generator=rng)[: self.people]
        places = [_face(self.photo, int(row), rng) for row in rows]
        places += [self._other(int(row), rng) for row in rows]
        device = device_of(self.model)
        rng = rng_on(device, rng)
        with in_bfloat16(device):
            embedded = self.model(disturbed(_pictures(places, rng), rng)).float().cpu()
        one, other = embedded.chunk(2)
        logits, target = one @ other.t() / _TEMPERATURE, torch.arange(len(rows))
        loss = functional.cross_entropy(logits, target) + functional.cross_entropy(logits.t(), target)
        return loss / 2, {"rank1": float((logits.argmax(dim=1) == target).float().mean())}

    def _other(self, row: int, rng: torch.Generator) -> "_Place":
        """Another picture of a person: in one of the styles, for the most part."""
        styled = self.styled_rows.get(int(self.photo.identities[row]), [])
        chosen = int(torch.randint(len(styled) + 1, (), generator=rng))
        if chosen == len(styled):
            return _face(self.photo, row, rng)
        return _face(self.styled, styled[chosen], rng)

    def warm_start(self, folder: Path) -> bool:
        """The embedded network."""
        return copy_saved(self.model, folder / "identity_judge.safetensors", IdentityJudge)

    def export(self, averaged: nn.Module, folder: Path, metadata: Mapping[str, str]) -> None:
        """Write identity_judge.safetensors."""
        assert isinstance(averaged, IdentityJudge)
        averaged.save(folder / "identity_judge.safetensors", dict(metadata))


class _Place(NamedTuple):
    """Where a picture is among renders."""

    views: Renders
    row: int
    column: int


def _face(views: Renders, row: int, rng: torch.Generator) -> _Place:
    """A picture of a row that shows a face; the one nearest to it where none does."""
    cosine = facing(views.cameras[row])
    chance = torch.rand(cosine.shape, generator=rng)
    return _Place(views, row, int(((cosine > _FRONT) * chance + 0.01 * cosine).argmax()))


def _pictures(places: list[_Place], rng: torch.Generator) -> Tensor:
    """Pictures [N, 3, 128, 128] on plain colours, on the device of the source of chance."""
    images = torch.stack([views.images[row, column] for views, row, column in places])
    masks = torch.stack([views.masks[row, column] for views, row, column in places])
    colours = torch.rand(len(places), 3, generator=rng, device=rng.device) * 2 - 1
    colours[torch.rand(len(places), generator=rng, device=rng.device) < 0.4] = 1.0
    covered = masks.to(rng.device)[:, None].float() / 255
    drawn = on_colour(bytes_to_pm1(images.to(rng.device)), covered, colours[..., None, None])
    return functional.interpolate(drawn, size=JUDGED_SIZE, mode="bilinear", align_corners=False)


def disturbed(images: Tensor, rng: torch.Generator) -> Tensor:
    """Zoomed and shifted, coarser, brighter or paler, with a part cut out: pictures [B, 3, R, R] in -1..1."""
    count, size = len(images), images.shape[-1]
    images = _zoomed(images, rng)
    coarse = functional.interpolate(images, scale_factor=0.5, mode="area")
    coarse = functional.interpolate(coarse, size=size, mode="bilinear", align_corners=False)
    images = torch.where(torch.rand(count, 1, 1, 1, generator=rng, device=rng.device) < 0.5, coarse, images)
    gain, shift = (0.2 * torch.randn(count, 1, 1, 1, generator=rng, device=rng.device) for _ in range(2))
    images = (images * (1 + gain) + shift).clamp(-1, 1)
    return _cut_out(images, rng)


def _zoomed(images: Tensor, rng: torch.Generator) -> Tensor:
    count = len(images)
    places = torch.zeros(count, 2, 3, device=rng.device)
    zoom = 0.85 + 0.3 * torch.rand(count, generator=rng, device=rng.device)
    mirror = 1 - 2.0 * (torch.rand(count, generator=rng, device=rng.device) < 0.5)
    places[:, 0, 0], places[:, 1, 1] = zoom * mirror, zoom
    places[:, :, 2] = 0.08 * torch.randn(count, 2, generator=rng, device=rng.device)
    grid = functional.affine_grid(places, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _cut_out(images: Tensor, rng: torch.Generator) -> Tensor:
    """A grey square of up to a third of the edge in half of the pictures (DeVries & Taylor, 2017)."""
    count, size = len(images), images.shape[-1]
    edge = torch.rand(count, 1, 1, 1, generator=rng, device=rng.device) * size / 3
    edge = edge * (torch.rand(count, 1, 1, 1, generator=rng, device=rng.device) < 0.5)
    shares = torch.rand(2, count, 1, 1, 1, generator=rng, device=rng.device)
    top, left = shares * (size - edge)
    line = torch.arange(size, device=rng.device)
    rows, columns = line.view(1, 1, -1, 1), line.view(1, 1, 1, -1)
    inside = (rows >= top) & (rows < top + edge) & (columns >= left) & (columns < left + edge)
    return images.masked_fill(inside, 0.0)
