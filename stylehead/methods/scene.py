"""Rendering groups of views: one pass of rays for all of them, super-resolution only where it is used."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from stylehead.generator import PanoHead, RawOutput, RenderOptions, TriGrid
from stylehead.images import on_colour, resize, to_pm1
from stylehead.methods.config import StylizeConfig
from stylehead.methods.draws import Draw
from stylehead.methods.kept import KeptHeads

T = TypeVar("T")

Groups = Mapping[str, bool]
"""Which groups of `Draw.labels` to render, and whether their final images are needed."""


class Views(NamedTuple):
    """Renders of one group, identity-major.

    `image` [K n, 3, S, S] nominally -1..1 (None if not asked for), `image_raw` [K n, 3, r, r],
    `mask` [K n, 1, r, r] opacity in 0..1, `depth` [K n, 1, r, r] distance along the ray.
    """

    image: Tensor | None
    image_raw: Tensor
    mask: Tensor
    depth: Tensor

    def final(self) -> Tensor:
        """Return the final image of a group that was rendered with one."""
        assert self.image is not None, "this group was rendered without final images"
        return self.image


class Untouched(NamedTuple):
    """What the reference makes of heads.

    `ws` [K, num_ws, w_dim] are style vectors, `planes` [K, 96 D, S, S] tri-grids, `views` renders by group.
    """

    ws: Tensor
    planes: Tensor
    views: dict[str, Views]


@dataclass(frozen=True)
class Scene:
    """The renders of one iteration: views and tri-grids of the trained generator and of the reference.

    `ws` [K, num_ws, w_dim] are the style vectors that both got, and `edited_ws` what the trained one made of
    them: the same, unless the method trains a mapper. `kept` is what was made of heads that come again.
    """

    draw: Draw
    views: dict[str, Views]
    reference_views: dict[str, Views]
    planes: Tensor
    reference_planes: Tensor
    ws: Tensor
    edited_ws: Tensor
    kept: KeptHeads | None = None

    def once(self, name: str, make: Callable[[], T]) -> T:
        """Return what is made of the untouched renders alone: made anew unless these heads were here before.

        Args:
            name: Whatever else is made of them has another.
            make: Makes it, a tensor or a tuple of some, without gradients.
        """
        return make() if self.kept is None else self.kept.once(name, make)


def render_groups(
    generator: PanoHead,
    planes: Tensor | TriGrid,
    ws: Tensor,
    draw: Draw,
    config: StylizeConfig,
    *,
    groups: Groups,
    rng: torch.Generator | None,
    one_view: bool = False,
) -> dict[str, Views]:
    """Render groups of views of K identities.

    Args:
        generator: The network.
        planes: Its tri-grids [K, 96 D, S, S], or those prepared.
        ws: Style vectors [K, num_ws, w_dim].
        draw: Cameras and backgrounds.
        config: Background, noise and jitter.
        groups: What to render.
        rng: Source of ray jitter, on the planes' device.
        one_view: Render one view at a time, and again in the backward pass: the same, in less memory.
    """
    if not groups:
        return {}
    labels = torch.cat([draw.labels[name] for name in groups], dim=1)
    raw = generator.render_raw(
        planes,
        ws,
        labels.flatten(0, 1),
        background=False if config.background == "bare" else "white",
        noise_mode=config.noise_mode,
        deterministic=not config.ray_jitter,
        rng=rng,
        options=RenderOptions(one_view=one_view),
    )
    counts = [draw.labels[name].shape[1] for name in groups]
    parts = dict(zip(groups, _split(raw, len(ws), counts), strict=True))
    final = {name: part for name, part in parts.items() if groups[name]}
    images = _finish(generator, final, ws, rng=rng, one_view=one_view)
    return {
        name: _with_background(
            Views(images.get(name), part.image_raw, part.weight_sum, part.depth),
            draw.backgrounds_01[name],
            config,
        )
        for name, part in parts.items()
    }


def _split(raw: RawOutput, identities: int, counts: list[int]) -> list[RawOutput]:
    """Cut renders [K sum(counts), ...] into groups [K count, ...]."""
    columns = [part.unflatten(0, (identities, -1)).split(counts, dim=1) for part in raw]
    return [RawOutput(*(part.flatten(0, 1) for part in group)) for group in zip(*columns, strict=True)]


def _finish(
    generator: PanoHead,
    parts: Mapping[str, RawOutput],
    ws: Tensor,
    *,
    rng: torch.Generator | None,
    one_view: bool,
) -> dict[str, Tensor]:
    """Run super-resolution once over all groups that need it."""
    if not parts:
        return {}
    identities = len(ws)

    def join(tensors: list[Tensor]) -> Tensor:
        return torch.cat([tensor.unflatten(0, (identities, -1)) for tensor in tensors], dim=1).flatten(0, 1)

    images = generator.superresolution(
        join([part.image_raw for part in parts.values()]),
        join([part.features for part in parts.values()]),
        generator.edited(ws),
        noise_mode=generator.config.rendering.superresolution_noise_mode,
        rng=rng,
        one_view=one_view,
    )
    counts = [len(part.image_raw) // identities for part in parts.values()]
    groups = images.unflatten(0, (identities, -1)).split(counts, dim=1)
    return {name: group.flatten(0, 1) for name, group in zip(parts, groups, strict=True)}


def _with_background(views: Views, background_01: Tensor, config: StylizeConfig) -> Views:
    if config.background != "random":
        return views
    colours = background_01.flatten(0, 1)
    return views._replace(
        image=None if views.image is None else recolour(views.image, views.mask, colours),
        image_raw=recolour(views.image_raw, views.mask, colours),
    )


def recolour(image_pm1: Tensor, mask: Tensor, background_01: Tensor) -> Tensor:
    """Put another plain colour behind images that were rendered on white.

    The mask is resized to the images; see `on_colour`.

    Args:
        image_pm1: Images on white [B, 3, H, W], nominally -1..1.
        mask: Opacity of the head [B, 1, h, w], 0..1.
        background_01: Colours [B, 3, 1, 1], 0..1.
    """
    mask = resize(mask, (image_pm1.shape[-2], image_pm1.shape[-1]), antialias=False)
    return on_colour(image_pm1, mask, to_pm1(background_01))
