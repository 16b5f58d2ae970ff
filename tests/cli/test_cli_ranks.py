"""`torchrun ... -m stylehead stylize`: several processes on one style, over gloo."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from cli_helpers import Run
from safetensors.torch import load_file

from stylehead.sweeps.journal import last_event

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

WORDS = (
    "--prompt", "Joker", "--method", "ld", "--keep-checkpoints", "1",
    "--batch", "2", "--no-grid", "--no-canny", "--preview-every", "0",
    "--learning-rate", "1e-4", "--learning-rate-end", "1", "--step-window", "0",
)  # fmt: skip
WORLD = """
import pathlib, sys, torch
torch.set_num_threads(1)
import stylehead.weights.presets as presets
presets.MINI_WEIGHTS = pathlib.Path({world!r})
from stylehead.export import showcase
showcase.SHEET_SEEDS, showcase.SHEET_YAWS_DEG, showcase.TURNTABLE_STEPS = (1,), (0.0,), 2
from stylehead.cli.app import main
main()
"""


def torchrun(world: Path, env: dict[str, str], processes: int, *words: str) -> "subprocess.Popen[str]":
    Path("inside.py").write_text(WORLD.format(world=str(world)))
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        str(processes),
    ]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [*command, "inside.py", "stylize", *words], env=env, stdout=pipe, stderr=pipe, text=True
    )


def done(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    out, said = process.communicate(timeout=600)
    return process.returncode, out, said


def furthest(one: Path, other: Path) -> float:
    first, second = load_file(one / "weights.safetensors"), load_file(other / "weights.safetensors")
    assert first.keys() == second.keys()
    return max(float((first[name] - second[name]).abs().max()) for name in first)


def test_two_processes_train_what_one_does_and_either_goes_on(
    run: Run, world: Path, script_env: dict[str, str]
) -> None:
    assert run("stylize", *WORDS, "--iterations", "3", "--out", "alone").code == 0
    code, out, said = done(
        torchrun(world, script_env, 2, *WORDS, "--iterations", "3", "--out", "two", "--json")
    )
    assert code == 0, said
    assert json.loads(out)["manifest"]["processes"] == 2
    assert furthest(Path("alone/checkpoints/step_000003"), Path("two/checkpoints/step_000003")) < 1e-6
    events = [json.loads(line)["step"] for line in Path("two/events.jsonl").read_text().splitlines()]
    assert events == [1, 2, 3]
    further = ("--iterations", "4", "--keep-checkpoints", "1")
    assert run("stylize", "--resume", "two", *further).code == 0
    code, _, said = done(torchrun(world, script_env, 2, "--resume", "alone", *further))
    assert code == 0, said
    assert furthest(Path("alone/checkpoints/step_000004"), Path("two/checkpoints/step_000004")) < 5e-6


def test_a_killed_process_ends_all_with_a_sentence(
    world: Path, script_env: dict[str, str], tmp_path: Path
) -> None:
    os.chdir(tmp_path)
    words = (*WORDS, "--iterations", "2000", "--checkpoint-every", "2", "--out", "two")
    process = torchrun(world, script_env, 2, *words)
    end = time.monotonic() + 300
    while int(last_event(Path("two/events.jsonl")).get("step", 0)) < 3:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.1)
    ranks = [child for child in psutil.Process(process.pid).children() if "inside.py" in child.cmdline()]
    follower = next(child for child in ranks if child.environ()["RANK"] == "1")
    addresses = {c.laddr.ip for child in ranks for c in child.net_connections("inet") if c.status == "LISTEN"}
    assert addresses <= {"127.0.0.1", "::1"}
    follower.send_signal(signal.SIGKILL)
    code, _, said = done(process)
    assert code != 0
    assert re.search("Another of the 2 processes of this run is gone|Stopped after step|Interrupted", said), (
        said
    )
    assert not any(child.is_running() for child in ranks)
    manifest = json.loads(Path("two/run.json").read_text())
    assert manifest["outcome"] in ("failed", "interrupted")


def test_people_that_do_not_split_are_refused(
    world: Path, script_env: dict[str, str], tmp_path: Path
) -> None:
    os.chdir(tmp_path)
    code, _, said = done(
        torchrun(world, script_env, 2, "--method", "ld", "--prompt", "Joker", "--batch", "3")
    )
    assert code != 0
    assert "`--batch` (=3) must be a multiple of 2" in said
    assert not Path("two").exists()
