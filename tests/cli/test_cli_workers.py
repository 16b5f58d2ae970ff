"""`eval` by workers: the same numbers, whoever measures and in whatever order."""

import json
import sys
from pathlib import Path

import pytest
from cli_helpers import LIGHT, Outcome, Run
from inline_engine import Inline

from stylehead.jobs import spread
from stylehead.sweeps import local

SMALL = ("--identities", "3", "--yaws", "-30,0,180", "--json")


@pytest.fixture
def shuffled(monkeypatch: pytest.MonkeyPatch) -> list[Inline]:
    """Have an engine in this process that does the last task first."""
    made: list[Inline] = []

    def opening(**_: object) -> Inline:
        made.append(Inline(last_first=True))
        return made[-1]

    monkeypatch.setattr(spread, "open_engine", opening)
    return made


@pytest.fixture
def two_runs(measure: Run) -> Run:
    for prompt in ("Pixar character", "Joker"):
        assert measure("stylize", *LIGHT, "--prompt", prompt, "--out", f"runs/{prompt[:5]}").code == 0
    return measure


def table(outcome: Outcome) -> dict[str, object]:
    assert outcome.code == 0, outcome
    return {name: value for name, value in json.loads(outcome.out).items() if name != "files"}


def test_a_table_is_the_same_whoever_measures_it_in_any_order(two_runs: Run, shuffled: list[Inline]) -> None:
    alone = two_runs("eval", *SMALL, "--report", "alone.html", "--csv", "alone.csv")
    spread_out = two_runs("eval", *SMALL, "--report", "many.html", "--csv", "many.csv", "--workers", "2")
    assert table(spread_out) == table(alone)
    assert len(shuffled) == 1
    assert Path("many.csv").read_bytes() == Path("alone.csv").read_bytes()
    pages = [Path(name).read_text() for name in ("alone.html", "many.html")]
    assert pages[0].count("data:image") == pages[1].count("data:image") > 0


def test_workers_train_what_is_missing(measure: Run, shuffled: list[Inline]) -> None:
    words = ("eval", "--methods", "ld,nada", "--prompts", "Joker", "--iterations", "1", *SMALL)
    outcome = measure(*words, "--workers", "2")
    assert outcome.code == 0, outcome
    assert "2 runs to train" in outcome.err
    assert table(measure(*words)) == table(outcome)


@pytest.mark.slow
def test_a_problem_of_a_row_stands_in_the_table(two_runs: Run, shuffled: list[Inline]) -> None:
    Path("runs/Joker/style.safetensors").write_bytes(b"damaged")
    alone, many = two_runs("eval", *SMALL), two_runs("eval", *SMALL, "--workers", "3")
    assert table(many) == table(alone)
    (said,) = (row["problem"] for row in json.loads(many.out)["rows"] if row.get("problem"))
    assert said.startswith("runs/Joker/style.safetensors ")


def test_ctrl_c_stops(two_runs: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spread, "open_engine", lambda **_: Inline(stopping=True))
    outcome = two_runs("eval", *SMALL, "--workers", "2")
    assert outcome.code == 130


@pytest.mark.slow
def test_real_workers_measure_the_same(
    two_runs: Run, measuring_world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import pathlib, stylehead.weights.presets as presets; "
        f"presets.MINI_WEIGHTS = pathlib.Path({str(measuring_world)!r}); "
        "from stylehead.jobs.worker import main; main()"
    )
    monkeypatch.setattr(local, "WORKER", (sys.executable, "-c", code))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    tables = [
        table(two_runs("eval", *SMALL, *words)) for words in ((), ("--workers", "1"), ("--workers", "2"))
    ]
    assert tables[0] == tables[1] == tables[2]
