"""A command line over a tiny random world: real files, real loaders, small networks."""

import dataclasses
import functools
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from cli_helpers import FAST, STEADY, Outcome, Run
from typer.testing import CliRunner

from stylehead import cost
from stylehead.cli.app import app
from stylehead.cost import measure_rates
from stylehead.export import showcase, small_style, video
from stylehead.generator import GeneratorConfig, PanoHead
from stylehead.jobs import dry_run
from stylehead.methods import registry
from stylehead.perception.embedded import IdentityEncoder, ImageTextEncoder, StyleClassifier
from stylehead.perception.image_text import IMAGE_TEXT_TOKENIZER
from stylehead.teacher import Teacher
from stylehead.weights import presets

sys.path.append(str(Path(__file__).parents[1] / "teacher"))
sys.path.append(str(Path(__file__).parents[1] / "perception"))
from tiny_teacher import write_tiny_editors, write_tiny_teacher


@pytest.fixture(autouse=True)
def _plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """One width, no colour, whatever the terminal is."""
    for name in ("FORCE_COLOR", "STYLEHEAD_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("typer.rich_utils.FORCE_TERMINAL", None)
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", None)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")


_measured_rates = functools.cache(measure_rates)


@pytest.fixture(autouse=True)
def _timed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine is timed once for all estimates."""
    monkeypatch.setattr(cost, "measure_rates", _measured_rates)
    monkeypatch.setattr(dry_run, "measure_rates", _measured_rates)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the embedded preset, with tiny random networks."""
    root = tmp_path_factory.mktemp("world")
    tiny = GeneratorConfig.tiny()
    rendering = dataclasses.replace(
        tiny.rendering, depth_resolution=8, depth_resolution_importance=6, use_background=False
    )
    config = dataclasses.replace(tiny, rendering=rendering, neural_rendering_resolution=8)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        PanoHead(config).save(root / "generator.safetensors")
    write_tiny_teacher(root / "teacher")
    return root


@pytest.fixture(scope="session")
def other_generator(tmp_path_factory: pytest.TempPathFactory, world: Path) -> Path:
    """The same architecture with other weights."""
    path = tmp_path_factory.mktemp("other") / "generator.safetensors"
    config = PanoHead.load(world / "generator.safetensors").config
    with torch.random.fork_rng():
        torch.manual_seed(1)
        PanoHead(config).save(path)
    return path


@pytest.fixture(scope="session")
def teacher(world: Path) -> Teacher:
    """The tiny teacher, loaded once: it is frozen."""
    return Teacher.load(world / "teacher")


def _finish_quickly(patch: pytest.MonkeyPatch) -> None:
    """Films are packed less tightly, and fewer pictures tell how small a style may be."""
    patch.setitem(video._SAME_BYTES, "preset", "ultrafast")
    patch.setattr(small_style, "_YAWS_DEG", (0.0,))


@pytest.fixture
def run(world: Path, teacher: Teacher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in an empty folder; runs draw fewer pictures at their end than usual."""
    monkeypatch.setattr(presets, "MINI_WEIGHTS", world)
    monkeypatch.setattr(Teacher, "load", lambda *_, **__: teacher)
    monkeypatch.setattr(showcase, "SHEET_SEEDS", (1, 2))
    monkeypatch.setattr(showcase, "SHEET_YAWS_DEG", (0.0, 180.0))
    monkeypatch.setattr(showcase, "TURNTABLE_STEPS", 4)
    _finish_quickly(monkeypatch)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path) -> Outcome:
        words = [str(word) for word in arguments]
        monkeypatch.setattr(sys, "argv", ["stylehead", *words])
        result = CliRunner().invoke(app, words)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Outcome(result.exit_code, result.stdout, result.stderr)

    return call


@pytest.fixture(scope="session")
def measuring_world(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny world with random networks that look at pictures."""
    root = tmp_path_factory.mktemp("measuring") / "world"
    shutil.copytree(world, root)
    with torch.random.fork_rng():
        torch.manual_seed(4)
        IdentityEncoder().save(root / "identity.safetensors", {})
        ImageTextEncoder().save(root / "image_text.safetensors", {})
        shutil.copytree(root / "teacher" / "tokenizer", root / IMAGE_TEXT_TOKENIZER)
        StyleClassifier().save(root / "style_classifier.safetensors", {})
    write_tiny_editors(root)
    return root


@pytest.fixture
def measure(run: Run, measuring_world: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command where there are encoders."""
    monkeypatch.setattr(presets, "MINI_WEIGHTS", measuring_world)
    return run


def make_run(world: Path, root: Path, *arguments: str) -> Path:
    """Make a run at `runs/pixar` in a folder, with every model loaded and every picture drawn."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(presets, "MINI_WEIGHTS", world)
        patch.setattr(registry, "EMBEDDED_DEFAULT", "ld")
        _finish_quickly(patch)
        patch.chdir(root)
        patch.setenv("NO_COLOR", "1")
        result = CliRunner().invoke(app, ["stylize", *arguments, "--out", "runs/pixar"])
    assert result.exit_code == 0, result.stderr
    return root / "runs" / "pixar"


@pytest.fixture(scope="session")
def finished_once(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of four steps; not to be changed."""
    return make_run(world, tmp_path_factory.mktemp("finished"), *FAST, "--keep-checkpoints", "2")


@pytest.fixture(scope="session")
def straight(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of six steps that was never stopped; not to be changed."""
    return make_run(world, tmp_path_factory.mktemp("straight"), *STEADY, "--iterations", "6")


@pytest.fixture
def finished(finished_once: Path, tmp_path: Path, run: Run) -> Path:
    """A finished run at `runs/pixar`, this test's own copy."""
    shutil.copytree(finished_once, tmp_path / "runs" / "pixar")
    return Path("runs/pixar")


@pytest.fixture
def script(world: Path) -> Callable[..., list[str]]:
    """Command words that run `stylehead` over the tiny world in another process."""

    def words(*arguments: str | Path) -> list[str]:
        code = (
            "import pathlib, sys, torch; torch.set_num_threads(1); "
            "import stylehead.weights.presets as presets; "
            "presets.MINI_WEIGHTS = pathlib.Path(sys.argv.pop(1)); "
            "from stylehead.methods import registry; registry.EMBEDDED_DEFAULT = 'ld'; "
            "from stylehead.cli.app import main; main()"
        )
        return [sys.executable, "-c", code, str(world), *map(str, arguments)]

    return words


@pytest.fixture
def script_env() -> dict[str, str]:
    """Environment for `script`."""
    root = str(Path(__file__).parents[2])
    return {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"}
