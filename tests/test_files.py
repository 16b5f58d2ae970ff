"""Writes are whole or not there at all."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from stylehead.errors import JobError
from stylehead.files import (
    atomic_path,
    atomic_write,
    clear_leftovers,
    let_go,
    new_lock,
    read_json,
    save_arrays,
    save_tensors,
    take,
    write_json,
)


def no_space(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_writes_text_and_bytes(tmp_path: Path) -> None:
    atomic_write(tmp_path / "a.txt", "grün")
    atomic_write(tmp_path / "b.bin", b"\x00\x01")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "grün"
    assert (tmp_path / "b.bin").read_bytes() == b"\x00\x01"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "b.bin"]


def test_a_full_disk_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.json"
    write_json(path, {"step": 1})
    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space left"):
        write_json(path, {"step": 2})
    assert json.loads(path.read_text()) == {"step": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.json"]


def test_an_interrupted_writer_leaves_nothing(tmp_path: Path) -> None:
    def write_half() -> None:
        with atomic_path(tmp_path / "video.mp4") as part:
            assert part.suffix == ".mp4"
            part.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert list(tmp_path.iterdir()) == []


def test_new_files_follow_the_umask(tmp_path: Path) -> None:
    atomic_write(tmp_path / "ours", "x")
    (tmp_path / "plain").write_text("x")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_tensors_come_back_with_their_header(tmp_path: Path) -> None:
    path = tmp_path / "t.safetensors"
    weight = torch.arange(6.0).reshape(2, 3).T  # not contiguous
    save_tensors(path, {"weight": weight}, {"prompt": "joker"})
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"prompt": "joker"}
        assert torch.equal(file.get_tensor("weight"), weight)


def test_a_full_disk_under_the_tensor_library_is_an_os_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors import SafetensorError

    message = "Error while serializing: I/O error: No space left on device (os error 28)"

    def full(*_: object, **__: object) -> None:
        raise SafetensorError(message)

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(OSError, match="No space left") as caught:
        save_tensors(tmp_path / "t.safetensors", {"a": torch.zeros(1)})
    assert caught.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []


def test_tensor_files_can_be_read_by_whoever_may_read_other_files(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    save_tensors(tmp_path / "a.safetensors", {"a": torch.ones(2)})
    save_arrays(tmp_path / "b.safetensors", {"a": np.ones(2, np.float32)}, {"key": "value"})
    for name in ("a.safetensors", "b.safetensors"):
        assert (tmp_path / name).stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert torch.equal(load_file(tmp_path / "a.safetensors")["a"], load_file(tmp_path / "b.safetensors")["a"])


def test_equal_tensors_and_headers_are_equal_bytes(tmp_path: Path) -> None:
    header = {f"key{index}": str(index) for index in range(20)}
    for name, metadata in (("a", header), ("b", dict(reversed(header.items())))):
        save_arrays(tmp_path / name, {"w": np.ones(2, np.float32)}, metadata)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with safe_open(tmp_path / "a", "pt") as file:
        assert file.metadata() == header
        assert torch.equal(file.get_tensor("w"), torch.ones(2))


def test_an_error_names_the_file_and_not_the_one_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space") as caught:
        atomic_write(tmp_path / "table.csv", "1,2")
    assert caught.value.filename == str(tmp_path / "table.csv")


def test_the_longest_name_that_the_disk_takes_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 251 + ".csv")
    atomic_write(path, "1")
    assert path.read_text() == "1"


def test_parts_of_killed_writers_are_swept_and_those_of_others_are_not(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "busy.csv") as part:
        part.write_text("half")
        left = [tmp_path / ".0123abcd.part.csv", tmp_path / ".0123abcd.lock"]
        for path in (*left, tmp_path / ".mine.part.csv"):
            path.write_text("")
        clear_leftovers(tmp_path)
        assert not any(path.exists() for path in left)
        assert part.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".mine.part.csv", "busy.csv"]


def test_json_never_holds_what_json_does_not_know(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"loss": [float("nan"), 1.5, float("-inf")]})
    assert json.loads((tmp_path / "a.json").read_text(), parse_constant=pytest.fail) == {
        "loss": [None, 1.5, None]
    }


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b"[" * 100_000])
def test_damaged_json_is_a_sentence_that_names_the_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(JobError, match=r"run\.json is damaged"):
        read_json(tmp_path / "run.json")


def test_a_lock_is_free_again_although_its_file_could_not_be_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = new_lock(tmp_path / "lock")
    assert take(lock)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", no_space)
        with pytest.raises(OSError, match="No space left"):
            let_go(lock)
    again = new_lock(tmp_path / "lock")
    assert take(again)
    let_go(again)
    assert list(tmp_path.iterdir()) == []
