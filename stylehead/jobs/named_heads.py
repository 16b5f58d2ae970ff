"""Heads and styles named on the command line: read, or refused with one clear sentence."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from stylehead.errors import UsageError
from stylehead.export.views import latent_from_seed
from stylehead.generator import PanoHead, Style, StyleMix, load_style, remove_styles
from stylehead.inversion.latent_files import MOST_HEADS, find_latents, read_heads, read_latent
from stylehead.jobs.checks import check_file
from stylehead.jobs.named_styles import STYLE_FILE, find_styles, strange_base
from stylehead.runs import slugify

_PUBLISHED = (14, 512)


class NamedHead(NamedTuple):
    """A head: a name for files and labels, and its style vectors [1, num_ws, w_dim]."""

    name: str
    ws: Tensor


class StyleChoice(NamedTuple):
    """A style file and how strongly it acts."""

    path: Path
    style: Style
    strength: float

    @property
    def prompt(self) -> str:
        """What the style was trained on, or the name of its file."""
        return self.style.metadata.get("stylehead.prompt", self.path.stem)

    @property
    def title(self) -> str:
        """The prompt, and how strongly the style acts where that is not as trained."""
        return self._at_strength(self.prompt)

    @property
    def folder_name(self) -> str:
        """What a folder is called by: the name of the style or of its file; of a run's, the prompt."""
        of_run = self.path.name == STYLE_FILE
        return slugify(self._at_strength(self.prompt if of_run else self.path.stem), limit=32)

    def _at_strength(self, name: str) -> str:
        return name if self.strength == 1 else f"{name} at {self.strength:g}"

    def recipe(self) -> dict[str, Any]:
        """What a picture should remember of it."""
        return {"prompt": self.prompt, "strength": self.strength, "base": self.style.base[:12]}


def seed_heads(generator: PanoHead, seeds: Sequence[int], *, psi: float) -> list[NamedHead]:
    """Draw a head for every seed."""
    return [NamedHead(f"seed-{seed}", latent_from_seed(generator, seed, psi=psi)) for seed in seeds]


def latent_heads(generator: PanoHead, paths: Sequence[Path]) -> list[NamedHead]:
    """Read the heads of latent files, and of folders of them; heads of one name are numbered.

    Raises:
        UsageError: There is no such file, or too many.
        JobError: One is damaged, or no latent of this generator.
    """
    num_ws, w_dim = generator.num_ws, generator.config.w_dim
    device = next(generator.parameters()).device
    found: list[NamedHead] = []
    for path in (file for each in paths for file in find_latents(each)):
        hint = "--preset panohead, whose latents have this shape" if _is_published(path, w_dim) else None
        for head in read_heads(path, num_ws=num_ws, w_dim=w_dim, hint=hint):
            name = path.absolute().parent.name if head.name == "latent" else head.name
            found.append(NamedHead(_unused(name, found), torch.from_numpy(head.ws[None]).to(device)))
    if len(found) > MOST_HEADS:
        raise UsageError(f"`--latent` names {len(found)} heads; at most {MOST_HEADS} can be drawn at once.")
    return found


def latent_head(generator: PanoHead, path: Path) -> NamedHead:
    """Read the first head of a latent file; see `latent_heads`."""
    check_file(path, "--latent")
    return latent_heads(generator, [path])[0]


def _is_published(path: Path, w_dim: int) -> bool:
    """Whether a file holds a latent of the published generator, where another one is used."""
    return w_dim != _PUBLISHED[-1] and read_latent(path).shape[-2:] == _PUBLISHED


def _unused(name: str, heads: Sequence[NamedHead]) -> str:
    names = {head.name for head in heads}
    numbered = (f"{name}-{index}" for index in range(2, len(heads) + 2))
    return name if name not in names else next(each for each in numbered if each not in names)


def load_styles(
    generator: PanoHead, styles: Sequence[str | Path], strengths: Sequence[float]
) -> list[StyleChoice]:
    """Read styles and pair them with their strengths: one for all, or one for each; 1 when none.

    Raises:
        JobError: A file is damaged, is no style, or belongs to another generator.
    """
    base, paths = generator.fingerprint(), find_styles(styles)
    each = list(strengths) if len(strengths) == len(paths) else [*strengths, 1.0][:1] * len(paths)
    pairs = zip(paths, each, strict=True)
    choices = [StyleChoice(path, load_style(path), strength) for path, strength in pairs]
    for path, style, _ in choices:
        if style.base != base:
            raise strange_base(path, base=style.base, metadata=dict(style.metadata), generator=base)
        StyleMix(((style, 1.0),)).apply(generator)  # finds tensors that do not fit
    remove_styles(generator)
    return choices
