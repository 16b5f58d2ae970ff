"""Runs, styles, latents and numbers of version 0.1.0, which every later version reads and repeats bit by bit.

Bit by bit on the kind of processor and the torch that wrote them; elsewhere kernels add in another order, and
numbers agree to `CLOSE`.

What is in `tests/data/compatibility` was written by that version through this very file, with
`STYLEHEAD_RECORD=1`, over the tiny random networks that the fixtures make. It is never recorded anew.
"""

import dataclasses
import functools
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_helpers import FAST, Run
from full_scale import furnish, stylehead
from PIL import Image
from safetensors.torch import load_file
from tiny_teacher import write_tiny_depth_estimator, write_tiny_teacher

from stylehead.generator import GeneratorConfig
from stylehead.inversion import inverter as invert_module
from stylehead.inversion.search import GridConfig
from stylehead.jobs import models

DATA = Path(__file__).parents[1] / "data" / "compatibility"
RECORD = os.environ.get("STYLEHEAD_RECORD") == "1"
METHODS = ("ld", "sds", "csd", "nada", "styleclip", "styleganfusion", "diffusiongan3d")
LEAD = (
    "stylize", "--preset", "panohead", "--prompt", "Portrait of a werewolf", "--iterations", "8",
    "--checkpoint-every", "4", "--preview-every", "4", "--memory", "24",
)  # fmt: skip
FIRST_DEFAULTS = (
    "--learning-rate", "0.004", "--weight-average", "0.92", "--step-range", "28", "49",
    "--grid-step-range", "28", "49", "--step-window", "7", "--score-limit", "1e9",
    "--tweedie-weight", "1", "--conditioning-pitch-deg", "0",
)  # fmt: skip
"""What the first version ran ld with, also at full scale."""
VIEWS = ("--yaw-steps", "2", "--format", "frames", "--json")
TABLE = ("eval", "--identities", "3", "--yaws", "0,90", "--psi", "1", "--json")
INVERT = ("invert", "me.png", "--aligned", "--steps", "4", "--starts", "2", "--out", "runs/me", "--json")
CLOSE = 1e-3
NOT_REPEATED = ("time", "seconds", "elapsed_s")
SINCE = ("perceptual", "gt_", "clip_img", "kd_mini")
"""Columns that changed: there is one perceptual distance, and the true pictures show other heads since."""
DRAWN_ANEW = "true pictures"
"""The row of that set."""


def expected(name: str, value: object) -> object:
    """Return what the first version wrote under a name (and write it, when recording)."""
    path = DATA / f"{name}.json"
    if RECORD:
        DATA.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value, indent=1) + "\n")
    return json.loads(path.read_text())


def kept(name: str, folder: Path) -> Path:
    """Return a folder or file that the first version wrote (and keep it, when recording)."""
    path = DATA / name
    if RECORD:
        path.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if folder.is_dir() else shutil.copyfile)(folder, path)
    return path


def events(run: Path) -> list[dict]:
    """Return a run's events without what differs between equal runs."""
    lines = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in NOT_REPEATED} for line in lines]


@functools.cache
def same_machine() -> bool:
    """Whether bits can be expected to agree."""
    now = {"torch": torch.__version__, "cpu": torch.backends.cpu.get_cpu_capability()}
    return now == expected("machine", now)


def same(now: object, then: object) -> bool:
    """Whether two values of JSON agree: in every bit, or to `CLOSE` on another machine."""
    if isinstance(now, float) and isinstance(then, float) and not same_machine():
        return now == pytest.approx(then, rel=CLOSE, abs=CLOSE)
    if isinstance(now, dict) and isinstance(then, dict):
        return now.keys() == then.keys() and all(same(now[key], then[key]) for key in then)
    if isinstance(now, list) and isinstance(then, list):
        return len(now) == len(then) and all(map(same, now, then))
    return now == then


def same_arrays(now: np.ndarray, then: np.ndarray) -> bool:
    """Whether two arrays agree, likewise; pictures to one in 255."""
    if same_machine():
        return np.array_equal(now, then)
    return close(now, then)


def close(now: np.ndarray, then: np.ndarray) -> bool:
    """Whether two arrays agree but for rounding; pictures to one in 255."""
    step = 1 if now.dtype == np.uint8 else CLOSE
    return np.allclose(now.astype(float), then.astype(float), rtol=CLOSE, atol=step)


