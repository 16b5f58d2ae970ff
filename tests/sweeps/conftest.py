"""Engines of every kind, whose workers find the chores."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stylehead.jobs.worker import perform
from stylehead.sweeps import Engine, LocalEngine

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
sys.path.append(str(HERE))

Open = Callable[..., Engine]


@pytest.fixture(autouse=True)
def _chores_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(HERE)]))


@pytest.fixture(params=["local", pytest.param("ray", marks=pytest.mark.slow)])
def opened(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Open an engine; it is closed at the end."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    made: list[Engine] = []

    def opening(workers: int = 2) -> Engine:
        if request.param == "local":
            made.append(LocalEngine(workers))
        else:
            pytest.importorskip("ray")
            from stylehead.sweeps.ray_engine import RayEngine

            made.append(RayEngine(workers, perform))
        return made[-1]

    yield opening
    for engine in made:
        engine.close()
    assert list((tmp_path / "home").iterdir()) == []
