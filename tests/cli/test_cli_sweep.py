"""Sweeps from the command line, over the tiny world: trained, gone on with, stopped, wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_helpers import Outcome, Run
from inline_engine import Inline
from safetensors.torch import load_file

from stylehead.cli.sweep_table import PlainLines, table
from stylehead.jobs import sweep as sweep_job
from stylehead.jobs.sweep_arguments import SweepArguments
from stylehead.runs import RunDirectory
from stylehead.sweeps import local
from stylehead.sweeps.journal import JOURNAL, RunProgress, last_event
from stylehead.sweeps.plan import Planned
from stylehead.sweeps.summary import SweepPace, summarise_sweep

WORKER = (
    "import pathlib, sys, stylehead.weights.presets as presets; "
    "presets.MINI_WEIGHTS = pathlib.Path({world!r}); "
    "from stylehead.methods import registry; registry.EMBEDDED_DEFAULT = 'ld'; "
    "from stylehead.export import showcase; showcase.SHEET_SEEDS = (1,); "
    "showcase.SHEET_YAWS_DEG = (0.0,); showcase.TURNTABLE_STEPS = 2; "
    "from stylehead.jobs.worker import main; main()"
)
BASE = """
base:
  iterations: 4
  checkpoint_every: 1
  preview_every: 0
  grid: false
  canny: false
identities: 0
workers: 2
"""
TWO = BASE + "vary:\n  prompt: [Pixar character, Joker]\n"


@pytest.fixture(autouse=True)
def _inline(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no workers, but in the tests that are about them."""
    if "workers" not in request.fixturenames:
        monkeypatch.setattr(sweep_job, "open_engine", lambda *_, **__: Inline())