def same_frames(name: str, folder: Path) -> bool:
    """Whether the frames in a folder are those of then (which are kept side by side, as one picture)."""
    now = np.hstack([np.asarray(Image.open(path)) for path in sorted(folder.rglob("frame_*.png"))])
    if RECORD:
        Image.fromarray(now).save(DATA / f"{name}.png")
    return same_arrays(now, np.asarray(Image.open(DATA / f"{name}.png")))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The panohead preset as if its weights were fetched, tiny."""
    tiny = GeneratorConfig.tiny()
    rendering = dataclasses.replace(tiny.rendering, depth_resolution=8, depth_resolution_importance=6)
    config = dataclasses.replace(tiny, rendering=rendering, neural_rendering_resolution=8)
    root = tmp_path_factory.mktemp("compatibility") / "home"
    furnish(root, config, write_tiny_teacher, write_tiny_depth_estimator)
    return root


def test_a_stopped_run_goes_on_and_ends_as_it_would_have(home: Path, tmp_path: Path) -> None:
    if RECORD:
        done = stylehead(home, tmp_path, *LEAD, *FIRST_DEFAULTS, "--out", "straight")
        assert done.code == 0, done
        kept("style.safetensors", tmp_path / "straight" / "style.safetensors")
        halve(tmp_path / "straight")
        kept("stopped", tmp_path / "straight")
    shutil.copytree(DATA / "stopped", tmp_path / "stopped")
    done = stylehead(home, tmp_path, "stylize", "--resume", "stopped")
    assert done.code == 0, done
    ours, theirs = (
        load_file(path) for path in (tmp_path / "stopped/style.safetensors", DATA / "style.safetensors")
    )
    assert ours.keys() == theirs.keys()
    assert all(same_arrays(ours[name].numpy(), theirs[name].numpy()) for name in theirs)
    now = events(tmp_path / "stopped")
    assert same(now, expected("events", now))


def halve(run: Path) -> None:
    """Turn a finished run into what a kill after its fourth step of eight leaves."""
    shutil.rmtree(run / "checkpoints" / "step_000008")
    lines = (run / "events.jsonl").read_text().splitlines(keepends=True)
    (run / "events.jsonl").write_text("".join(lines[:4]))
    for name in ("contact_sheet.jpg", "turntable.mp4", "README.md", "style.safetensors"):
        (run / name).unlink()
    (run / "previews" / "step_000008.jpg").unlink()
    manifest = json.loads((run / "run.json").read_text())
    manifest |= {"outcome": "interrupted", "steps": 4}
    (run / "run.json").write_text(json.dumps(manifest, indent=2))


def test_a_style_and_a_latent_draw_the_same_pictures(home: Path, tmp_path: Path) -> None:
    render = ("render", "--preset", "panohead", *VIEWS, "--style", str(DATA / "style.safetensors"))
    done = stylehead(home, tmp_path, *render, "--seed", "1", "--out", "seed")
    assert done.code == 0, done
    assert same_frames("seed_1_styled", tmp_path / "seed")


@pytest.mark.parametrize("method", METHODS)
def test_every_method_repeats_its_first_steps(
    measure: Run, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without a teacher, that version drew noise of Stable Diffusion's latents whatever the autoencoder.
    monkeypatch.setattr(models, "latent_fraction", lambda teacher: 8)
    outcome = measure("stylize", "--prompt", "Pixar character", "--iterations", "3", "--preview-every", "0",
                      "--checkpoint-every", "0", "--out", "run", "--method", method)  # fmt: skip
    assert outcome.code == 0, outcome
    now = events(Path("run"))
    assert same(now, expected(f"events_{method}", now))


def test_a_table_has_the_same_numbers(measure: Run) -> None:
    assert measure("stylize", *FAST, "--full-style", "--out", "runs/pixar").code == 0
    outcome = measure(*TABLE)
    assert outcome.code == 0, outcome
    rows = json.loads(outcome.out)["rows"]
    now = {row["label"]: {name: cell["value"] for name, cell in row["cells"].items()} for row in rows}
    then = expected("table", now)
    assert now.keys() == then.keys() - {DRAWN_ANEW}
    assert not [
        (label, name)
        for label, cells in then.items()
        for name, value in cells.items()
        if label != DRAWN_ANEW
        and not any(word in name for word in SINCE)
        and not same(now[label][name], value)
    ]


@pytest.fixture
def head(tmp_path: Path, run: Run) -> Path:
    """An aligned picture of a disc before a plain background."""
    y, x = np.mgrid[:96, :96]
    pixels = np.full((96, 96, 3), 255, np.uint8)
    pixels[(x - 48) ** 2 + (y - 44) ** 2 < 900] = (180, 120, 90)
    Image.fromarray(pixels).save(tmp_path / "me.png")
    return Path("me.png")


def test_an_inverted_run_loads_and_is_found_again(
    run: Run, head: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = GridConfig(heads=2, resolution=6, yaw_step_deg=60)
    monkeypatch.setattr(invert_module, "GridConfig", lambda: grid)
    outcome = run(*INVERT)
    assert outcome.code == 0, outcome
    folder = kept("inverted", Path("runs/me"))
    ours, theirs = (np.load(each / "latent.npz") for each in (Path("runs/me"), folder))
    assert sorted(ours) == sorted(theirs)
    assert all(same_arrays(ours[name], theirs[name]) for name in theirs)
    shown = run("render", *VIEWS, "--latent", folder / "latent.npz", "--out", "shown")
    assert shown.code == 0, shown
    assert same_frames("latent", Path("shown"))
    told = run("info", folder)
    assert told.code == 0, told
    assert "finished" in told.out
