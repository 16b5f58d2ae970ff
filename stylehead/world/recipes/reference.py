"""Make the embedded set of true pictures: `python -m stylehead.world reference`.

It packs the held-out renders that `python -m stylehead.world data` draws: people that no recipe was
trained on, in every style, from the sides that all of the styles were drawn from.
"""

import argparse
import sys
from pathlib import Path

import torch

from stylehead import __version__
from stylehead.evaluation.angles import wrap_yaw
from stylehead.evaluation.portraits import Portraits
from stylehead.evaluation.truth import MINI_REFERENCE, TruthSet, write_truth
from stylehead.geometry import split_label
from stylehead.mini.captions import STYLES
from stylehead.world.cache import DATA
from stylehead.world.recipes.data import Renders, load_renders


def pack(photo: Renders, styled: Renders, folder: Path, *, people: int) -> TruthSet:
    """Write the pictures of the first people that are there in every style.

    Args:
        photo: Photographs of the held-out people.
        styled: The same people in the other styles, from some of the same sides.
        folder: Where the set goes.
        people: At most so many.
    """
    seeds = sorted(set(styled.identities.tolist()) & set(photo.identities.tolist()))[:people]
    yaws = sorted(set(yaws_of(styled)) & set(yaws_of(photo)), key=lambda yaw: (abs(yaw), yaw))
    sets = {}
    for style in STYLES:
        views = photo if style == STYLES[0] else styled
        sets[style] = _portraits(views, style).pick(seeds=seeds, yaws_deg=yaws)
    return write_truth(folder, sets, {"made_with": f"stylehead {__version__}"})


def yaws_of(views: Renders) -> tuple[float, ...]:
    """Yaw of every camera in whole degrees; all people were seen by the same cameras."""
    cam2world, _ = split_label(views.cameras[0])
    origin = cam2world[:, :3, 3]
    yaws_deg = torch.rad2deg(torch.atan2(origin[:, 0], origin[:, 2])).tolist()
    return tuple(wrap_yaw(round(yaw)) for yaw in yaws_deg)


def _portraits(views: Renders, style: str) -> Portraits:
    rows = [row for row, name in enumerate(views.styles) if name == style]
    masks = views.masks[rows].float()[:, :, None] / 255
    seeds = tuple(int(seed) for seed in views.identities[rows])
    return Portraits(views.images[rows], seeds, yaws_of(views), masks)


def main(arguments: list[str]) -> None:
    """Read the held-out renders and write the set."""
    parser = argparse.ArgumentParser(prog="python -m stylehead.world reference", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="renders of the procedural heads")
    parser.add_argument("--out", type=Path, default=MINI_REFERENCE, help="where the set goes")
    parser.add_argument("--people", type=int, default=40, help="people to embed")
    options = parser.parse_args(arguments)
    photo, styled = load_renders(options.data / "test"), load_renders(options.data / "teststyled")
    truth = pack(photo, styled, options.out, people=options.people)
    total = sum(path.stat().st_size for path in options.out.iterdir())
    sys.stdout.write(f"{options.out}: {len(truth.seeds)} people, {total / 1e6:.1f} MB\n")
