"""Make the embedded set of true pictures: `python -m stylehead.world reference`.

It draws people that no recipe was trained on, in every style, from the front, both sides and behind: as
truncated as the heads that are shown to people.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stylehead import __version__
from stylehead.evaluation.portraits import Portraits
from stylehead.evaluation.truth import MINI_REFERENCE, TruthSet, write_truth
from stylehead.geometry import camera_from_angles
from stylehead.mini.captions import STYLES
from stylehead.world.heads.head_renderer import HeadRenderer
from stylehead.world.heads.identity import Identity, identity_from_z, z_from_seed
from stylehead.world.heads.truncation import truncated

YAWS_DEG = (0.0, -90.0, 90.0, 180.0)
PSI = 0.75
"""Truncation of the people, which is the default of `render`."""


def draw_truth(
    folder: Path,
    renderer: HeadRenderer,
    seeds: Sequence[int],
    *,
    psi: float = PSI,
    done: Callable[[str], Any] = lambda _style: None,
) -> TruthSet:
    """Draw people in every style and write the set.

    Args:
        folder: Where the set goes.
        renderer: Draws them.
        seeds: Who.
        psi: Their truncation.
        done: Called with the name of every finished style.
    """
    people = [truncated(identity_from_z(z_from_seed(seed)), psi) for seed in seeds]
    cameras = torch.cat([camera_from_angles(np.deg2rad(yaw)) for yaw in YAWS_DEG])
    sets = {}
    for style in STYLES:
        images, masks = (
            torch.stack(parts) for parts in zip(*_drawn(renderer, people, style, cameras), strict=True)
        )
        sets[style] = Portraits(images, tuple(seeds), YAWS_DEG, masks=masks)
        done(style)
    return write_truth(folder, sets, {"psi": psi, "made_with": f"stylehead {__version__}"})


def _drawn(
    renderer: HeadRenderer, people: Sequence[Identity], style: Any, cameras: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """Pictures uint8 [V, 3, R, R] and masks [V, 1, R, R] in 0..1 of all people in a style."""
    for identity in people:
        views = renderer.render(identity, style, cameras)
        mask = torch.from_numpy(views.mask).float()[:, None] / 255
        yield torch.from_numpy(views.image).permute(0, 3, 1, 2).contiguous(), mask


def main(arguments: list[str] | None = None) -> int:
    """Draw the set."""
    parser = argparse.ArgumentParser(prog="python -m stylehead.world reference", description=__doc__)
    parser.add_argument("--out", type=Path, default=MINI_REFERENCE, help="where the set goes")
    parser.add_argument("--people", type=int, default=64, help="people to embed, seeds 0, 1, ...")
    parser.add_argument("--psi", type=float, default=PSI, help="their truncation")
    options = parser.parse_args(arguments)
    with HeadRenderer(resolution=128, supersample=2) as renderer:
        truth = draw_truth(
            options.out, renderer, range(options.people), psi=options.psi,
            done=lambda style: sys.stdout.write(f"{style}\n"),
        )  # fmt: skip
    total = sum(path.stat().st_size for path in options.out.iterdir())
    sys.stdout.write(f"{options.out}: {len(truth.seeds)} people, {total / 1e6:.1f} MB\n")
    return 0
