"""Procedural heads as a photograph might show them: in front of anything, in any light, cut off, in the way.

A network that has only seen clean renders takes a wall for hair and a shadow for a beard. Everything here
works on batches, where they lie; `rng` is the only source of chance.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from stylehead.world.recipes.chance import for_some, one_each, without_detail

_GAMMA = 2.2
_GREY_PART, _CUT_OFF_PART, _IN_THE_WAY_PART, _CAP_PART = 0.3, 0.4, 0.35, 0.08
_DYED_PART, _PATTERN_PART = 0.3, 0.6


@dataclass(frozen=True, eq=False)
class LabelledHeads:
    """Pictures of heads and what they show.

    Attributes:
        images: [B, 3, R, R], 0..1; on white at first.
        masks: [B, 1, R, R], share of a pixel that the head covers.
        parts: [B, 3, R, R], shares of skin, hair and clothes.
        hair: [B, 3], linear colour of the hair.
    """

    images: Tensor
    masks: Tensor
    parts: Tensor
    hair: Tensor


def photographed(heads: LabelledHeads, colours: Tensor, rng: torch.Generator) -> LabelledHeads:
    """The same heads in photographs.

    Args:
        heads: On white.
        colours: Linear colours [N, 3] that hair may be dyed in.
        rng: Source of chance, where the pictures lie.
    """
    heads = dyed(heads, colours, rng)
    heads = replace(heads, images=heads.images * _clothes(heads, rng) * _light(heads, rng))
    behind = clutter(len(heads.images), heads.images.shape[-1], rng)
    others = heads.images[torch.randperm(len(behind), generator=rng, device=rng.device)]
    others = torch.roll(others, heads.images.shape[-1] // 2, dims=3)  # people beside and behind
    behind = torch.where(for_some(0.2, len(behind), rng) > 0, behind.lerp(others, 0.8), behind)
    plain = torch.rand(len(behind), 3, 1, 1, generator=rng, device=rng.device).expand_as(behind)
    behind = torch.where(for_some(0.25, len(behind), rng) > 0, plain, behind)
    images = heads.images - (1 - heads.masks) + (1 - heads.masks) * behind
    moved = framed(replace(heads, images=images), rng)
    return replace(moved, images=_developed(_cut_off(_in_the_way(moved, rng), rng), rng))


def dyed(heads: LabelledHeads, colours: Tensor, rng: torch.Generator) -> LabelledHeads:
    """Give a part of the people hair of another natural colour: long fair hair is rare otherwise."""
    count = len(heads.images)
    pick = torch.randint(len(colours), (2, count), generator=rng, device=rng.device)
    blend = torch.rand(count, 1, generator=rng, device=rng.device)
    wanted = colours[pick[0]].lerp(colours[pick[1]], blend)
    gain = (wanted / heads.hair.clamp(min=0.008)).clamp(0.1, 12)
    gain = torch.where(for_some(_DYED_PART, count, rng)[:, :, 0, 0] > 0, gain, torch.ones_like(gain))
    hair = heads.parts[:, 1:2]
    recoloured = (heads.images.clamp(min=0) * gain[..., None, None] ** (1 / _GAMMA)).clamp(max=1)
    return replace(heads, images=heads.images.lerp(recoloured, hair), hair=(heads.hair * gain).clamp(0, 0.85))


def framed(heads: LabelledHeads, rng: torch.Generator) -> LabelledHeads:
    """Move, turn, scale and stretch a little: faces in photographs are not aligned to the pixel."""
    count, size = len(heads.images), heads.images.shape[-1]
    scale = 1 + 0.09 * torch.randn(count, 1, generator=rng, device=rng.device)
    stretch = 1 + 0.03 * torch.randn(count, 2, generator=rng, device=rng.device)
    angle = 0.07 * torch.randn(count, generator=rng, device=rng.device)
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], dim=1).view(count, 2, 2)
    shift = 0.07 * torch.randn(count, 2, 1, generator=rng, device=rng.device)
    matrix = torch.cat([turn * (scale * stretch)[:, :, None], shift], dim=2)
    places = functional.affine_grid(matrix, [count, 3, size, size], align_corners=False)
    stacked = torch.cat([heads.images, heads.masks, heads.parts], dim=1)
    moved = functional.grid_sample(stacked, places, padding_mode="border", align_corners=False)
    return replace(heads, images=moved[:, :3], masks=moved[:, 3:4], parts=moved[:, 4:7])


def clutter(count: int, size: int, rng: torch.Generator) -> Tensor:
    """Pictures [B, 3, R, R] of nothing: clouds and pieces of colour of several sizes, in or out of focus."""
    found = torch.rand(count, 3, 1, 1, generator=rng, device=rng.device).expand(-1, -1, size, size)
    for cells in (2, 4, 8, 20):
        cloud = _cloud(count, 1, cells, size, rng)
        edge = 1 + 40 * torch.rand(count, 1, 1, 1, generator=rng, device=rng.device) ** 3
        cover = torch.sigmoid(4 * edge * (cloud - 0.4))
        colour = torch.rand(count, 3, 1, 1, generator=rng, device=rng.device)
        colour = colour.lerp(colour.mean(dim=1, keepdim=True), one_each(0, 1, count, rng))
        colour = (colour + 0.15 * _cloud(count, 3, 2 * cells, size, rng)).clamp(0, 1)
        found = found.lerp(colour.expand_as(found), cover * one_each(0.2, 1, count, rng))
    return found.lerp(without_detail(found, 8), for_some(0.4, count, rng))


def _clothes(heads: LabelledHeads, rng: torch.Generator) -> Tensor:
    """Patterns, and other colours, as factors of the pixels that show clothes."""
    count, size = len(heads.images), heads.images.shape[-1]
    pattern = torch.exp(0.7 * _cloud(count, 3, 6, size, rng) + 0.4 * _cloud(count, 1, 24, size, rng))
    pattern = pattern * torch.exp(0.4 * torch.randn(count, 3, 1, 1, generator=rng, device=rng.device))
    part = heads.parts[:, 2:] * for_some(_PATTERN_PART, count, rng)
    return 1 + part * (pattern - 1)


def _light(heads: LabelledHeads, rng: torch.Generator) -> Tensor:
    """Uneven light of some colour, and locks in the hair, as factors of the pixels."""
    count, size = len(heads.images), heads.images.shape[-1]
    lamp = torch.exp(one_each(0, 0.3, count, rng) * _cloud(count, 1, 2, size, rng))
    locks = functional.interpolate(
        torch.randn(count, 1, size // 16, size // 3, generator=rng, device=rng.device),
        size=size,
        mode="bilinear",
    )
    locks = torch.exp(one_each(0, 0.35, count, rng) * heads.parts[:, 1:2] * locks)
    shade = torch.exp(one_each(0, 0.3, count, rng) * heads.parts[:, :1] * _cloud(count, 1, 9, size, rng))
    return lamp * locks * shade


def _in_the_way(heads: LabelledHeads, rng: torch.Generator) -> Tensor:
    """Hands and microphones before the head, mostly low: patches of any colour. And some wear a cap."""
    count, size = len(heads.images), heads.images.shape[-1]
    height = torch.linspace(-1.2, 0.6, size, device=rng.device).view(1, 1, -1, 1)
    cover = torch.sigmoid(25 * (_cloud(count, 1, 4, size, rng) + height - 1.0))
    colour = torch.rand(count, 3, 1, 1, generator=rng, device=rng.device)
    images = heads.images.lerp(colour.expand_as(heads.images), cover * for_some(_IN_THE_WAY_PART, count, rng))
    brim = one_each(0.2, 0.45, count, rng)
    above = torch.sigmoid(60 * (brim - torch.linspace(0, 1, size, device=rng.device).view(1, 1, -1, 1)))
    cap = above * without_detail(heads.masks, 4) * for_some(_CAP_PART, count, rng)
    return images.lerp(colour.flip(1).expand_as(images), cap)


def _cut_off(images: Tensor, rng: torch.Generator) -> Tensor:
    """Beyond the edges of some photographs there is only what a blur of their border makes up."""
    count, size = len(images), images.shape[-1]
    at = (torch.arange(size, device=images.device) + 0.5) / size
    low, high = (0.4 * torch.rand(2, count, 2, 1, generator=rng, device=rng.device) ** 1.5).unbind()
    inside = ((at > low) & (at < 1 - high)).float()
    known = inside[:, 0, None, None, :] * inside[:, 1, None, :, None]
    mean = (images * known).mean(dim=(2, 3), keepdim=True) / known.mean(dim=(2, 3), keepdim=True)
    beyond = (without_detail(images * known, 16) + 0.02 * mean) / (without_detail(known, 16) + 0.02)
    cut = known * images + (1 - known) * beyond
    return torch.where(for_some(_CUT_OFF_PART, count, rng) > 0, cut, images)


def _developed(images: Tensor, rng: torch.Generator) -> Tensor:
    """Exposure, tint, contrast, no colour at all, blur and grain."""
    count = len(images)
    tint = torch.exp(0.08 * torch.randn(count, 3, 1, 1, generator=rng, device=rng.device))
    exposure = torch.exp(0.2 * torch.randn(count, 1, 1, 1, generator=rng, device=rng.device))
    images = (images.clamp(min=0) * tint * exposure).clamp(0, 1)
    images = (images + 1e-3) ** torch.exp(0.3 * torch.randn(count, 1, 1, 1, generator=rng, device=rng.device))
    grey = images.mean(dim=1, keepdim=True).expand_as(images)
    colourful = 1 + 0.25 * torch.randn(count, 1, 1, 1, generator=rng, device=rng.device)
    images = grey + (images - grey) * colourful.clamp(min=0)
    images = images.lerp(grey, for_some(_GREY_PART, count, rng))
    for factor, part in ((2, 0.5), (4, 0.25)):
        images = images.lerp(
            without_detail(images, factor), one_each(0, 1, count, rng) * for_some(part, count, rng)
        )
    grain = 0.03 * torch.rand(count, 1, 1, 1, generator=rng, device=rng.device)
    return (images + grain * torch.randn(images.shape, generator=rng, device=rng.device)).clamp(0, 1)


def _cloud(count: int, channels: int, cells: int, size: int, rng: torch.Generator) -> Tensor:
    """Smooth noise [B, C, R, R] of about standard deviation 1, `cells` of it along an edge."""
    noise = torch.randn(count, channels, cells + 1, cells + 1, generator=rng, device=rng.device)
    return 1.3 * functional.interpolate(noise, size=size, mode="bilinear", align_corners=True)