@pytest.fixture
def workers(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have real workers, in the tiny world."""
    monkeypatch.setattr(local, "WORKER", (sys.executable, "-c", WORKER.format(world=str(world))))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


def swept(run: Run, text: str, *words: str | Path) -> Outcome:
    Path("s.yaml").write_text(text)
    return run("sweep", "s.yaml", "--out", "all", *words)


def styles() -> dict[str, dict[str, object]]:
    return {path.parent.name: load_file(path) for path in Path("all").glob("*/style.safetensors")}


def times() -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in Path("all").glob("*/*")}


def test_a_sweep_trains_every_run_and_the_same_command_touches_none(run: Run) -> None:
    outcome = swept(run, TWO, "--json")
    assert outcome.code == 0, outcome
    document = json.loads(outcome.out)
    assert [one["state"] for one in document["runs"]] == ["finished"] * 2
    assert {one["prompt"] for one in document["runs"]} == {"Pixar character", "Joker"}
    assert Path("all/sheet.jpg").is_file()
    assert json.loads(Path("all", JOURNAL).read_text())["errors"] == {}
    assert "0 of 2 runs done" in outcome.err
    before = times()
    again = swept(run, TWO, "-q")
    assert again.code == 0, again
    assert times() == before
    assert sorted(again.out.split()) == sorted(one["path"] for one in document["runs"])
    more = swept(run, TWO + "  seed: 0-1\n", "--dry-run", "--json")
    assert json.loads(more.out)["runs"] == 2


@pytest.mark.slow
@pytest.mark.usefixtures("workers")
def test_a_run_by_a_worker_is_an_ordinary_run(run: Run) -> None:
    swept(run, BASE + "vary:\n  prompt: Joker\n")
    (path,) = (folder.parent for folder in Path("all").glob("*/run.json"))
    words = run("info", path, "--as-command").out.split()
    alone = run(*[word.strip("'") for word in words[1:]], "--out", "alone")
    assert alone.code == 0, alone
    one, other = load_file(path / "style.safetensors"), load_file("alone/style.safetensors")
    assert one.keys() == other.keys()
    assert all(bool((one[name] == other[name]).all()) for name in one)


def test_a_failing_run_stands_in_the_table_and_is_tried_again(run: Run) -> None:
    text = BASE + "vary:\n  prompt: Joker\n  max_non_finite: [1, 2]\n  learning_rate: 4e-3\n"
    dry = json.loads(swept(run, text, "--dry-run", "--json").out)
    assert dry["runs"] == 2
    assert not Path("all").exists()
    spoiled = Path("all", dry["plan"][0]["name"])
    spoiled.mkdir(parents=True)
    Path("all", JOURNAL).write_text('{"format": 1}')
    (spoiled / "mine.txt").write_text("hands off")
    outcome = swept(run, text, "--json")
    assert outcome.code == 1, outcome
    first, second = json.loads(outcome.out)["runs"]
    assert (first["state"], second["state"]) == ("failed", "finished")
    assert "is not empty and is not a run" in first["error"]
    assert "1 of 2 runs failed; the same command tries again." in outcome.err
    assert (spoiled / "mine.txt").read_text() == "hands off"
    (spoiled / "mine.txt").unlink()
    again = swept(run, text, "--json")
    assert again.code == 0, again
    assert {one["state"] for one in json.loads(again.out)["runs"]} == {"finished"}


WRONG = [
    ("vary:\n  prompt: [Joker, a toaster]\n", "s.yaml, line 2"),
    ("vary:\n  prompt: Joker\n  learning_rate: fast\n", "s.yaml, line 3"),
    ("vary:\n  prompt: Joker\nbase:\n  learning_rate: 7\n", "s.yaml, line 4"),
    ("vary:\n  prompt: Joker\n  clip: nowhere\n  method: nada\n", "s.yaml, line 3"),
]


@pytest.mark.parametrize(("text", "where"), WRONG)
def test_a_mistake_names_the_line_and_writes_nothing(run: Run, text: str, where: str) -> None:
    outcome = swept(run, text)
    assert outcome.code in (1, 2, 3), outcome
    assert f"error: {where}: " in outcome.err
    assert [path.name for path in Path().iterdir()] == ["s.yaml"]


def test_more_than_an_hour_has_to_be_agreed_to(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_job, "MUCH_S", 0.0)
    outcome = swept(run, TWO)
    assert outcome.code == 2
    assert "This takes about" in outcome.err
    assert "--yes" in outcome.err
    assert "2 to train, 2 at once" in outcome.err
    assert not Path("all").exists()


@pytest.mark.parametrize(
    ("gpu_bytes", "share", "said"), [(80e9, 1 / 8, "8 of them a GPU"), (2e9, 1.0, "1 of them")]
)
def test_runs_ask_for_memory_and_a_share_of_a_gpu(
    run: Run, monkeypatch: pytest.MonkeyPatch, gpu_bytes: float, share: float, said: str
) -> None:
    engine = Inline()
    monkeypatch.setattr(sweep_job, "open_engine", lambda *_, **__: engine)
    monkeypatch.setattr("stylehead.jobs.sweep_tasks._gpu_bytes", lambda _device: int(gpu_bytes))
    outcome = swept(run, TWO)
    assert outcome.code == 0, outcome
    asked = [task for task in engine.submitted if task.function.endswith(":train_planned")]
    assert [task.gpus for task in asked] == [share] * 2
    assert all(task.memory_bytes > 1e8 for task in asked)
    assert said in swept(run, TWO + "  seed: 1-2\n", "--dry-run").out


def test_a_folder_of_others_is_refused(run: Run) -> None:
    Path("all").mkdir()
    Path("all/theirs.txt").write_text("x")
    assert "all is not empty and is not a sweep." in swept(run, TWO).err
    assert [path.name for path in Path("all").iterdir()] == ["theirs.txt"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "A sweep needs prompts."),
        (("--prompt", "Joker", "--set", "seed"), "`--set` (=seed) must be a setting and its values"),
        (("--prompt", "Joker", "--set", "sead=1"), "there is no setting `sead`"),
        (("--prompt", "Joker", "--method", ","), "`--method` has no values."),
        (("--prompt", "Joker", "--identities", "1"), "`--identities` (=1) must be 0 or at least 2."),
        (("--prompts", "none.txt"), "`--prompts` (=none.txt) is not a file."),
    ],
)
def test_wrong_words(run: Run, words: tuple[str, ...], said: str) -> None:
    outcome = run("sweep", *words)
    assert outcome.code == 2
    assert said in outcome.err


def test_names_and_defaults_are_those_of_the_job() -> None:
    import inspect

    from stylehead.cli.sweep import sweep

    parameters = inspect.signature(sweep).parameters
    usual = SweepArguments()
    for name, parameter in parameters.items():
        name = {"profile_name": "profile"}.get(name, name)
        if name not in ("dry_run", "yes", "as_json", "quiet"):
            assert parameter.default in (getattr(usual, name), None), name


# --------------------------------------------------------------------------------------- stopped and killed

DRIVER = (
    "import sys, stylehead.sweeps.local as local; local.WORKER = (sys.executable, '-c', sys.argv.pop(1)); "
    "import pathlib, stylehead.weights.presets as presets; "
    "presets.MINI_WEIGHTS = pathlib.Path(sys.argv.pop(1)); "
    "from stylehead.methods import registry; registry.EMBEDDED_DEFAULT = 'ld'; "
    "from stylehead.cli.app import main; main()"
)


def start(world: Path, env: dict[str, str], *words: str) -> "subprocess.Popen[str]":
    code = [sys.executable, "-c", DRIVER, WORKER.format(world=str(world)), str(world)]
    return subprocess.Popen(
        [*code, "sweep", "s.yaml", "--out", "all", *words],
        env=env,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def wait_for(holds: Callable[[], object], seconds: float = 600) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def steps() -> list[int]:
    return [int(last_event(path).get("step", 0)) for path in Path("all").glob("*/events.jsonl")]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("workers")
def test_ctrl_c_stops_all_runs_and_the_same_command_goes_on(
    run: Run, world: Path, script_env: dict[str, str]
) -> None:
    long = TWO.replace("iterations: 4", "iterations: 120").replace(
        "checkpoint_every: 1", "checkpoint_every: 0"
    )
    Path("s.yaml").write_text(long)
    process = start(world, script_env)
    wait_for(lambda: max(steps(), default=0) > 1)  # the other may still be loading
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=600)
    assert process.returncode == 130, said
    assert "Stopped: 0 of 2 runs are done." in said
    assert "sweep s.yaml --out all" in said
    for path in Path("all").glob("*/run.json"):
        stopped = RunDirectory(path.parent)
        assert stopped.manifest()["outcome"] == "interrupted"
        done = last_event(path.parent / "events.jsonl").get("step", 0)
        assert [saved.step for saved in stopped.checkpoints()][-1:] == ([done] if done else [])
    outcome = swept(run, long, "--json")
    assert outcome.code == 0, outcome
    assert [one["steps"] for one in json.loads(outcome.out)["runs"]] == [120, 120]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("workers")
def test_a_sweep_that_is_killed_ten_times_ends_as_one_that_is_not(
    run: Run, world: Path, script_env: dict[str, str]
) -> None:
    import random

    import psutil

    many = TWO.replace("iterations: 4", "iterations: 40").replace(
        "checkpoint_every: 1", "checkpoint_every: 5"
    )
    many += "  seed: 0-2\n"
    assert swept(run, many).code == 0
    expected = styles()
    Path("all").rename("whole")
    rng = random.Random(0)
    for number in range(10):
        before = sum(steps())
        process = start(world, script_env)
        wait_for(lambda: sum(steps()) > before or len(styles()) == 6)  # noqa: B023, called at once
        time.sleep(rng.uniform(0, 2))
        family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        if number % 2 and family:
            family[rng.randrange(len(family))].kill()
            time.sleep(rng.uniform(0, 2))
        process.kill()
        process.communicate()
    outcome = swept(run, many)
    assert outcome.code == 0, outcome
    found = styles()
    assert found.keys() == expected.keys()
    for name, tensors in expected.items():
        assert all(bool((found[name][key] == tensors[key]).all()) for key in tensors), name
    assert not [path for path in Path("all").rglob("*") if ".part" in path.name]


# -------------------------------------------------------------------------------------- the live table


def progress() -> list[RunProgress]:
    from stylehead.methods.config import StylizeConfig

    config = StylizeConfig.from_dict({"prompt": "joker", "iterations": 10})
    states = (("running", 4), ("finished", 10), ("failed", 2), ("waiting", 0))
    return [
        RunProgress(
            Planned(f"run-{state}", config, {"method": state}),
            state,
            step,
            error="It rained." if state == "failed" else None,
        )
        for state, step in states
    ]


def test_the_summary_says_where_a_sweep_is() -> None:
    clock = iter([0.0, 0.0, 8.0])
    pace = SweepPace(lambda: next(clock))
    assert summarise_sweep(progress(), pace) == "1 of 4 runs done, 1 failed; joker, running 4/10; eta ?"
    later = [progress()[0]._replace(step=8), *progress()[1:]]
    assert summarise_sweep(later, pace).endswith("joker, running 8/10; eta 40s")


def test_plain_lines_come_now_and_then() -> None:
    said: list[str] = []

    class Sink:
        def note(self, text: str) -> None:
            said.append(text)

    now = [0.0]
    lines = PlainLines(Sink(), lambda: now[0])
    for second in range(21):
        now[0] = float(second)
        lines([progress()[0]._replace(step=second // 3), *progress()[1:]])
    assert len(said) == 3


def test_the_table_shows_those_that_move_first() -> None:
    from rich.console import Console

    console = Console(width=80, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(table(progress(), SweepPace(), 2))
    text = console.export_text()
    console.file.close()
    assert "joker, running" in text
    assert "joker, failed" in text
    assert "It rained." in text
    assert "joker, waiting" not in text
    assert "1 of 4 done, 2 more" in text
