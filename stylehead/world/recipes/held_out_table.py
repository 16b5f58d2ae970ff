"""The one table of held-out figures, with a sheet of pictures beside the truth for each row.

Every row is measured on people that no recipe has drawn, by the same functions whatever weights are in the
folder: those of an earlier version too.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image
from torch import Tensor

from stylehead.files import atomic_path
from stylehead.generator import PanoHead
from stylehead.geometry import conditioning_camera, turntable
from stylehead.images import bytes_to_pm1, outline_iou
from stylehead.mini.captions import PROMPTED_STYLES, STYLES
from stylehead.perception.embedded import StyleClassifier
from stylehead.perception.judges import StyleJudge
from stylehead.world.recipes.data import Renders
from stylehead.world.recipes.editor_figures import (
    Edited,
    edited_by_long_prompts,
    edited_in_style,
    embedded_editor,
    picture_psnr,
    true_pairs,
)
from stylehead.world.recipes.networks import trained

_SHOWN = 6
_COLUMNS = 12
_TRUNCATED_SEEDS = range(32)


class Figure(NamedTuple):
    """A line of the table: what was measured, and how it came out."""

    name: str
    value: str


@dataclass(frozen=True)
class HeldOut:
    """What the figures are measured on: photographs (12 yaws) and pictures in every style (4 yaws)."""

    photo: Renders
    styled: Renders


@dataclass(frozen=True)
class Sheets:
    """Where pictures go; nowhere when there is no folder."""

    folder: Path | None

    def show(self, name: str, rows: Iterable[Tensor]) -> None:
        """Write a sheet of rows of pictures [B, 3, R, R] in -1..1 as lossless WebP."""
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = [torch.cat(list(row[:_COLUMNS].clamp(-1, 1)), dim=-1) for row in rows]
        pixels = (torch.cat(lines, dim=-2) * 127.5 + 127.5).round().byte().permute(1, 2, 0)
        with atomic_path(self.folder / f"{name}.webp") as part:
            Image.fromarray(np.asarray(pixels)).save(part, lossless=True)


@torch.no_grad()
def autoencoder_rows(weights: Path, held_out: HeldOut, sheets: Sheets, *, pictures: int) -> list[Figure]:
    """PSNR of encoding and decoding, by the editor's autoencoder where it has one of its own."""
    own = weights / "ip2p" / "vae"
    vae = trained(AutoencoderKL, own if own.is_dir() else weights / "teacher" / "vae")
    rows = []
    for name, images in (
        ("photographs", _photos(held_out, pictures)),
        ("styled", _styled(held_out, pictures)),
    ):
        back = torch.cat([vae.decode(vae.encode(some).latent_dist.mean).sample for some in images.split(8)])
        rows.append(Figure(f"autoencoder, {name}", f"{float(picture_psnr(back, images).mean()):.2f} dB"))
        shown = torch.linspace(0, len(images) - 1, min(_COLUMNS, len(images))).long()
        sheets.show(f"autoencoder_{name}", [images[shown], back[shown]])
    return rows


