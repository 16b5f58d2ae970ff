"""Fit the first guess of `stylehead invert`: `python -m stylehead.world guess` (a few minutes).

One linear map from features of the identity and image-text encoders to yaw, pitch and w, by ridge regression
in closed form over photographic renders of training people. Fit it again whenever the generator or one of
the encoders changes: w belongs to one generator, features to their networks.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from stylehead.errors import MissingError
from stylehead.generator import PanoHead
from stylehead.geometry import conditioning_camera
from stylehead.images import bytes_to_pm1
from stylehead.inversion.guess import FILE, Guess, MirrorFeatures, features_fingerprint, mirror_features
from stylehead.inversion.latents import LatentSpace
from stylehead.inversion.pose import pose_of_label
from stylehead.inversion.similarity import ImageSimilarity
from stylehead.perception.embedded import Trunk
from stylehead.world.cache import DATA
from stylehead.world.recipes.data import load_renders

COMPONENTS = 48
"""Principal coordinates of w that are predicted."""
RIDGE_YAW, RIDGE_REST = 0.03, 0.1
"""Weights of the penalties, relative to the mean square of standardised features."""
MOST_YAW_DEG = 90.0
"""Renders from behind are left out: photographs of them cannot be aligned."""
PICTURES = 4500
"""Pictures that are used, spread over all people: the systems have so many unknowns."""


class Examples(NamedTuple):
    """Features of N pictures, and what they show: angles [N, 2] and coordinates of w [N, K]."""

    features: MirrorFeatures
    angles: Tensor
    coords: Tensor


def fit(examples: Examples, space: LatentSpace, *, generator: str, features: str) -> Guess:
    """Solve two ridge regressions in their dual form, standardisation folded into the map.

    Args:
        examples: What to learn from.
        space: Whose first axes the coordinates belong to.
        generator: Fingerprint of the generator.
        features: Fingerprint of the feature networks.
    """
    even, odd = examples.features
    mean, spread = even.mean(dim=0), even.std(dim=0) + 1e-3
    odd_spread = odd.std(dim=0) + 1e-3
    yaw = _ridge(odd / odd_spread, examples.angles[:, :1], RIDGE_YAW) / odd_spread[:, None]
    wanted = torch.cat([examples.angles[:, 1:], examples.coords], dim=1)
    offset = wanted.mean(dim=0)
    rest = _ridge((even - mean) / spread, wanted - offset, RIDGE_REST) / spread[:, None]
    count = examples.coords.shape[1]
    return Guess(
        torch.cat([yaw, rest], dim=1),
        torch.cat([torch.zeros(1), offset - mean @ rest]),
        space.axes[:count] * space.scales[:count, None],
        space.mean,
        generator,
        features,
    )


def _ridge(features: Tensor, wanted: Tensor, penalty: float) -> Tensor:
    """Weights [F, T] from features [N, F] to what is wanted [N, T]."""
    size = features.shape[1]
    gram = features @ features.t() / size + penalty * torch.eye(len(features))
    return features.t() @ torch.linalg.solve(gram, wanted) / size


@torch.no_grad()
def examples_of(
    folder: Path,
    trunks: Sequence[Trunk],
    generator: PanoHead,
    space: LatentSpace,
    *,
    pictures: int = PICTURES,
) -> Examples:
    """Features and truths of views from the front half, evenly spread over all shards of a folder.

    Raises:
        MissingError: There is no shard.
    """
    paths = sorted(folder.glob("shard_*.npz"))
    if not paths:
        raise MissingError(f"{folder} holds no renders.", "python -m stylehead.world data")
    parts = [_examples_of_shard(path, trunks, generator, space, -(-pictures // len(paths))) for path in paths]
    features = MirrorFeatures(*(torch.cat(half) for half in zip(*(part[0] for part in parts), strict=True)))
    return Examples(features, torch.cat([part[1] for part in parts]), torch.cat([part[2] for part in parts]))


def _examples_of_shard(
    path: Path, trunks: Sequence[Trunk], generator: PanoHead, space: LatentSpace, count: int
) -> Examples:
    with np.load(path, allow_pickle=False) as archive:
        images, cameras, z = (torch.from_numpy(archive[name]) for name in ("images", "cam", "z"))
    views = images.shape[1]
    angles = pose_of_label(cameras.flatten(0, 1))[:, :2]
    rows = torch.nonzero(angles[:, 0].abs() < math.radians(MOST_YAW_DEG))[:, 0]
    if len(rows) > count:
        rows = rows[torch.linspace(0, len(rows) - 1, count).long()]
    flat = images.flatten(0, 1)[rows].permute(0, 3, 1, 2)
    parts = [mirror_features(trunks, bytes_to_pm1(part)) for part in flat.split(64)]
    features = MirrorFeatures(*(torch.cat(half) for half in zip(*parts, strict=True)))
    w = generator.mapping(z.repeat_interleave(views, dim=0)[rows], conditioning_camera())[:, 0]
    return Examples(features, angles[rows], space.coords(w)[:, :COMPONENTS])


def figures(
    guess: Guess, trunks: Sequence[Trunk], examples: Iterable[tuple[Tensor, Tensor]]
) -> dict[str, float]:
    """Median errors of yaw and pitch in degrees over pictures and their cameras."""
    errors = []
    for images, cameras in examples:
        errors.append((guess(trunks, images).angles - pose_of_label(cameras)[:, :2]).abs())
    medians = torch.rad2deg(torch.cat(errors)).median(dim=0).values
    return {"yaw_deg": round(float(medians[0]), 2), "pitch_deg": round(float(medians[1]), 2)}


def main(arguments: list[str]) -> None:
    """Fit, write `guess.safetensors`, and print held-out figures."""
    from stylehead.weights.presets import MINI_WEIGHTS

    parser = argparse.ArgumentParser(prog="python -m stylehead.world guess", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="renders of the procedural heads")
    parser.add_argument("--weights", type=Path, default=MINI_WEIGHTS, help="generator and encoders")
    parser.add_argument("--out", type=Path, help="where to write; beside the generator by default")
    parser.add_argument("--pictures", type=int, default=PICTURES, help="how many are used")
    options = parser.parse_args(arguments)
    generator = PanoHead.load(options.weights / "generator.safetensors")
    trunks = ImageSimilarity.load(options.weights).trunks
    space = LatentSpace.measure(generator)
    examples = examples_of(options.data / "photo", trunks, generator, space, pictures=options.pictures)
    guess = fit(examples, space, generator=generator.fingerprint(), features=features_fingerprint(trunks))
    guess.save(options.out or options.weights / FILE, {"pictures": str(len(examples.angles))})
    held_out = load_renders(options.data / "test")
    front = [column for column in range(held_out.images.shape[1]) if column in (4, 5, 6, 7, 8)]
    pairs = ((bytes_to_pm1(held_out.images[:, c]), held_out.cameras[:, c]) for c in front)
    found = {"pictures": len(examples.angles), **figures(guess, trunks, pairs)}
    sys.stdout.write(json.dumps(found) + "\n")
