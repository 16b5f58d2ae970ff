"""Bad input: one clear sentence, what to do next, the right exit code, nothing lost, nothing half-written."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cli_helpers import FAST, Run
from syrupy.assertion import SnapshotAssertion

from stylehead import images
from stylehead.generator import PanoHead, save_style
from stylehead.runs import RunDirectory
from stylehead.weights import presets

PIXAR = ("--prompt", "Pixar character")


def tree(root: Path) -> dict[str, bytes | None]:
    """Everything under a folder, with its content."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(root.rglob("*"))
        if path.name != ".lock"
    }


@pytest.fixture(scope="session")
def files_once(
    tmp_path_factory: pytest.TempPathFactory, finished_once: Path, world: Path, other_generator: Path
) -> Path:
    """A folder with everything that can be given wrongly."""
    root = tmp_path_factory.mktemp("files")
    (root / "file.txt").write_text("hello")
    for name in ("folder", "folder.glb", "photos", "runs/strange", "runs/broken"):
        (root / name).mkdir(parents=True)
    (root / "photos" / "me.jpg").write_bytes(b"x")
    style = finished_once / "style.safetensors"
    (root / "garbage.safetensors").write_bytes(os.urandom(2000))
    (root / "empty.safetensors").write_bytes(b"")
    (root / "cut.safetensors").write_bytes(style.read_bytes()[:-1000])
    shutil.copy(world / "generator.safetensors", root)
    other, trained = (PanoHead.load(other_generator) for _ in range(2))
    for parameter in trained.superresolution.parameters():
        parameter.data.mul_(1.1)
    save_style(root / "foreign.safetensors", trained, other, {"stylehead.prompt": "foreign"})
    shape = (1, other.num_ws, other.config.w_dim)
    np.savez(root / "nan.npz", w=np.full(shape, np.nan, np.float32))
    np.savez(root / "short.npz", w=np.zeros((1, 3, 7), np.float32))
    np.savez(root / "other.npz", z=np.zeros(3, np.float32))
    np.savez(root / "object.npz", w=np.array([{"code": "runs"}], dtype=object))
    np.savez(root / "whole.npz", w=np.zeros(shape, np.int64))
    (root / "garbage.npz").write_bytes(b"PK garbage")
    shutil.copytree(finished_once, root / "runs" / "pixar")
    shutil.copytree(finished_once, root / "runs" / "unfinished")
    RunDirectory.open(root / "runs" / "unfinished").update({"outcome": "interrupted"})
    (root / "runs" / "broken" / "run.json").write_text('{"format": 1, "conf')
    (root / "runs" / "strange" / "run.json").write_text(
        '{"format": 1, "config": {"prompt": "a joker", "magic": 3}}'
    )
    return root


@pytest.fixture
def files(files_once: Path, tmp_path: Path, run: Run) -> Path:
    """This test's own copy of them."""
    shutil.copytree(files_once, tmp_path, dirs_exist_ok=True)
    return tmp_path


