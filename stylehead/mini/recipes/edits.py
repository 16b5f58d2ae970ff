"""How near the editor comes: true photographs of unseen people edited, against the true styled pictures."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionInstructPix2PixPipeline
from torch import Tensor

from stylehead.evaluation.methods import PROMPTS
from stylehead.mini.captions import PROMPTED_STYLES
from stylehead.mini.phrases import filler
from stylehead.mini.recipes.data import Views, facing, image_pm1

TEXT_SCALE, PICTURE_SCALE, STEPS = 3.0, 1.5, 15
_BATCH = 16


@dataclass(frozen=True)
class Pairs:
    """The same people from the same cameras, photographed and in a style: [B,3,R,R] each, -1..1."""

    photos: Tensor
    truth: Tensor


def true_pairs(photo: Views, styled: Views, style: str, *, count: int) -> Pairs:
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
    return Pairs(image_pm1(torch.stack(photos)), image_pm1(truth))


def open_editor(folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    """The pipeline in a folder."""
    pipeline = StableDiffusionInstructPix2PixPipeline.from_pretrained(
        folder, torch_dtype=dtype, local_files_only=True, safety_checker=None, requires_safety_checker=False
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@torch.no_grad()
def edit(
    pipeline: Any,
    photos: Tensor,
    prompts: list[str],
    *,
    text_scale: float = TEXT_SCALE,
    picture_scale: float = PICTURE_SCALE,
    steps: int = STEPS,
    seed: int = 11,
) -> Tensor:
    """Edit pictures [B,3,R,R] in -1..1 by a prompt each; another noise for every picture."""
    size = int(pipeline.unet.config.sample_size)
    edited = []
    for at in range(0, len(photos), _BATCH):
        some = photos[at : at + _BATCH]
        rng = torch.Generator().manual_seed(seed + at)
        start = torch.randn(len(some), 4, size, size, generator=rng)
        edited.append(
            pipeline(
                prompts[at : at + _BATCH],
                image=some * 0.5 + 0.5,
                num_inference_steps=steps,
                guidance_scale=text_scale,
                image_guidance_scale=picture_scale,
                latents=start,
                output_type="pt",
            ).images
        )
    return torch.cat(edited) * 2 - 1


def psnr(images: Tensor, truth: Tensor) -> Tensor:
    """Peak signal-to-noise ratio [B] in dB of pictures in -1..1."""
    return -10 * torch.log10((images.clamp(-1, 1) - truth).square().mean(dim=(1, 2, 3)) / 4)


def colour_shift(images: Tensor, truth: Tensor) -> Tensor:
    """How far the mean colour [B] of pictures in -1..1 is from the truth's: 0 is none, 1 black for white."""
    return (images.clamp(-1, 1) - truth).mean(dim=(2, 3)).div(2).norm(dim=1) / 3**0.5


def editor_figures(pipeline: Any, photo: Views, styled: Views, *, count: int) -> dict[str, dict[str, float]]:
    """PSNR and shift of the mean colour by style, means over pairs."""
    figures: dict[str, dict[str, float]] = {"psnr": {}, "colour_shift": {}}
    for style in PROMPTED_STYLES:
        pairs = true_pairs(photo, styled, style, count=count)
        edited = edit(pipeline, pairs.photos, [PROMPTS[style]] * count)
        figures["psnr"][style] = float(psnr(edited, pairs.truth).mean())
        figures["colour_shift"][style] = float(colour_shift(edited, pairs.truth).mean())
    for values in figures.values():
        values["mean"] = sum(values.values()) / len(PROMPTED_STYLES)
    return figures


def long_prompts(style: str, count: int, seed: int = 4) -> list[str]:
    """Prompts of sixty words around a style's name, which stands anywhere among them."""
    import numpy as np

    words = np.random.default_rng(seed)
    places = [int(words.integers(61)) for _ in range(count)]
    return [f"{filler(n, words)} {style} {filler(60 - n, words)}".strip() for n in places]
