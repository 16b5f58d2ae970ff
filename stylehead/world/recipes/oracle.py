"""A bank of true pictures: what the procedural world shows where an editor would have to guess.

    python -m stylehead.world bank --style joker --people 40 --out bank
    stylehead stylize --prompt "joker" --method edit --bank bank

An editor's pictures can be no nearer to the truth than these: a style learned from them is the *oracle*, the
best that `--method edit` can do with as many people, views and steps. Its people are the bank's, not those
that figures are measured on.
"""

import argparse
import hashlib
import io
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from stylehead.bank import Bank, create_bank
from stylehead.bank.create import sitters_from_seeds
from stylehead.bank.fill import locked, with_edits
from stylehead.bank.manifest import TRUE_EDITOR, EditRecord
from stylehead.errors import UsageError
from stylehead.evaluation.systems import PROMPTS
from stylehead.files import atomic_write
from stylehead.generator import PanoHead
from stylehead.weights.presets import MINI_WEIGHTS
from stylehead.world.heads.head_renderer import HeadRenderer
from stylehead.world.heads.identity import LATENT_SIZE, identity_from_z
from stylehead.world.heads.styles import STYLES, StyleName
from stylehead.world.heads.truncation import truncated

LICENCE = "MIT"


def fill_with_truth(
    bank: Bank,
    style: StyleName,
    renderer: HeadRenderer,
    *,
    prompt: str,
    done: Callable[[int], Any] = lambda _count: None,
) -> Bank:
    """Put the true picture of every view into a bank, in place of edits.

    Args:
        bank: Of the embedded generator, with people from seeds.
        style: Of the pictures.
        renderer: Draws them; its resolution is the bank's.
        prompt: What the bank is for.
        done: Called with the number of finished people.

    Raises:
        UsageError: Somebody in the bank is from no seed, so that nobody knows how they look.
        JobError: Another process is filling the bank.
    """
    manifest = bank.manifest
    if any(person.seed is None for person in manifest.people):
        raise UsageError("The true look of a person that comes from a latent file is not known.")
    with locked(bank):
        records = []
        (bank.folder / "edited").mkdir(exist_ok=True)
        for index, person in enumerate(manifest.people):
            assert person.seed is not None
            z = np.random.RandomState(person.seed).randn(LATENT_SIZE)
            who = truncated(identity_from_z(z), manifest.psi)
            views = bank.views_of(index)
            shown = renderer.render(who, style, np.array([view.camera for view in views]))
            for view, pixels in zip(views, shown.image, strict=True):
                content = _png(pixels)
                file = f"edited/{view.name}.png"
                digest = hashlib.sha256(content).hexdigest()
                records.append(
                    EditRecord(file, view.name, digest, TRUE_EDITOR, LICENCE, prompt, style, person.seed)
                )
                atomic_write(bank.folder / file, content)
            done(index + 1)
        return with_edits(bank, records, prompt=prompt)


def _png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, "PNG")
    return stream.getvalue()


def main(arguments: list[str] | None = None) -> int:
    """Make a bank of people and put their true pictures into it."""
    parser = argparse.ArgumentParser(prog="python -m stylehead.world bank", description=__doc__)
    parser.add_argument("--style", required=True, choices=STYLES)
    parser.add_argument("--people", type=int, default=40)
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0, help="other people and cameras for another number")
    parser.add_argument("--psi", type=float, default=1.0, help="their truncation")
    parser.add_argument("--out", type=Path, required=True, help="folder of the bank: new, or empty")
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    torch.manual_seed(options.seed)
    generator = PanoHead.load(MINI_WEIGHTS / "generator.safetensors")
    sitters = sitters_from_seeds(generator, options.people, seed=options.seed, psi=options.psi)
    bank = create_bank(
        options.out, generator, sitters,
        views=options.views, seed=options.seed, preset="mini", psi=options.psi,
    )  # fmt: skip
    with HeadRenderer(bank.manifest.resolution) as renderer:
        fill_with_truth(bank, options.style, renderer, prompt=PROMPTS.get(options.style, options.style))
    took = time.perf_counter() - start
    sys.stdout.write(f"{options.out}: {options.people} people as {options.style}, {took:.0f} s\n")
    return 0
