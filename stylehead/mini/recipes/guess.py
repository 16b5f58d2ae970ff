"""Fit the first guess of `stylehead invert`: `python -m stylehead.mini.recipes.guess` (about two minutes).

One linear map from features of the identity encoder to yaw, pitch and w, by ridge regression in closed form
over photographic renders of training people. Fit it again whenever the generator or the identity encoder
changes: w belongs to one generator, features to one encoder.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from stylehead.generator import PanoHead
from stylehead.geometry import conditioning_camera
from stylehead.inversion.guess import FILE, Guess, pooled_features
from stylehead.inversion.latents import LatentSpace
from stylehead.inversion.pose import pose_of_label
from stylehead.mini.encoders import IdentityEncoder, Trunk
from stylehead.mini.recipes.data import Views, image_pm1, load_views

COMPONENTS = 48
"""Principal coordinates of w that are predicted."""
RIDGE = 0.3
"""Weight of the penalty, relative to the mean square of standardised features."""
MOST_YAW_DEG = 90.0
"""Views from behind are left out: nobody aligns them."""
PICTURES = 5000
"""Pictures that are used, spread over all people: the system has so many unknowns."""
_ANGLE_SCALE = 5.0


class Examples(NamedTuple):
    """Features [N,F] of N pictures, and what they show: angles [N,2] and coordinates of w [N,K]."""

    features: Tensor
    angles: Tensor
    coords: Tensor


def fit(examples: Examples, space: LatentSpace, generator: str) -> Guess:
    """Solve the ridge regression in its dual form, standardisation folded into the map.

    Args:
        examples: What to learn from.
        space: Whose first axes the coordinates belong to.
        generator: Fingerprint of the generator.
    """
    mean, spread = examples.features.mean(dim=0), examples.features.std(dim=0) + 1e-3
    features = (examples.features - mean) / spread
    wanted = torch.cat([examples.angles * _ANGLE_SCALE, examples.coords], dim=1)
    offset = wanted.mean(dim=0)
    size = features.shape[1]
    gram = features @ features.t() / size + RIDGE * torch.eye(len(features))
    weight = features.t() @ torch.linalg.solve(gram, wanted - offset) / size / spread[:, None]
    bias = offset - mean @ weight
    weight[:, :2] /= _ANGLE_SCALE
    bias[:2] /= _ANGLE_SCALE
    count = examples.coords.shape[1]
    return Guess(weight, bias, space.axes[:count] * space.scales[:count, None], space.mean, generator)


@torch.no_grad()
def examples_of(views: Views, trunk: Trunk, generator: PanoHead, space: LatentSpace) -> Examples:
    """Features and truths of all views from the front half, at most `PICTURES` of them."""
    cameras = views.cameras.flatten(0, 1)
    angles = pose_of_label(cameras)[:, :2]
    rows = torch.nonzero(angles[:, 0].abs() < torch.deg2rad(torch.tensor(MOST_YAW_DEG)))[:, 0]
    rows = rows[:: max(1, -(-len(rows) // PICTURES))]
    images = views.images.flatten(0, 1)
    features = torch.cat([pooled_features(trunk, image_pm1(images[part])) for part in rows.split(64)])
    z = views.z.repeat_interleave(views.images.shape[1], dim=0)[rows]
    w = generator.mapping(z, conditioning_camera())[:, 0]
    return Examples(features, angles[rows], space.coords(w)[:, :COMPONENTS])


def figures(guess: Guess, trunk: Trunk, examples: Iterator[tuple[Tensor, Tensor]]) -> dict[str, float]:
    """Median errors of yaw and pitch in degrees over pictures and their cameras."""
    errors = []
    for images, cameras in examples:
        angles, _ = guess(trunk, images)
        errors.append((angles - pose_of_label(cameras)[:, :2]).abs())
    medians = torch.rad2deg(torch.cat(errors)).median(dim=0).values
    return {"yaw_deg": round(float(medians[0]), 2), "pitch_deg": round(float(medians[1]), 2)}


def main(arguments: list[str] | None = None) -> int:
    """Fit, write `guess.safetensors`, and print held-out figures."""
    import platformdirs

    from stylehead.weights.presets import MINI_WEIGHTS

    data = Path(platformdirs.user_cache_dir("stylehead")) / "mini" / "data"
    parser = argparse.ArgumentParser(prog="python -m stylehead.mini.recipes.guess", description=__doc__)
    parser.add_argument("--data", type=Path, default=data, help="renders of the procedural heads")
    parser.add_argument("--weights", type=Path, default=MINI_WEIGHTS, help="generator and identity encoder")
    parser.add_argument("--out", type=Path, help="where to write; beside the generator by default")
    parser.add_argument("--people", type=int, help="use only so many people")
    options = parser.parse_args(arguments)
    generator = PanoHead.load(options.weights / "generator.safetensors")
    trunk = IdentityEncoder.load(options.weights / "identity.safetensors").trunk
    space = LatentSpace.measure(generator)
    views = load_views(options.data / "photo", limit=options.people)
    examples = examples_of(views, trunk, generator, space)
    guess = fit(examples, space, generator.fingerprint())
    guess.save(options.out or options.weights / FILE, {"pictures": str(len(examples.features))})
    held_out = load_views(options.data / "test")
    front = [column for column in range(held_out.images.shape[1]) if column in (4, 5, 6, 7, 8)]
    pairs = ((image_pm1(held_out.images[:, c]), held_out.cameras[:, c]) for c in front)
    found = {"pictures": len(examples.features), **figures(guess, trunk, pairs)}
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