STYLIZE: dict[str, tuple[tuple[str, ...], int]] = {
    "no prompt": ((), 2),
    "empty prompt": (("--prompt", "   "), 2),
    "unknown prompt": (("--prompt", "a hamster"), 2),
    "two styles": (("--prompt", "a joker and a zombie"), 2),
    "zero steps": ((*PIXAR, "--iterations", "0"), 2),
    "negative steps": ((*PIXAR, "--iterations", "-5"), 2),
    "steps in words": ((*PIXAR, "--iterations", "many"), 2),
    "rate is nan": ((*PIXAR, "--learning-rate", "nan"), 2),
    "unknown option": ((*PIXAR, "--itterations", "5"), 2),
    "unknown method": ((*PIXAR, "--method", "magic"), 2),
    "unknown preset": ((*PIXAR, "--preset", "maxi"), 2),
    "preset without weights": ((*PIXAR, "--preset", "panohead"), 3),
    "no gpu": ((*PIXAR, "--device", "cuda"), 3),
    "psi out of range": ((*PIXAR, "--psi", "1.5"), 2),
    "step range in disorder": ((*PIXAR, "--step-range", "40", "30"), 2),
    "rank weights in words": ((*PIXAR, "--rank-weights", "a,b"), 2),
    "too few rank weights": ((*PIXAR, "--rank-weights", "1,0.5"), 2),
    "contradicting score": ((*PIXAR, "--method", "sds", "--score", "paper"), 2),
    "few ddim steps": ((*PIXAR, "--ddim-steps", "20"), 2),
    "perceptual without network": ((*PIXAR, "--perceptual-weight", "0.1"), 3),
    "no checkpoints": ((*PIXAR, "--keep-checkpoints", "-1"), 2),
    "out is a file": ((*PIXAR, "--out", "file.txt"), 2),
    "out below a file": ((*PIXAR, "--out", "file.txt/run"), 2),
    "out holds other things": ((*PIXAR, "--out", "photos"), 2),
    "out holds other things, overwrite": ((*PIXAR, "--out", "photos", "--overwrite"), 2),
    "out is finished": ((*PIXAR, "--out", "runs/pixar"), 2),
    "out is unfinished": ((*PIXAR, "--out", "runs/unfinished"), 2),
    "resume of no run": (("--resume", "photos"), 2),
    "resume of nothing": (("--resume", "runs/none"), 2),
    "resume of a file": (("--resume", "file.txt"), 2),
    "resume of a broken run": (("--resume", "runs/broken"), 1),
    "resume of a strange run": (("--resume", "runs/strange"), 1),
    "resume of a finished run": (("--resume", "runs/pixar"), 2),
    "resume with another seed": (("--resume", "runs/unfinished", "--seed", "9"), 2),
    "resume with another prompt": (("--resume", "runs/unfinished", "--prompt", "a joker"), 2),
    "resume with another method": (("--resume", "runs/unfinished", "--method", "sds"), 2),
    "resume with a profile": (("--resume", "runs/unfinished", "--profile", "paper"), 2),
    "resume with out": (("--resume", "runs/unfinished", "--out", "elsewhere"), 2),
    "resume with overwrite": (("--resume", "runs/unfinished", "--overwrite"), 2),
    "resume and dry run": (("--resume", "runs/unfinished", "--dry-run"), 2),
}

