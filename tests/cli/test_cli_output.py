"""What is said, where, and in which of the modes; and what exceptions mean."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import typer
from rich.console import Console
from safetensors import SafetensorError
from syrupy.assertion import SnapshotAssertion

from stylehead.cli.output import Mode, Output, reporting
from stylehead.errors import JobError, LicenseError, MemoryShortError, MissingError, UsageError
from stylehead.jobs.failures import StoppedError, explain
from stylehead.jobs.report import Result

RESULT = Result(
    primary=(Path("runs/x/style.safetensors"),),
    rows=(("run", Path("runs/x")), ("contact sheet", Path("runs/x/contact_sheet.jpg"))),
    data={"run": Path("runs/x"), "steps": 300},
)


def say_everything(output: Output) -> None:
    output.note("Loading.")
    output.warn("This is slow without a GPU.")
    output.result(RESULT)
    output.next("stylehead render --style runs/x/style.safetensors")


@pytest.mark.parametrize("mode", ["human", "json", "quiet"])
def test_each_mode_says_its_part(
    capsys: pytest.CaptureFixture[str], snapshot: SnapshotAssertion, mode: Mode
) -> None:
    say_everything(Output(mode))
    said = capsys.readouterr()
    assert f"--- stdout\n{said.out}--- stderr\n{said.err}" == snapshot
    if mode == "json":
        assert json.loads(said.out) == {"run": "runs/x", "steps": 300}


def test_on_a_terminal_lines_are_coloured_and_paths_can_be_clicked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(Console, "is_terminal", property(lambda self: True))
    output = Output("human")
    output.result(Result((tmp_path,), (("folder", tmp_path),)))
    output.warn("Careful.")
    said = capsys.readouterr()
    assert tmp_path.as_uri() in said.out
    assert "\x1b[" in said.err


def test_no_color_is_obeyed_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Console, "is_terminal", property(lambda self: True))
    say_everything(Output("human"))
    said = capsys.readouterr()
    assert "\x1b[3" not in said.out + said.err


def test_long_paths_are_never_wrapped(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs").mkdir()
    path = Path("runs") / ("x" * 300)
    Output("human").result(Result((path,), (("run", path),)))
    Output("quiet").result(Result((path,), ()))
    assert capsys.readouterr().out == f"run  {path}\n{path}\n"


def test_brackets_in_prompts_are_not_markup(capsys: pytest.CaptureFixture[str]) -> None:
    Output("human").result(Result(("x",), (("prompt", "[bold]a [red]joker"),)))
    Output("human").note("[/nonsense]")
    said = capsys.readouterr()
    assert "[bold]a [red]joker" in said.out
    assert "[/nonsense]" in said.err


def full_disk(code: int, *names: str) -> OSError:
    return OSError(code, os.strerror(code), *names)


FAILURES: dict[str, tuple[BaseException, int]] = {
    "job": (JobError("The render holds NaN.", "try --seed 2"), 1),
    "usage": (UsageError("`--psi` (=2) must be between 0 and 1."), 2),
    "missing": (MissingError("The generator is missing.", "stylehead weights fetch panohead"), 3),
    "licence": (LicenseError("The licence is not accepted."), 4),
    "memory": (MemoryShortError("Memory ran out in iteration 3.", "--batch 1"), 5),
    "torch memory": (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"), 5),
    "cpu memory": (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), 5),
    "python memory": (MemoryError(), 5),
    "system memory": (OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)), 5),
    "ctrl-c": (KeyboardInterrupt(), 130),
    "stopped": (StoppedError("Stopped after step 3 of 9.", "stylehead stylize --resume runs/x"), 130),
    "full disk": (full_disk(errno.ENOSPC, "runs/x/.run.0a1b2c3d.part.json"), 1),
    "file of a folder that is not whole": (full_disk(errno.ENOSPC, "r/.part/frames/frame_000.png"), 1),
    "checkpoint that is not whole": (full_disk(errno.ENOSPC, "r/.step_000002.part/state.safetensors"), 1),
    "too large": (full_disk(errno.EFBIG, "r/.part/turntable.gif"), 1),
    "no permission": (full_disk(errno.EACCES, "/etc/runs"), 1),
    "read-only": (full_disk(errno.EROFS, "/mnt/runs"), 1),
    "not a folder": (full_disk(errno.ENOTDIR, "a.txt/runs"), 1),
    "other system": (full_disk(errno.EIO, "/dev/x"), 1),
    "tensor file": (SafetensorError("Error while deserializing header: header too large"), 1),
    "tensor file on a full disk": (SafetensorError("I/O error: No space left on device (os error 28)"), 1),
    "bug": (ZeroDivisionError("division\nby zero"), 1),
}


@pytest.mark.parametrize("name", FAILURES)
def test_every_failure_is_a_sentence_and_a_code(name: str, snapshot: SnapshotAssertion) -> None:
    error, code = FAILURES[name]
    failure = explain(error)
    assert failure.exit_code == code
    assert "\n" not in failure.message
    assert failure._asdict() == snapshot


def fail_in(mode: Mode, error: BaseException) -> None:
    with reporting(as_json=mode == "json", quiet=mode == "quiet") as output:
        output.note("Loading.")
        raise error


@pytest.mark.parametrize("mode", ["human", "json", "quiet"])
def test_failures_in_each_mode(
    capsys: pytest.CaptureFixture[str], snapshot: SnapshotAssertion, mode: Mode
) -> None:
    with pytest.raises(typer.Exit) as caught:
        fail_in(mode, MissingError("The teacher is missing: x.", "pip install --force-reinstall stylehead"))
    assert caught.value.exit_code == 3
    said = capsys.readouterr()
    assert f"--- stdout\n{said.out}--- stderr\n{said.err}" == snapshot
    if mode == "json":
        assert json.loads(said.out)["error"]["exit_code"] == 3


def test_the_traceback_comes_on_request_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(typer.Exit):
        fail_in("human", ValueError("odd"))
    assert "Traceback" not in capsys.readouterr().err
    monkeypatch.setenv("STYLEHEAD_DEBUG", "1")
    with pytest.raises(typer.Exit):
        fail_in("human", ValueError("odd"))
    assert "Traceback" in capsys.readouterr().err


def test_json_and_quiet_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as caught, reporting(as_json=True, quiet=True):
        pass
    assert caught.value.exit_code == 2
    assert "exclude each other" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX pipes")
def test_a_reader_that_leaves_early_is_no_error() -> None:
    code = (
        "from stylehead.cli.output import reporting\n"
        "from stylehead.jobs.report import Result\n"
        "import sys, typer\n"
        "try:\n"
        "    with reporting(as_json=False, quiet=True) as output:\n"
        "        sys.stdin.read()\n"
        "        output.result(Result(tuple('x' * 100 for _ in range(5000)), ()))\n"
        "except typer.Exit as end:\n"
        "    sys.exit(end.exit_code)\n"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        assert writer.stderr is not None
        writer.stdout.close()
        writer.stdin.close()
        assert writer.stderr.read() == b""
    assert writer.returncode == 1
