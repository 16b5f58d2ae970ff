"""What does not fit on the disk is refused before any work."""

import types
from pathlib import Path

import pytest

from stylehead.errors import JobError
from stylehead.jobs.disk import (
    bytes_of_many,
    check_disk,
    disk_words,
    finished_bytes,
    free_bytes,
    running_bytes,
)

MB = 1_000_000


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A disk with 100 MB left, and the paths that it was asked for."""
    paths: list[Path] = []

    def usage(path: Path) -> types.SimpleNamespace:
        paths.append(path)
        return types.SimpleNamespace(total=1000 * MB, free=100 * MB)

    monkeypatch.setattr("shutil.disk_usage", usage)
    return paths


def test_what_fits_passes_and_what_does_not_is_named_with_both_sizes(asked: list[Path]) -> None:
    check_disk(Path("runs/new"), 100 * MB)
    with pytest.raises(
        JobError, match=r"about 101 MB on the disk of runs/new, where 100 MB are free"
    ) as caught:
        check_disk(Path("runs/new"), 101 * MB)
    assert "--out" in str(caught.value.hint)


def test_the_disk_is_that_of_the_nearest_folder_that_is_there(asked: list[Path], tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    free_bytes(tmp_path / "runs" / "a" / "b")
    assert asked == [tmp_path / "runs"]


def test_a_disk_that_does_not_say_is_believed_to_have_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: types.SimpleNamespace(total=0, free=0))
    check_disk(Path("x"), 10**15)
    assert "free" not in disk_words(MB, 0, Path("x"), full_style=False)


def test_a_run_needs_room_for_one_checkpoint_more_than_it_keeps(asked: list[Path]) -> None:
    assert running_bytes(MB, 0) == running_bytes(MB, 2) == 3 * 4 * MB + 3 * MB
    assert running_bytes(MB, 5) == 6 * 4 * MB + 3 * MB
    assert finished_bytes(MB, 0) == MB + 3 * MB
    assert finished_bytes(MB, 2) == MB + 2 * 4 * MB + 3 * MB
    said = disk_words(10 * MB, 0, Path("x"), full_style=False)
    assert said.startswith("123 MB at most while it runs (2 checkpoints of 40.0 MB and a new one)")
    assert said.endswith("then the style, less than 5.0 MB; 100 MB are free")


def test_many_runs_need_what_they_leave_and_the_checkpoints_of_those_that_train() -> None:
    small, large = {"disk_bytes": 5, "running_bytes": 7}, {"disk_bytes": 10, "running_bytes": 40}
    assert bytes_of_many([(small, 3), (large, 2)], workers=2) == 3 * 5 + 2 * 10 + 2 * 30
    assert bytes_of_many([], workers=1) == 0
