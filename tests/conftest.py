"""Fixtures for the whole suite."""

from pathlib import Path

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Tests share small machines; the networks in them are tiny."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def stylehead_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for weights instead of the user's; nothing is accepted, nothing is fetched."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("STYLEHEAD_HOME", str(home))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("STYLEHEAD_ACCEPT_LICENSES", raising=False)
    return home