RENDER: dict[str, tuple[tuple[str, ...], int]] = {
    "no steps": (("--yaw-steps", "0"), 2),
    "negative steps": (("--yaw-steps", "-3"), 2),
    "huge steps": (("--yaw-steps", "1000000"), 2),
    "steps in words": (("--yaw-steps", "x"), 2),
    "negative seed": (("--seed", "-1"), 2),
    "huge seed": (("--seed", "99999999999"), 2),
    "seeds in words": (("--seeds", "one,two"), 2),
    "seeds backwards": (("--seeds", "9-3"), 2),
    "too many seeds": (("--seeds", "0-4000000000"), 2),
    "seed and seeds": (("--seed", "1", "--seeds", "1,2"), 2),
    "seed and latent": (("--seed", "1", "--latent", "nan.npz"), 2),
    "psi too high": (("--psi", "1.4"), 2),
    "psi is nan": (("--psi", "nan"), 2),
    "pitch too high": (("--pitch", "80"), 2),
    "unknown background": (("--background", "nowhere"), 2),
    "no learned background": (("--background", "learned"), 2),
    "unknown format": (("--format", "mp4,avi"), 2),
    "no format": (("--format", ","), 2),
    "fps zero": (("--fps", "0"), 2),
    "unknown preset": (("--preset", "maxi"), 2),
    "preset without weights": (("--preset", "panohead"), 3),
    "out is a file": (("--out", "file.txt"), 2),
    "out below a file": (("--out", "file.txt/renders"), 2),
    "out holds other things": (("--out", "photos"), 2),
    "style is missing": (("--style", "none.safetensors"), 2),
    "style is a folder": (("--style", "folder"), 2),
    "style has no such name": (("--style", "jokers"), 2),
    "style is garbage": (("--style", "garbage.safetensors"), 1),
    "style is empty": (("--style", "empty.safetensors"), 1),
    "style is cut short": (("--style", "cut.safetensors"), 1),
    "style is a generator": (("--style", "generator.safetensors"), 1),
    "style of another base": (("--style", "foreign.safetensors"), 1),
    "strength too high": (("--style", "runs/pixar/style.safetensors", "--strength", "3"), 2),
    "strength is negative": (("--style", "runs/pixar/style.safetensors", "--strength", "-0.5"), 2),
    "strength is nan": (("--style", "runs/pixar/style.safetensors", "--strength", "nan"), 2),
    "strength without style": (("--strength", "0.5"), 2),
    "more strengths than styles": (
        ("--style", "runs/pixar/style.safetensors", "--strength", "0.5", "--strength", "0.5"),
        2,
    ),
    "side by side without style": (("--side-by-side",), 2),
    "latent is missing": (("--latent", "none.npz"), 2),
    "latent is a folder": (("--latent", "folder"), 2),
    "latent is garbage": (("--latent", "garbage.npz"), 1),
    "latent is text": (("--latent", "file.txt"), 1),
    "latent holds nan": (("--latent", "nan.npz"), 1),
    "latent of another size": (("--latent", "short.npz"), 1),
    "latent without w": (("--latent", "other.npz"), 1),
    "latent with objects": (("--latent", "object.npz"), 1),
    "latent of whole numbers": (("--latent", "whole.npz"), 1),
    "mesh of another kind": (("--mesh", "head.fbx"), 2),
    "mesh is a folder": (("--mesh", "folder.glb"), 2),
    "mesh below a file": (("--mesh", "file.txt/head.glb"), 2),
    "mesh without a surface": (("--mesh", "head.glb", "--mesh-level", "1e6", "--mesh-resolution", "32"), 1),
    "mesh of fog": (("--mesh", "head.glb", "--mesh-resolution", "32"), 1),
    "mesh of several heads": (("--mesh", "head.glb", "--seeds", "1,2"), 2),
    "mesh too fine": (("--mesh", "head.glb", "--mesh-resolution", "5000"), 2),
    "json and quiet": (("--json", "--quiet"), 2),
}


def check_refused(run: Run, root: Path, words: tuple[str, ...], code: int) -> str:
    """Run a command that must fail and change nothing; returns what it said."""
    before = tree(root)
    outcome = run(*words)
    assert outcome.code == code, outcome
    assert "Traceback" not in outcome.err
    assert tree(root) == before
    if "--json" not in words:
        assert outcome.out == ""
    return outcome.err


@pytest.mark.parametrize("name", STYLIZE)
def test_stylize_refuses(run: Run, files: Path, snapshot: SnapshotAssertion, name: str) -> None:
    words, code = STYLIZE[name]
    assert check_refused(run, files, ("stylize", *words), code) == snapshot


@pytest.mark.parametrize("name", RENDER)
def test_render_refuses(run: Run, files: Path, snapshot: SnapshotAssertion, name: str) -> None:
    words, code = RENDER[name]
    assert (
        check_refused(run, files, ("render", "--format", "gif", "--yaw-steps", "1", *words), code) == snapshot
    )


def test_errors_in_json_are_one_document(run: Run, files: Path) -> None:
    outcome = run("render", "--style", "none.safetensors", "--json")
    error = {"message": "`--style` (=none.safetensors) does not exist.", "hint": None, "exit_code": 2}
    assert json.loads(outcome.out) == {"error": error}


# ----------------------------------------------------------------------- weights that are not there


