"""The panohead preset as if its weights were fetched: random ones of any size, where fetching puts them."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from cli_helpers import Outcome
from typer.testing import CliRunner

from stylehead.cli.app import app
from stylehead.export import showcase
from stylehead.generator import GeneratorConfig, PanoHead
from stylehead.units import now
from stylehead.weights import store

FEWER = {
    "PREVIEW_SEEDS": (1,), "PREVIEW_YAWS_DEG": (0.0,), "SHEET_SEEDS": (1,), "SHEET_YAWS_DEG": (0.0,),
    "TURNTABLE_STEPS": 1,
}  # fmt: skip
"""Fewer pictures at the end of a run than usual."""
CODE = f"""
import torch
torch.set_num_threads(1)
from stylehead.export import showcase
vars(showcase).update({FEWER})
from stylehead.cli.app import main
main()
"""


def register(home: Path, entry_id: str, path: Path) -> None:
    """Say that an entry of the catalogue is here."""
    record = store.Record(entry_id, path, {}, "a test", None, now())
    with _home(home):
        store.write_record(record)


class _home:
    def __init__(self, home: Path) -> None:
        self.home, self.before = home, os.environ.get(store.HOME_VARIABLE)

    def __enter__(self) -> None:
        os.environ[store.HOME_VARIABLE] = str(self.home)

    def __exit__(self, *_: object) -> None:
        if self.before is None:
            os.environ.pop(store.HOME_VARIABLE)
        else:
            os.environ[store.HOME_VARIABLE] = self.before


def furnish(
    home: Path,
    config: GeneratorConfig,
    write_teacher: Callable[[Path], Path],
    write_estimator: Callable[[Path], Path],
) -> None:
    """Write and register everything that the panohead preset takes from the catalogue."""
    home.mkdir(parents=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        PanoHead(config).save(home / "generator.safetensors")
    teacher = write_teacher(home / "teacher")
    register(home, "panohead", home / "generator.safetensors")
    register(home, "realistic-vision-v5.1", teacher)
    for kind in ("canny", "depth"):
        moved = (teacher / f"controlnet_{kind}").rename(home / f"controlnet-{kind}")
        register(home, f"controlnet-{kind}", moved)
    register(home, "depth-anything-v2-small", write_estimator(home / "estimator"))


def stylehead(home: Path, folder: Path, *words: str) -> Outcome:
    """Run a command that knows that home and accepts PanoHead's licence."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in _variables(home).items():
            patch.setenv(name, value)
        for name, value in FEWER.items():
            patch.setattr(showcase, name, value)
        patch.setattr(sys, "argv", ["stylehead", *words])
        patch.chdir(folder)
        result = CliRunner().invoke(app, list(words))
    return Outcome(result.exit_code, result.stdout, result.stderr)


def stylehead_alone(home: Path, folder: Path, *words: str, seconds: float) -> Outcome:
    """The same in a process of its own, whose memory can be measured."""
    variables = {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1", **_variables(home)}
    done = subprocess.run(
        [sys.executable, "-c", CODE, *words],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def _variables(home: Path) -> dict[str, str]:
    return {"HF_HUB_OFFLINE": "1", store.HOME_VARIABLE: str(home), store.ACCEPT_VARIABLE: "panohead"}
