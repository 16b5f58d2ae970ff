"""Whatever fails, and whenever: the old or the new is there, the next command goes on, no litter stays."""

import json
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import file_events
import numpy as np
import pytest
import torch

from stylehead.export.recipe import save_image
from stylehead.files import atomic_write, clear_leftovers, open_download, save_arrays, write_json
from stylehead.folders import hold, replaced, together
from stylehead.jobs.render import listed_files
from stylehead.runs import RunDirectory
from stylehead.weights import archive, store
from stylehead.weights.store import FileFacts, Record

NOTES = {"notes.txt": b"mine", "frames/retouched.png": b"mine, too"}


class Case(NamedTuple):
    """Something that is written: how it begins, what is done, and what must be there whole afterwards."""

    before: Callable[[Path], object]
    work: Callable[[Path], object]
    content: Callable[[Path], object]
    """What a reader sees; raises when it is half there."""


def run_at(path: Path) -> RunDirectory:
    return RunDirectory(path / "run")


def make(path: Path, *, name: str, overwrite: bool = False) -> None:
    RunDirectory.create(path / "run", {"command": name}, overwrite=overwrite)


def save(path: Path, step: int, *, keep: int = 2) -> None:
    with run_at(path).lock():
        run_at(path).save_checkpoint(step, {"w": torch.full((2,), float(step))}, {"step": step}, keep=keep)


def trained(path: Path) -> None:
    make(path, name="old")
    run = run_at(path)
    for step in (1, 2):
        run.log({"step": step})
        save(path, step)
    (run.path / "previews").mkdir()
    atomic_write(run.path / "previews" / "step_000001.jpg", b"picture")
    save_arrays(run.path / "style.safetensors", {"a": np.ones(3, np.float32)}, {"a": "1", "b": "2"})
    add_notes(run.path)


def add_notes(folder: Path) -> None:
    for name, content in NOTES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)


def check_notes(folder: Path) -> None:
    assert {name: (folder / name).read_bytes() for name in NOTES} == NOTES


def run_content(path: Path) -> object:
    if not (path / "run" / "run.json").exists():
        return None
    run = RunDirectory.open(path / "run")
    with run.lock():
        pass  # the next command finishes or undoes
    newest = run.saved.newest(pytest.fail)
    steps = [event["step"] for event in run.events()]
    return run.manifest()["command"], newest and (newest[0].step, float(newest[1]["w"][0])), tuple(steps)


def overwrite(path: Path) -> None:
    make(path, name="new", overwrite=True)


def rewind(path: Path) -> None:
    with run_at(path).lock():
        run_at(path).rewind_events(1)


def draw(path: Path, shade: int, count: int) -> None:
    """Write what `render` writes: a sheet, frames and a manifest."""
    folder = path / "out"
    pixels = np.full((4, 4, 3), shade, np.uint8)
    with hold(folder), replaced(folder, "render.json", listed_files(folder)) as part:
        (part / "frames").mkdir()
        names = ["sheet.png", *(f"frames/frame_{index:03d}.png" for index in range(count))]
        for name in names:
            save_image(part / name, pixels, {})
        write_json(part / "render.json", {"files": names, "shade": shade})


def drawn(path: Path) -> None:
    draw(path, 10, 3)
    add_notes(path / "out")


def drawing(path: Path) -> object:
    if not (path / "out" / "render.json").exists():
        return None
    with hold(path / "out"):
        pass  # the next command finishes or undoes
    manifest = json.loads((path / "out" / "render.json").read_text())
    from PIL import Image

    for name in manifest["files"]:
        with Image.open(path / "out" / name) as picture:
            assert picture.getpixel((0, 0)) == (manifest["shade"],) * 3, name
    frames = [file for file in (path / "out" / "frames").glob("frame_*")]
    assert len(frames) == len(manifest["files"]) - 1
    return manifest["shade"]


def table(path: Path, text: str) -> None:
    clear_leftovers(path)
    atomic_write(path / "table.csv", text)


def register(path: Path, digit: str) -> None:
    target = path / "home" / "weights" / "panohead" / "g.safetensors"
    with store.locked_weights("panohead"):
        target.parent.mkdir(parents=True, exist_ok=True)
        save_arrays(target, {"a": np.full(2, int(digit), np.float32)})
        facts = {"g.safetensors": FileFacts(target.stat().st_size, digit)}
        store.write_record(Record("panohead", target, facts, digit, None, "today"))


def registered(path: Path) -> object:
    record = store.read_record("panohead")
    return record and record.source


def mesh(path: Path, shade: str) -> None:
    """Write what a mesh in OBJ consists of."""
    with together(path / "head.obj") as part:
        for name in ("head.obj", "head.mtl", "head.png"):
            (part / name).write_text(shade)


