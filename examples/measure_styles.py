"""Measure finished runs on people that no model was trained on.

    python examples/measure_styles.py runs/pixar-* runs/joker-*

For each run: how many of the stylised heads (64 seeds, four sides) a separately trained classifier calls by
the prompted style, and how many of them are still found among the 64 photographic heads by their face alone
(rank-1 of the identity encoder, front views). The untouched generator is the first row.
"""

import argparse
import json
import math
from pathlib import Path

import torch

from stylehead.generator import PanoHead, load_style
from stylehead.geometry import camera_from_angles, conditioning_camera
from stylehead.mini.captions import STYLES, place_prompt
from stylehead.mini.encoders import IdentityEncoder, StyleClassifier
from stylehead.weights.presets import MINI_WEIGHTS

YAWS_DEG = (-60, 0, 60, 180)
PSI = 0.75


def latents(people: int) -> torch.Tensor:
    """What `stylehead render --seed 0`, `1`, ... start from."""
    import numpy as np

    return torch.from_numpy(
        np.stack([np.random.RandomState(seed).randn(64) for seed in range(people)])
    ).float()


@torch.no_grad()
def portraits(generator: PanoHead, z: torch.Tensor) -> torch.Tensor:
    """[N,4,3,128,128]: every head from the four sides."""
    cameras = torch.cat([camera_from_angles(math.radians(yaw), 0.0) for yaw in YAWS_DEG])
    heads = []
    for row in z:
        ws = generator.mapping(row[None], conditioning_camera(), truncation_psi=PSI)
        heads.append(generator.synthesis(ws, cameras, background="white").image.clamp(-1, 1))
    return torch.stack(heads)


@torch.no_grad()
def measure(images: torch.Tensor, source: torch.Tensor, style: str) -> dict[str, float]:
    """Style share per yaw and overall, identity rank-1, and the mean similarity of different people."""
    classifier = StyleClassifier.load(MINI_WEIGHTS / "style_classifier.safetensors")
    encoder = IdentityEncoder.load(MINI_WEIGHTS / "identity.safetensors")
    named = classifier(images.flatten(0, 1)).argmax(dim=1).reshape(images.shape[:2]) == STYLES.index(style)
    front = YAWS_DEG.index(0)
    stylised, photographic = encoder(images[:, front]), encoder(source[:, front])
    similarity = stylised @ photographic.t()
    found = similarity.argmax(dim=1) == torch.arange(len(images))
    others = (stylised @ stylised.t())[~torch.eye(len(images), dtype=torch.bool)]
    return {
        **{f"style at {yaw:+d}": float(named[:, i].float().mean()) for i, yaw in enumerate(YAWS_DEG)},
        "style": float(named.float().mean()),
        "id rank-1": float(found.float().mean()),
        "id similarity": float(similarity.diagonal().mean()),
        "alike": float(others.mean()),
    }


def main(arguments: list[str] | None = None) -> None:
    """Print one line a run, and all figures as JSON with --json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="*", type=Path, help="run directories")
    parser.add_argument("--people", type=int, default=64, help="seeds 0 .. people - 1")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead")
    options = parser.parse_args(arguments)

    z = latents(options.people)
    source = portraits(PanoHead.load(MINI_WEIGHTS / "generator.safetensors"), z)
    table = {"(untouched, photo)": measure(source, source, "photo")}
    for run in options.runs:
        config = json.loads((run / "run.json").read_text())["config"]
        generator = PanoHead.load(MINI_WEIGHTS / "generator.safetensors")
        load_style(run / "style.safetensors").apply(generator)
        style = place_prompt(config["prompt"])
        table[f"{run.name} ({config['method']})"] = measure(portraits(generator, z), source, style)

    if options.json:
        print(json.dumps(table, indent=2))
        return
    width = max(len(name) for name in table)
    columns = list(next(iter(table.values())))
    print(" " * width, *columns, sep="  ")
    for name, row in table.items():
        print(name.ljust(width), *(f"{row[c]:.2f}".rjust(len(c)) for c in columns), sep="  ")


if __name__ == "__main__":
    main()
