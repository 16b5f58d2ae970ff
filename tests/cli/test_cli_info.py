"""What `info` says about everything that stylehead makes, and about everything else."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from cli_helpers import Run

from stylehead.runs import RunDirectory


def stripped(out: str) -> dict[str, str]:
    """Labels and values of the lines for people."""
    pairs = (line.split("  ", 1) for line in out.splitlines())
    return {label.strip(): value.strip() for label, value in pairs}


def test_a_run(run: Run, finished: Path) -> None:
    outcome = run("info", finished)
    said = stripped(outcome.out)
    assert outcome.code == 0
    assert said["kind"] == "run"
    assert said["outcome"] == "finished"
    assert said["steps"] == "4 of 4"
    assert said["checkpoints"] == "2, 4"
    assert (
        outcome.err
        == "next: stylehead render --seed 42 --yaw-steps 36 --style runs/pixar/style.safetensors\n"
    )
    assert json.loads(run("info", finished, "--json").out)["config"]["iterations"] == 4
    assert run("info", finished, "-q").out == "run\n"


def test_the_time_of_a_run_is_that_of_its_steps_and_of_all_of_it(run: Run, finished: Path) -> None:
    times = {"started": "2026-01-01T23:59:00Z", "finished": "2026-01-02T00:02:05Z", "seconds": 17.4}
    directory = RunDirectory.open(finished)
    directory.update(times)
    assert stripped(run("info", finished).out)["time"] == "17s in steps, 3m from start to end"
    directory.update({"outcome": "interrupted"})  # gone on with: its last end is no end any more
    assert stripped(run("info", finished).out)["time"] == "17s in steps"
    directory.update({"outcome": "finished", "finished": "yesterday"})
    assert run("info", finished).code == 1


def test_a_run_in_progress_is_told_from_a_killed_one(run: Run, finished: Path) -> None:
    directory = RunDirectory.open(finished)
    directory.update({"outcome": "running"})
    with directory.lock():
        working = run("info", finished)
    assert stripped(working.out)["outcome"] == "running"
    assert working.err == ""
    killed = run("info", finished)
    assert stripped(killed.out)["outcome"] == "killed"
    assert killed.err == "next: stylehead stylize --resume runs/pixar\n"


def test_a_style_file(run: Run, finished: Path) -> None:
    said = stripped(run("info", finished / "style.safetensors").out)
    assert said["kind"] == "style"
    assert said["prompt"] == "Pixar character"
    assert said["iterations"] == "4"
    assert len(said["base"]) == 13
    document = json.loads(run("info", finished / "style.safetensors", "--json").out)
    assert len(document["base"]) == 64
    assert document["tensors"]


def test_a_generator(run: Run, world: Path) -> None:
    said = stripped(run("info", world / "generator.safetensors").out)
    assert said["kind"] == "generator"
    assert said["image"] == "64 pixels (raw 8)"
    assert said["latent"] == "z 32, w 32"


def test_a_latent(run: Run) -> None:
    np.savez("me.npz", w=np.zeros((1, 10, 32), np.float32))
    outcome = run("info", "me.npz")
    assert stripped(outcome.out)["shape"] == "1 x 10 x 32"
    assert outcome.err == "next: stylehead render --latent me.npz\n"
    np.savez("nan.npz", w=np.full((1, 10, 32), np.nan, np.float32))
    assert stripped(run("info", "nan.npz").out)["finite"].startswith("no")
    assert json.loads(run("info", "nan.npz", "--json").out)["finite"] is False


def test_pictures_films_meshes_and_renders(run: Run, finished: Path) -> None:
    command = ("render", "--yaw-steps", "2", "--style", finished / "style.safetensors", "--strength", "0.25")
    mesh = ("--mesh", "x.ply", "--mesh-level", "-1", "--mesh-resolution", "32")
    assert run(*command, "--out", "r", *mesh).code == 0
    kinds = {"r": "render", "r/turntable.mp4": "film", "r/contact_sheet.jpg": "picture", "x.ply": "mesh"}
    for path, kind in kinds.items():
        said = stripped(run("info", path).out)
        assert said["kind"] == kind
        assert said["styles"] == "Pixar character at 0.25"
    sizes = {path: stripped(run("info", path).out)["size"] for path in kinds if path != "r"}
    assert re.fullmatch(r"2 frames of \d+x\d+, 18 a second", sizes["r/turntable.mp4"])
    assert re.fullmatch(r"\d+x\d+", sizes["r/contact_sheet.jpg"])
    assert re.fullmatch(r"\d+ vertices, \d+ triangles", sizes["x.ply"])


NOT_OURS = [
    ("x.safetensors", b"garbage", 1, "x.safetensors is empty or cut short."),
    ("x.npz", b"garbage", 1, "x.npz is damaged or not a latent file."),
    ("x.png", b"garbage", 1, "x.png is no picture, whatever its name says."),
    ("x.txt", b"hello", 2, "x.txt is no kind of file that stylehead makes."),
    (None, b"", 2, "nothing.mp4 does not exist."),
]


@pytest.mark.parametrize(("name", "content", "code", "sentence"), NOT_OURS)
def test_not_ours_or_damaged(run: Run, name: str | None, content: bytes, code: int, sentence: str) -> None:
    if name is not None:
        Path(name).write_bytes(content)
    outcome = run("info", name or "nothing.mp4")
    assert outcome.code == code
    assert outcome.out == ""
    assert f"error: {sentence}" in outcome.err


def test_folders_that_are_neither_run_nor_render(run: Run, tmp_path: Path) -> None:
    outcome = run("info", tmp_path)
    assert outcome.code == 2
    assert "neither a run nor a render" in outcome.err
    (tmp_path / "run.json").write_text("{")
    assert run("info", tmp_path).code == 1
    (tmp_path / "run.json").unlink()
    (tmp_path / "render.json").write_text("{")
    assert run("info", tmp_path).code == 1


def test_an_unfinished_run_counts_the_steps_it_logged(run: Run, finished: Path) -> None:
    directory = RunDirectory.open(finished)
    directory.update({"outcome": "interrupted", "steps": 2})
    directory.rewind_events(3)
    assert stripped(run("info", finished).out)["steps"] == "3 of 4"
