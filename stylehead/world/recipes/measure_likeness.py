"""What a likeness is, measured: `python -m stylehead.world likeness` (about a minute).

Heads of the embedded generator are shown from the front and from both sides: how alike are two pictures of
one person, and of two? The threshold goes into `likeness.json` beside the generator. Run it again whenever
the generator or the judge changes. `--landmarks` prints the five points of the mean head that `invert` takes
a camera from.
"""

import argparse
import json
import math
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stylehead.errors import MissingError
from stylehead.export.views import latent_from_seed, render_views
from stylehead.generator import PanoHead
from stylehead.geometry import camera_from_angles, conditioning_camera, split_label
from stylehead.inversion.centerface import CenterFace
from stylehead.inversion.latents import mapped_samples
from stylehead.inversion.likeness import STRANGERS, LikenessJudge, Threshold, beside

PEOPLE, SEED = 120, 7
LANDMARK_HEADS = 12
LANDMARK_YAWS_DEG, LANDMARK_PITCHES_DEG = (-45.0, -30.0, -15.0, 0.0, 15.0, 30.0, 45.0), (-15.0, 0.0, 15.0)
_ROUNDS = 10  # of reweighting: the fit is one of absolute, not of squared, misses


@torch.no_grad()
def measure_threshold(judge: LikenessJudge, generator: PanoHead, *, people: int) -> Threshold:
    """Measure the threshold on random people, seen from the front.

    Args:
        judge: Whose encoder compares.
        generator: Whose people.
        people: How many; at least 2.
    """
    label = conditioning_camera()
    fronts, sides = [], []
    for w in mapped_samples(generator, people, seed=SEED):
        ws = w.expand(1, generator.num_ws, -1)
        front = generator.synthesis(ws, label, background="white").image.clamp(-1, 1)
        fronts.append(judge.encoder(front))
        sides.append(judge.encoder(beside(generator, ws, label)))
    return threshold_of(torch.cat(fronts), torch.stack(sides), judge.name, generator.fingerprint())


def threshold_of(fronts: Tensor, sides: Tensor, encoder: str, generator: str) -> Threshold:
    """The threshold between strangers and one person.

    Args:
        fronts: Embeddings [N, E].
        sides: Embeddings [N, 2, E] of the same people.
        encoder: Name of the judge's file.
        generator: Fingerprint of the generator.
    """
    alike = torch.einsum("ie,jse->ijs", fronts, sides).mean(dim=2)
    same = torch.eye(len(alike), dtype=torch.bool)
    threshold = round(float(alike[~same].quantile(STRANGERS)), 4)
    above = round(float((alike[same] > threshold).float().mean()), 4)
    return Threshold(threshold, above, len(fronts), encoder, generator)


def landmarks(generator: PanoHead) -> NDArray[np.float64]:
    """Triangulate what CenterFace finds in renders: five points [5, 3] in the generator's space."""
    finder, equations = CenterFace.load(), []
    for seed in range(LANDMARK_HEADS):
        ws = latent_from_seed(generator, seed, psi=0.7)
        for pitch in LANDMARK_PITCHES_DEG:
            views = render_views(generator, ws, LANDMARK_YAWS_DEG, pitch_deg=pitch)
            for yaw, view in zip(LANDMARK_YAWS_DEG, views, strict=True):
                equations += [_rays(yaw, pitch, face.five / len(view)) for face in finder.find(view)[:1]]
    system, wanted = (np.stack(parts, axis=1) for parts in zip(*equations, strict=True))
    return np.stack([_solve(a.reshape(-1, 3), b.reshape(-1)) for a, b in zip(system, wanted, strict=True)])


def _rays(
    yaw_deg: float, pitch_deg: float, seen: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Linear equations [5, 2, 3] and [5, 2] of the places that a camera sees at points [5, 2]."""
    label = camera_from_angles(math.radians(yaw_deg), math.radians(pitch_deg))
    pose, lens = (part[0].double().numpy() for part in split_label(label))
    projection = lens @ np.linalg.inv(pose)[:3]
    left = projection[None, :2, :3] - seen[:, :, None] * projection[None, 2:, :3]
    return left, seen * projection[2, 3] - projection[None, :2, 3]


def _solve(system: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Point [3] of least absolute misses, by reweighted least squares."""
    weight = np.ones(len(wanted))
    for _ in range(_ROUNDS):
        point = np.linalg.lstsq(system * weight[:, None], wanted * weight, rcond=None)[0]
        weight = 1 / np.maximum(np.sqrt(np.abs(system @ point - wanted)), 1e-3)
    return np.asarray(point, dtype=np.float64)


def main(arguments: list[str] | None = None) -> None:
    """Measure, write `likeness.json`, and print it."""
    from stylehead.weights.presets import MINI_WEIGHTS

    parser = argparse.ArgumentParser(prog="python -m stylehead.world likeness", description=__doc__)
    parser.add_argument("--weights", type=Path, default=MINI_WEIGHTS, help="generator and encoders")
    parser.add_argument("--people", type=int, default=PEOPLE, help="how many are compared")
    parser.add_argument("--landmarks", action="store_true", help="print the mean head's five points instead")
    options = parser.parse_args(arguments)
    generator = PanoHead.load(options.weights / "generator.safetensors").requires_grad_(False)
    if options.landmarks:
        sys.stdout.write(np.array2string(landmarks(generator), precision=4, separator=", ") + "\n")
        return
    judge = LikenessJudge.load(options.weights)
    if judge is None:
        raise MissingError(f"{options.weights} holds no identity encoder.")
    found = measure_threshold(judge, generator, people=options.people)
    found.save(options.weights)
    sys.stdout.write(json.dumps(found._asdict()) + "\n")
