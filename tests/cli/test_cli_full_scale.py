"""The panohead preset without published weights: the whole job at full size, and the same path when tiny."""

import dataclasses
import functools
import json
from pathlib import Path

import numpy as np
import pytest
from cli_helpers import Run
from full_scale import furnish, stylehead, stylehead_alone
from full_teacher import write_full_depth_estimator, write_full_teacher
from PIL import Image
from safetensors import safe_open
from tiny_teacher import write_tiny_depth_estimator, write_tiny_teacher

from stylehead.generator import GeneratorConfig

GIGABYTE = 10**9
STYLIZE = (
    "stylize", "--preset", "panohead", "--prompt", "Portrait of a werewolf",
    "--checkpoint-every", "0", "--preview-every", "0", "--out", "run", "--json",
)  # fmt: skip
RENDER = ("render", "--preset", "panohead", "--seed", "1", "--yaw-steps", "1", "--format", "frames", "--json")


def train(stylehead: Run, folder: Path, *options: str, iterations: int) -> dict:
    """Train, check what is left behind, and return the manifest."""
    done = stylehead(*STYLIZE, "--iterations", str(iterations), *options)
    assert done.code == 0, done
    manifest = json.loads((folder / "run" / "run.json").read_text())
    assert (manifest["outcome"], manifest["steps"], manifest["preset"]) == (
        "finished", iterations, "panohead",
    )  # fmt: skip
    assert manifest["teacher"]["depth_estimator"] == "depth-anything-v2-small"
    assert "NVIDIA" in manifest["licence"]
    assert "OpenRAIL" in manifest["licence"]
    for line in (folder / "run" / "events.jsonl").read_text().splitlines():
        event = json.loads(line)
        assert event["non_finite"] == []
        assert set(event["gradient_rms"]) == {"single", "grid"}
        assert event["parameter_gradient"] > 0
    with safe_open(folder / "run" / "style.safetensors", "pt") as file:
        changed = set(file.keys())
    assert any(name.startswith("backbone.synthesis.") for name in changed)
    assert any(name.startswith("superresolution.") for name in changed)
    return manifest


def one_picture(stylehead: Run, folder: Path, *options: str) -> np.ndarray:
    done = stylehead(*RENDER, "--out", "pictures", *options)
    assert done.code == 0, done
    (frame,) = (folder / "pictures").rglob("frame_*.png")
    return np.asarray(Image.open(frame))


def test_the_whole_path_when_everything_is_tiny(tmp_path: Path) -> None:
    tiny = GeneratorConfig.tiny()
    rendering = dataclasses.replace(tiny.rendering, depth_resolution=8, depth_resolution_importance=6)
    config = dataclasses.replace(tiny, rendering=rendering, neural_rendering_resolution=8)
    furnish(tmp_path / "home", config, write_tiny_teacher, write_tiny_depth_estimator)
    here = functools.partial(stylehead, tmp_path / "home", tmp_path)
    assert train(here, tmp_path, "--memory", "8", iterations=2)["memory"] == "8"
    assert one_picture(here, tmp_path, "--style", "run/style.safetensors").shape == (64, 64, 3)


@pytest.mark.slow
@pytest.mark.timeout(12 * 3600)
def test_the_published_size_with_random_weights(tmp_path: Path) -> None:
    """53.7 million numbers in the generator, 1.8 thousand million in the teacher; needs 5 GB of disk.

    One iteration, which takes seven minutes of a core.
    """
    home = tmp_path / "home"
    furnish(home, GeneratorConfig.full(), write_full_teacher, write_full_depth_estimator)
    alone = functools.partial(stylehead_alone, home, tmp_path, seconds=11 * 3600)
    manifest = train(alone, tmp_path, "--memory", "8", iterations=1)
    assert manifest["peak_memory_bytes"]["process"] < 20 * GIGABYTE
    picture = one_picture(alone, tmp_path, "--style", "run/style.safetensors")
    assert picture.shape == (512, 512, 3)
    assert picture.std() > 1