def editor_rows(weights: Path, held_out: HeldOut, sheets: Sheets, *, pictures: int) -> list[Figure]:
    """How near edits come to the truth, and whether sixty words around the style's name change that."""
    editor = embedded_editor(weights)
    called = style_caller(weights)
    found = {
        style: edited_in_style(editor, held_out.photo, held_out.styled, style, count=pictures)
        for style in PROMPTED_STYLES
    }
    few = max(2, pictures // 8)
    long = {
        style: edited_by_long_prompts(editor, held_out.photo, held_out.styled, style, count=few)
        for style in PROMPTED_STYLES
    }
    for style, one in found.items():
        sheets.show(f"editor_{style}", _beside(one))
        sheets.show(f"editor_long_prompt_{style}", _beside(long[style]))
    by_style = ", ".join(f"{style} {one.psnr:.1f}" for style, one in found.items())
    return [
        Figure("editor, mean of the styles", f"{_mean(one.psnr for one in found.values()):.2f} dB"),
        Figure("editor, by style", f"{by_style} dB"),
        Figure("editor, mean colour off by", f"{_mean(one.colour_shift for one in found.values()):.3f}"),
        Figure("editor, named by the judge", _shares(called, found)),
        Figure("editor, 60 words around the style", f"{_mean(one.psnr for one in long.values()):.2f} dB"),
        Figure("editor, 60 words, named by the judge", _shares(called, long)),
    ]


@torch.no_grad()
def generator_rows(weights: Path, held_out: HeldOut, sheets: Sheets, *, people: int) -> list[Figure]:
    """PSNR and outline IoU over people and twelve sides; a sheet of seeds 0 to 31 at psi 0.75."""
    generator = PanoHead.load(weights / "generator.safetensors")
    label, photo = conditioning_camera(), held_out.photo
    decibels, overlaps, shown = [], [], []
    for row in range(min(people, len(photo))):
        ws = generator.mapping(photo.z[row : row + 1], label)
        out = generator.synthesis(ws, photo.cameras[row], background="white")
        truth = bytes_to_pm1(photo.images[row])
        decibels.append(picture_psnr(out.image, truth))
        overlaps.append(outline_iou(out.mask, photo.masks[row].float()[:, None] / 255))
        shown += [truth, out.image] if row < _SHOWN else []
    sheets.show("generator", shown)
    if sheets.folder is not None:
        sheets.show("generator_psi_075", _truncated(generator, label))
    return [
        Figure("generator, unseen people", f"{float(torch.cat(decibels).mean()):.2f} dB"),
        Figure("generator, outlines", f"IoU {float(torch.cat(overlaps).mean()):.4f}"),
    ]


def size_rows(weights: Path) -> list[Figure]:
    """Bytes of all weights."""
    size = sum(path.stat().st_size for path in weights.rglob("*") if path.is_file())
    return [Figure("all weights", f"{size / 1e6:.1f} MB")]


def style_caller(weights: Path) -> Callable[[Tensor], Tensor]:
    """What classifies the style of a picture: the judge, or the classifier of weights that have no judge."""
    judge = weights / "style_judge.safetensors"
    network = (
        StyleJudge.load(judge)
        if judge.is_file()
        else StyleClassifier.load(weights / "style_classifier.safetensors")
    )
    return lambda images: network(images).argmax(dim=1)


def printed(rows: Iterable[Figure]) -> str:
    """The table as Markdown."""
    return "\n".join(
        ["| figure | measured |", "|---|---|", *(f"| {row.name} | {row.value} |" for row in rows)]
    )


@torch.no_grad()
def _shares(called: Callable[[Tensor], Tensor], found: dict[str, Edited]) -> str:
    shares = {
        style: float((called(one.images) == STYLES.index(style)).float().mean())
        for style, one in found.items()
    }
    return ", ".join(f"{style} {100 * share:.0f} %" for style, share in shares.items())


def _truncated(generator: PanoHead, label: Tensor) -> list[Tensor]:
    """Seeds 0 to 31 at psi 0.75 from the front, the side and behind."""
    rows = []
    for seeds in (_TRUNCATED_SEEDS[at : at + 4] for at in range(0, len(_TRUNCATED_SEEDS), 4)):
        z = torch.cat([torch.from_numpy(np.random.RandomState(s).randn(1, 64)).float() for s in seeds])
        ws = generator.mapping(z, label, truncation_psi=0.75)
        views = [
            generator.synthesis(ws[one : one + 1], turntable(4)[:3], background="white").image
            for one in range(len(seeds))
        ]
        rows.append(torch.cat(views))
    return rows


def _beside(one: Edited) -> list[Tensor]:
    """Photographs, edits and the truth, one above the other."""
    return [one.pairs.photos, one.images, one.pairs.truth]


def _photos(held_out: HeldOut, count: int) -> Tensor:
    images = held_out.photo.images.flatten(0, 1)
    return bytes_to_pm1(images[torch.linspace(0, len(images) - 1, count).long()])


def _styled(held_out: HeldOut, count: int) -> Tensor:
    each = -(-count // len(PROMPTED_STYLES))
    pairs = [true_pairs(held_out.photo, held_out.styled, style, count=each) for style in PROMPTED_STYLES]
    return torch.cat([pair.truth for pair in pairs])[:count]


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