def test_missing_weights_say_what_to_do(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presets, "MINI_WEIGHTS", tmp_path / "gone")
    for words in (("render",), ("stylize", *FAST)):
        outcome = run(*words)
        assert outcome.code == 3
        assert "The generator of the mini preset is missing" in outcome.err
        assert " hint: pip install" in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_damaged_weights_are_not_started_on(
    run: Run, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(world, tmp_path / "world")
    network = tmp_path / "world" / "generator.safetensors"
    network.write_bytes(network.read_bytes()[:-100])
    monkeypatch.setattr(presets, "MINI_WEIGHTS", tmp_path / "world")
    for words in (("render",), ("stylize", *FAST)):
        outcome = run(*words)
        assert outcome.code == 1
        assert "damaged" in outcome.err
    assert [path.name for path in tmp_path.iterdir()] == ["world"]


def test_a_resumed_run_needs_the_generator_it_started_from(
    run: Run, files: Path, world: Path, other_generator: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(world, files / "world")
    shutil.copy(other_generator, files / "world" / "generator.safetensors")
    monkeypatch.setattr(presets, "MINI_WEIGHTS", files / "world")
    words = ("stylize", "--resume", "runs/unfinished", "--iterations", "9")
    err = check_refused(run, files, words, 1)
    assert "was started from another generator" in err


# ---------------------------------------------------------------------------------- the file system


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Make the disk full after a number of flushed files."""

    def fill(after: int) -> None:
        left, original = [after], os.fsync

        def fsync(descriptor: int) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            original(descriptor)

        monkeypatch.setattr(os, "fsync", fsync)

    return fill


@pytest.mark.parametrize("after", [0, 3, 6])
def test_a_full_disk_under_render_leaves_nothing(
    run: Run, tmp_path: Path, full_disk: Callable[[int], None], after: int
) -> None:
    full_disk(after)
    outcome = run("render", "--yaw-steps", "4")
    assert outcome.code == 1
    assert "error: The disk is full: could not write" in outcome.err
    assert list(tmp_path.rglob("*")) == []


def test_a_full_disk_under_stylize_keeps_what_is_whole(
    run: Run, full_disk: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = RunDirectory.save_checkpoint

    def second_fails(self: RunDirectory, step: int, *rest: object, **more: object) -> object:
        if step == 4:
            full_disk(1)
        return original(self, step, *rest, **more)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(RunDirectory, "save_checkpoint", second_fails)
        outcome = run("stylize", *FAST, "--out", "r")
    assert outcome.code == 1
    assert "error: The disk is full: could not write" in outcome.err
    assert [item.step for item in RunDirectory(Path("r")).checkpoints()] == [2]
    assert not list(Path("r").rglob("*.part*"))
    assert json.loads(Path("r/run.json").read_text())["prompt"] == "Pixar character"
    monkeypatch.undo()


@pytest.mark.parametrize("words", [("render",), ("stylize", *FAST)])
def test_folders_that_cannot_be_written(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    def refuse(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)  # root may write anywhere, so the refusal is simulated
    outcome = run(*words, "--out", "locked/here")
    assert outcome.code == 1
    assert "error: No permission to use locked" in outcome.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["render", "sheet"])
def test_a_current_folder_that_cannot_be_written_is_refused_before_the_work(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr("stylehead.generator.PanoHead.load", lambda *_: pytest.fail("nothing is to be drawn"))
    monkeypatch.setattr(os, "access", lambda *_, **__: False)  # root may write anywhere
    outcome = run(command)
    assert outcome.code == 1, outcome
    assert "error: No permission to use the current folder." in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_a_render_that_is_not_finite_is_refused(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def broken(image_pm1: torch.Tensor) -> object:
        return images.to_pixels(image_pm1 * float("nan"))

    monkeypatch.setattr("stylehead.export.frames.to_pixels", broken)
    outcome = run("render", "--yaw-steps", "2")
    assert outcome.code == 1
    assert "not finite" in outcome.err
    assert list(tmp_path.iterdir()) == []
