"""The distribution of the example with a method and a metric: built, installed, and used by every command."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_helpers import Run

from stylehead.methods import registry

EXAMPLE = Path(__file__).parents[2] / "examples" / "dark_heads"
MODULE = "dark_heads"
DARK = ("stylize", "--prompt", "Pixar character", "--method", "dark")
SHORT = ("--iterations", "2", "--preview-every", "0", "--out", "runs/dark")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the installed distribution."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    shutil.copytree(EXAMPLE, source, dirs_exist_ok=True)
    words = (
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--target",
        target,
        source,
    )
    subprocess.run(
        [sys.executable, "-m", "pip", *map(str, words)], check=True, capture_output=True, text=True
    )
    return target


@pytest.fixture(autouse=True)
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(site)
    yield
    sys.modules.pop(MODULE, None)
    registry._DECLARED.pop("dark", None)


def test_help_lists_it_without_importing_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    assert "dark" in registry.method_names()
    assert ", dark." in run("stylize", "--help").out
    assert MODULE not in sys.modules


def test_its_help_has_its_own_options(run: Run) -> None:
    text = run("stylize", "--method", "dark", "--help").out
    assert "--dark-weight" in text
    assert "Weight of darkness." in text
    assert "--adaptive-heads" not in text
    assert "--dark-weight" not in run("stylize", "--method", "nada", "--help").out


def test_a_dry_run_knows_its_cost(run: Run) -> None:
    planned = run(*DARK, "--dark-weight", "2", "--dry-run", "--json")
    assert planned.code == 0, planned
    document = json.loads(planned.out)
    assert document["config"]["method"] == "dark"
    assert document["config"]["dark_weight"] == 2.0
    assert [need["role"] for need in document["weights"]] == ["generator"]


def test_it_trains_and_goes_on(run: Run) -> None:
    done = run(*DARK, *SHORT, "--json")
    assert done.code == 0, done
    manifest = json.loads(done.out)["manifest"]
    assert (manifest["outcome"], manifest["teacher"]) == ("finished", {})
    assert manifest["config"]["method"] == "dark"
    again = run("stylize", "--resume", "runs/dark", "--iterations", "3")
    assert again.code == 0, again
    events = [json.loads(line) for line in Path("runs/dark/events.jsonl").read_text().splitlines()]
    assert [sorted(event["losses"]) for event in events] == [["dark"]] * 3
    assert all(event["parameter_gradient"] > 0 for event in events)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--dark-weight", "-1"), "`--dark-weight` (=-1) must be at least 0."),
        (("--cfg-scale", "3"), "`--cfg-scale`"),
    ],
)
def test_its_settings_are_checked(run: Run, words: tuple[str, ...], message: str) -> None:
    refused = run(*DARK, *words)
    assert refused.code == 2
    assert message in refused.err


def test_a_table_has_its_row_and_its_column(measure: Run) -> None:
    words = ("--identities", "2", "--yaws", "0,30", "--iterations", "1", "--json", "--report", "report.html")
    outcome = measure("eval", "--methods", "dark,csd", "--prompts", "Pixar character", *words)
    assert outcome.code == 0, outcome
    rows = {row["label"]: row for row in json.loads(outcome.out)["rows"]}
    assert {"Darkness", "CSD"} <= rows.keys()
    assert all(rows[name]["cells"]["brightness"]["value"] is not None for name in ("Darkness", "CSD"))
    page = Path("report.html").read_text()
    assert "Darkness" in page
    assert "brightness" in page


def test_without_it_a_run_of_it_is_named_and_skipped(
    run: Run, monkeypatch: pytest.MonkeyPatch, site: Path
) -> None:
    assert run(*DARK, *SHORT).code == 0
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != str(site)])
    registry._DECLARED.pop("dark")
    refused = run("stylize", "--resume", "runs/dark", "--iterations", "4")
    assert refused.code != 0
    assert "`--method` (=dark) must be one of" in refused.err