def meshed(path: Path) -> object:
    clear_leftovers(path)  # as the next command does that writes there
    found = [file.read_text() for file in path.glob("head.*")]
    assert len(found) in (0, 3)
    assert len(set(found)) <= 1
    return found[:1]


def fetch(path: Path, digit: str) -> None:
    """Fetch an archive of two models, one of which only it has."""
    with store.locked_weights("models"):
        archive.fetch_models(digit, store.weights_folder("models"))


def fetched(path: Path) -> object:
    folder = store.weights_folder("models")
    with store.locked_weights("models"):
        pass  # the next command finishes or undoes
    if not folder.exists():
        return None
    found = {file.name: file.read_text() for file in folder.iterdir()}
    assert len(set(found.values())) <= 1, "models of two archives"
    return found.get("both.onnx")


def download(url: str, part: Path, progress: object = None) -> None:
    """Make an archive of what the address says, as a server would."""
    with open_download(part, go_on=False) as file, zipfile.ZipFile(file, "w") as packing:
        for name in ("both.onnx", f"only{url}.onnx"):
            packing.writestr(f"pack/{name}", url)


def text_of(path: Path) -> object:
    file = path / "table.csv"
    return file.read_text() if file.exists() else None


def nothing(path: Path) -> None:
    """Nothing is there before."""


CASES = {
    "create": Case(nothing, lambda path: make(path, name="new"), run_content),
    "overwrite": Case(trained, overwrite, run_content),
    "checkpoint": Case(trained, lambda path: save(path, 3), run_content),
    "only checkpoint": Case(trained, lambda path: save(path, 3, keep=1), run_content),
    "same checkpoint": Case(trained, lambda path: save(path, 2, keep=1), run_content),
    "rewind": Case(trained, rewind, run_content),
    "render": Case(nothing, lambda path: draw(path, 20, 2), drawing),
    "render over another": Case(drawn, lambda path: draw(path, 20, 2), drawing),
    "table": Case(nothing, lambda path: table(path, "new" * 9), text_of),
    "table over another": Case(lambda path: table(path, "old"), lambda path: table(path, "new" * 9), text_of),
    "mesh": Case(nothing, lambda path: mesh(path, "new"), meshed),
    "mesh over another": Case(lambda path: mesh(path, "old"), lambda path: mesh(path, "new"), meshed),
    "models": Case(nothing, lambda path: fetch(path, "2"), fetched),
    "models over others": Case(lambda path: fetch(path, "1"), lambda path: fetch(path, "2"), fetched),
    "register": Case(nothing, lambda path: register(path, "2"), registered),
    "register over another": Case(
        lambda path: register(path, "1"), lambda path: register(path, "2"), registered
    ),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    monkeypatch.setenv("STYLEHEAD_HOME", str(tmp_path / "w" / "home"))
    monkeypatch.setattr(archive, "download", download)
    return CASES[request.param]


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_events, "_fsync", lambda descriptor: None)


def fresh(case: Case, path: Path) -> Path:
    """Return a folder as it is before the work."""
    shutil.rmtree(path, ignore_errors=True)
    kept = path.with_name("kept")
    if not kept.exists():
        path.mkdir()
        case.before(path)
        path.rename(kept)
    shutil.copytree(kept, path)
    return path


def tree(path: Path) -> dict[str, bool]:
    return {file.relative_to(path).as_posix(): file.is_dir() for file in sorted(path.rglob("*"))}


def everything(case: Case, path: Path) -> tuple[object, object, dict[str, bool], int]:
    """Return what is seen before and after, the files afterwards, and how many events there are."""
    old = case.content(fresh(case, path))
    events = file_events.count_events(lambda: case.work(path), path)
    return old, case.content(path), tree(path), events


def check(case: Case, path: Path, old: object, new: object, files: dict[str, bool]) -> None:
    """Check that the old or the new is there, and that doing it again leaves what doing it once leaves."""
    found = case.content(path)
    assert found in (old, new)
    if case.work is CASES["create"].work and found == new:
        return  # it was made; making it again is refused
    case.work(path)
    assert case.content(path) == new
    assert tree(path) == files
    for folder in ("run", "out"):
        if case.before in (trained, drawn) and (path / folder).exists():
            check_notes(path / folder)


@pytest.mark.parametrize("kind", ["full disk", pytest.param("interrupt", marks=pytest.mark.slow)])
def test_a_failure_at_any_file_event_leaves_the_old_or_the_new(case: Case, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "w"
    old, new, files, events = everything(case, path)
    for number in range(1, events + 1):
        fresh(case, path)
        file_events.fails_at(number, kind, lambda: case.work(path), path)
        check(case, path, old, new, files)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_kill_at_any_file_event_leaves_the_old_or_the_new(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "w"
    old, new, files, events = everything(case, path)
    for number in range(1, events + 1):
        fresh(case, path)
        file_events.killed_at(number, lambda: case.work(path), path)
        check(case, path, old, new, files)
