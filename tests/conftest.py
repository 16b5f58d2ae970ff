"""Fixtures for the whole suite."""

import gc
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from stylehead.methods import registry

COMPLETE = os.environ.get("STYLEHEAD_NOTHING_SKIPPED") == "1"
"""Whether everything that tests need is said to be here, so that a test that is skipped has failed."""


def pytest_collection_finish() -> None:
    """What was imported until here stays: looking for garbage in it takes a third of a second, each time."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail where tests were skipped although nothing should be missing."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if COMPLETE and reporter is not None and reporter.stats.get("skipped"):
        for report in reporter.stats["skipped"]:
            reporter.write_line(f"skipped, but nothing should be missing: {report.nodeid} {report.longrepr}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Tests share small machines; the networks in them are tiny."""
    torch.set_num_threads(1)


@pytest.fixture
def usual_method() -> None:
    """For tests of what jobs train with that name no method."""


@pytest.fixture(autouse=True)
def _ld_by_default(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny worlds have no editor: where no method is named, tests train with ld."""
    if "usual_method" not in request.fixturenames:
        monkeypatch.setattr(registry, "EMBEDDED_DEFAULT", "ld")


@pytest.fixture(autouse=True)
def _no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody pulls the plug of a test: what is written need not have reached the disk."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(scope="session")
def _homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """New folders, one after the other: pytest's own count what is there first, which takes ever longer."""
    root = tmp_path_factory.mktemp("homes")
    return (root / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def stylehead_home(_homes: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for weights instead of the user's; nothing is accepted, nothing is fetched."""
    home = next(_homes)
    home.mkdir()
    monkeypatch.setenv("STYLEHEAD_HOME", str(home))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("STYLEHEAD_ACCEPT_LICENSES", raising=False)
    return home
