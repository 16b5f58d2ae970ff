"""Trackers keep their files in the run, and say in a sentence why they cannot start."""

from pathlib import Path
from typing import Any

import pytest

from stylehead.errors import JobError
from stylehead.jobs.trackers import Tracker, flat


class Board:
    """Stands for accelerate's tracker of Weights & Biases."""

    def __init__(self, project: str, **options: Any) -> None:
        self.project, self.options = project, options
        self.settings: dict[str, Any] = {}

    def start(self) -> None:
        if self.options["name"] == "refused":
            raise ValueError("no account")

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.settings = values


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("accelerate.utils.is_wandb_available", lambda: True)
    monkeypatch.setattr("accelerate.tracking.WandBTracker", Board)
    monkeypatch.delenv("WANDB_DIR", raising=False)
    folder = tmp_path / "joker"
    folder.mkdir()
    return folder


def test_weights_and_biases_keeps_its_files_in_the_run(run: Path) -> None:
    tracker = Tracker.start("wandb", run, {"prompt": "joker", "seed": 3, "lora": ()})._tracker
    assert (tracker.project, tracker.options) == ("stylehead", {"name": "joker", "dir": run / "logs"})
    assert (run / "logs").is_dir()
    assert tracker.settings == {"prompt": "joker", "seed": 3}


def test_a_folder_of_the_users_own_is_left_to_it(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_DIR", "/elsewhere")
    assert Tracker.start("wandb", run, {})._tracker.options["dir"] == "/elsewhere"


def test_a_tracker_that_cannot_start_is_one_sentence(run: Path) -> None:
    refused = run.with_name("refused")
    refused.mkdir()
    with pytest.raises(JobError, match="wandb could not start: no account"):
        Tracker.start("wandb", refused, {})


def test_groups_become_names_with_a_slash_and_words_stay_out() -> None:
    event = {"step": 3, "time": 1.0, "losses": {"a": 1, "b": {"c": 2.5}}, "words": "x", "good": True}
    assert flat(event) == {"losses/a": 1.0, "losses/b/c": 2.5}
