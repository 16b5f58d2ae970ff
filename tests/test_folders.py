"""Folders of results change as a whole, whatever way leads to them, and hold what others put there."""

import errno
import os
import sys
from pathlib import Path

import pytest

from stylehead.errors import JobError, UsageError
from stylehead.files import check_current_folder, check_folder_writable, check_parents, user_path, write_json
from stylehead.folders import claim, hold, is_held, is_vacant, replaced
from stylehead.jobs.render import listed_files

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="POSIX folders")


def fill(folder: Path, *names: str) -> None:
    with hold(folder), replaced(folder, "render.json", listed_files(folder)) as part:
        for name in names:
            (part / name).parent.mkdir(exist_ok=True)
            (part / name).write_text(name)
        write_json(part / "render.json", {"files": names})


def content(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_old_listed_files_go_and_all_others_stay(tmp_path: Path) -> None:
    fill(tmp_path / "out", "a.mp4", "frames/frame_000.png", "frames/frame_001.png")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    (tmp_path / "out" / "frames" / "retouched.png").write_text("mine")
    fill(tmp_path / "out", "b.mp4", "frames/frame_000.png")
    mine = ["frames/retouched.png", "notes.txt"]
    assert content(tmp_path / "out") == sorted([*mine, "b.mp4", "frames/frame_000.png", "render.json"])


def test_a_folder_that_only_old_files_were_in_goes_with_them(tmp_path: Path) -> None:
    fill(tmp_path, "frames/frame_000.png")
    fill(tmp_path, "a.mp4")
    assert content(tmp_path) == ["a.mp4", "render.json"]
    assert not (tmp_path / "frames").exists()


def test_a_render_of_version_0_1_0_lists_its_frames_as_a_folder(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    for name in ("frame_000.png", "mine.png"):
        (tmp_path / "frames" / name).write_text("x")
    write_json(tmp_path / "render.json", {"files": ["frames", "turntable.mp4"]})
    assert sorted(listed_files(tmp_path)) == ["frames/frame_000.png", "turntable.mp4"]


@pytest.mark.parametrize("name", ["../outside", "/outside", "a/../../outside", "C:/outside"])
def test_a_manifest_never_has_files_elsewhere_removed(tmp_path: Path, name: str) -> None:
    (tmp_path / "outside").write_text("mine")
    fill(tmp_path / "out", "a.mp4")
    write_json(tmp_path / "out" / "render.json", {"files": [name]})
    fill(tmp_path / "out", "b.mp4")
    assert (tmp_path / "outside").read_text() == "mine"


def test_the_current_folder_takes_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fill(Path("."), "a.mp4")
    fill(Path("."), "b.mp4")
    assert content(tmp_path) == ["b.mp4", "render.json"]


@POSIX
def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    fill(tmp_path / "link", "a.mp4")
    fill(tmp_path / "link", "b.mp4")
    assert (tmp_path / "link").is_symlink()
    assert content(tmp_path / "disk") == ["b.mp4", "render.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "link"]


def test_a_failed_block_leaves_no_folder_that_was_not_there(tmp_path: Path) -> None:
    def fail() -> None:
        with hold(tmp_path / "a" / "b"), replaced(tmp_path / "a" / "b", "render.json") as part:
            (part / "half").write_text("x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_of_two_at_once_the_second_takes_another_name_or_is_refused(tmp_path: Path) -> None:
    first = claim(tmp_path / "seed-4")
    assert first is not None
    with first:
        assert is_held(tmp_path / "seed-4")
        assert claim(tmp_path / "seed-4") is None
        with pytest.raises(JobError, match="Another process"), hold(tmp_path / "seed-4"):
            pass
        (tmp_path / "seed-4" / "a.mp4").write_text("x")
    assert not is_held(tmp_path / "seed-4")
    assert claim(tmp_path / "seed-4") is None


def test_what_a_killed_process_left_is_nobodys(tmp_path: Path) -> None:
    (tmp_path / "out" / ".part").mkdir(parents=True)
    (tmp_path / "out" / ".part" / "half.mp4").write_text("x")
    (tmp_path / "out" / ".lock").write_text("")
    assert is_vacant(tmp_path / "out")
    taken = claim(tmp_path / "out")
    assert taken is not None
    taken.close()
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


@POSIX
def test_a_read_only_folder_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # whoever runs the tests may write anywhere
    for check in (check_folder_writable, check_parents):
        with pytest.raises(OSError, match="Permission denied") as caught:
            check(tmp_path / "new" / "run")
        assert caught.value.errno == errno.EACCES
        assert caught.value.filename == str(tmp_path)


@POSIX
@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
def test_a_place_that_only_the_system_fills_is_said() -> None:
    with pytest.raises(UsageError, match=r"/proc/mine cannot be made there"), hold(Path("/proc/mine")):
        pass


def test_a_name_that_is_too_long_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="too long") as caught:
        check_parents(tmp_path / ("x" * 300))
    assert caught.value.errno == errno.ENAMETOOLONG


@POSIX
def test_a_removed_current_folder_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_current_folder()
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(UsageError, match="current folder was removed"):
        check_current_folder()
    os.chdir(tmp_path)


def test_a_tilde_is_the_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from stylehead.jobs.arguments import RenderArguments

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    arguments = RenderArguments(out=Path("~/r"), latent=(Path("~/a.npz"), Path("b~.npz")))
    assert arguments.out == tmp_path / "r"
    assert arguments.latent == (tmp_path / "a.npz", Path("b~.npz"))
    assert user_path(Path("~nobody-of-this-name/x")) == Path("~nobody-of-this-name/x")
