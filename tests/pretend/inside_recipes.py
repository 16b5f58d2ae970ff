"""Every recipe of the embedded models on the pretend device: one step, a checkpoint, and what is exported."""

import contextlib
import importlib
import pkgutil
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from pretend_device import pretending

from stylehead.weights.presets import MINI_WEIGHTS
from stylehead.world import recipes
from stylehead.world.recipes import assembly
from stylehead.world.recipes.drawing import draw_data
from stylehead.world.recipes.loop import Budget


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people drawn, and the embedded weights to begin with."""
    root = tmp_path_factory.mktemp("training")
    draw_data(root / "data", people=4, minutes=10, report=lambda _line: None, tests=2)
    shutil.copytree(MINI_WEIGHTS, root / "export")
    return root


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    @contextlib.contextmanager
    def whole_precision(_device: object = "cpu") -> Iterator[None]:
        yield  # torch casts on devices that it knows

    for info in pkgutil.iter_modules(recipes.__path__, f"{recipes.__name__}."):
        module = importlib.import_module(info.name)
        if hasattr(module, "in_bfloat16"):
            monkeypatch.setattr(module, "in_bfloat16", whole_precision)
    with pretending() as device:
        yield device


def test_every_recipe_trains_on_the_device(folders: Path, place: torch.device) -> None:
    at = assembly.Place(folders / "data", folders / "work", folders / "export", place, rehearsal=True)
    for name in assembly.RECIPES:
        figures = assembly.run(name, Budget(10.0, max_steps=1), at, report=lambda _line: None)
        assert figures["loss"] < float("inf"), name
