"""Words to people: what is typed in many ways is understood, and what is said names what it is about."""

import ast
import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_helpers import FAST, LIGHT, Run

from stylehead.cli.help import spread
from stylehead.cli.options import build_command, choose_settings
from stylehead.cli.stylize import stylize
from stylehead.generator import PanoHead

PACKAGE = Path(__file__).parents[2] / "stylehead"
SHORT = (*LIGHT, "--out", "r")


_COMMAND = re.compile(r"(^|\W)(stylehead [a-z]|--[a-z-]+ (\.?/)?$)")
"""What a command begins with, or an option before its value."""
_PATH = re.compile(r"(?:[\w.]*[._])?(?:path|folder|file|out|base|photo|style|run|word)(?: / .*)?")
"""What names of paths end with."""


def options(*words: str) -> list[str]:
    return spread(words, build_command(stylize, choose_settings(words)).params)


@pytest.mark.parametrize(
    "words",
    [
        ("--step-range", "20,40"),
        ("--step-range", "20,", "40"),
        ("--step-range=20,40",),
        ("--step-range", "20", "40"),
    ],
)
def test_a_range_has_commas_or_spaces(words: tuple[str, ...]) -> None:
    assert [word for word in options(*words, "--seed", "3") if word != ""] == [
        "--step-range", "20", "40", "--seed", "3",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "words",
    [
        ("--rank-weights", "1,0.5,0.25"),
        ("--rank-weights", "1", "0.5", "0.25"),
        ("--rank-weights", "1,", "0.5,", "0.25"),
        ("--rank-weights=1,0.5,0.25",),
    ],
)
def test_a_list_has_commas_or_spaces(words: tuple[str, ...]) -> None:
    assert options(*words, "--grid") == ["--rank-weights", "1,0.5,0.25", "--grid"]


def test_other_words_stay_as_they_are() -> None:
    words = ["--prompt", "a, b", "--seed", "3", "--out=x,y", "--step-range"]
    assert options(*words) == words


def test_a_range_reaches_the_settings(run: Run) -> None:
    outcome = run("stylize", *SHORT, "--step-range", "30,40", "--dry-run", "--json")
    assert json.loads(outcome.out)["config"]["step_range"] == [30, 40]


def test_a_synonym_is_said_and_trained(run: Run) -> None:
    outcome = run("stylize", *LIGHT, "--prompt", "wolfman", "--iterations", "1", "--out", "r")
    assert outcome.code == 0, outcome
    assert 'The embedded teacher reads "wolfman" as "werewolf".' in outcome.err
    assert json.loads(Path("r/run.json").read_text())["prompt"] == "werewolf"


@pytest.mark.parametrize("prompt", ["a photo", "not a zombie", "\u72fc", "Pixer"])
def test_what_is_no_style_is_refused_before_anything_is_made(run: Run, prompt: str) -> None:
    for dry in ((), ("--dry-run",)):
        outcome = run("stylize", *LIGHT, "--prompt", prompt, "--out", "r", *dry)
        assert outcome.code == 2
        assert prompt in outcome.err
        assert "empty" not in outcome.err
    assert not Path("r").exists()


def test_a_style_that_is_not_read_is_refused(run: Run) -> None:
    """The tiny teacher reads a few letters; whatever comes behind them is lost."""
    refused = run("stylize", *LIGHT, "--prompt", f"{'masterpiece ' * 9}zombie", "--out", "r")
    assert refused.code == 2, refused
    assert "zombie' is lost" in refused.err
    assert "put the style first" in refused.err
    warned = run("stylize", *LIGHT, "--prompt", "zombie, masterpiece", "--iterations", "1", "--out", "r")
    assert warned.code == 0, warned
    assert "warning: The teacher does not read the end" in warned.err


def test_a_time_budget_that_ran_out_is_said(run: Run) -> None:
    outcome = run("stylize", *SHORT, "--time-budget-minutes", "0.000001")
    assert outcome.code == 0, outcome
    assert "ran out after step 1 of 4" in outcome.err


def test_one_strength_is_for_all_styles(run: Run, finished: Path) -> None:
    style = finished / "style.safetensors"
    words = ("render", "--yaw-steps", "2", "--style", style, "--style", style, "--json")
    recipe = json.loads(run(*words, "--strength", "0.4").out)
    assert [item["strength"] for item in recipe["styles"]] == [0.4, 0.4]
    assert run(*words, "--strength", "1", "--strength", "1", "--strength", "1").code == 2
    assert recipe["folder"].endswith("pixar-character-at-0-4-pixar-character-at-0-4")


def test_a_run_that_may_not_be_read_is_listed_as_such(
    run: Run, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path, *_: object, **__: object) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "read_text", refused)  # root may read anything
    outcome = run("info", finished.parent)
    assert outcome.code == 0, outcome
    assert "pixar  No permission to use runs/pixar/run.json." in outcome.out


def test_a_folder_of_runs_is_listed(run: Run, finished: Path) -> None:
    stopped = finished.with_name("a b")
    stopped.mkdir()
    (stopped / "run.json").write_text("{}")
    outcome = run("info", "runs")
    assert "2 runs" in outcome.out
    assert "finished, Pixar character, 4 of 4" in outcome.out
    assert len(json.loads(run("info", "runs", "--json").out)["runs"]) == 2


def test_paths_in_hints_can_be_pasted(run: Run) -> None:
    path = Path("my runs")
    assert run("stylize", *FAST, "--no-grid", "--out", path).code == 0
    assert "--resume 'my runs' --iterations 8" in run("stylize", "--resume", path).err
    assert "--style 'my runs/style.safetensors'" in run("info", path).err


def test_a_head_of_a_run_is_named_after_the_run(run: Run, world: Path) -> None:
    generator = PanoHead.load(world / "generator.safetensors")
    Path("invert-me-3f9c").mkdir()
    ws = np.zeros((1, generator.num_ws, generator.config.w_dim), np.float32)
    np.savez(Path("invert-me-3f9c/latent.npz"), w=ws)
    words = ("render", "--yaw-steps", "2", "--latent", "invert-me-3f9c/latent.npz", "--json")
    recipe = json.loads(run(*words).out)
    assert recipe["heads"] == ["invert-me-3f9c"]
    assert recipe["folder"] == "renders/invert-me-3f9c"


def test_the_embedded_models_are_listed(run: Run) -> None:
    outcome = run("weights", "list")
    assert outcome.out.startswith("mini")
    assert "the embedded preset: generator, teacher" in outcome.out
    assert json.loads(run("weights", "list", "--json").out)["embedded"]


def test_no_warning_of_a_library_reaches_the_terminal() -> None:
    code = (
        "import logging, sys, warnings; from stylehead.cli.app import main\n"
        "sys.argv = ['stylehead', '--version']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "warnings.warn('chatter'); logging.getLogger('library').warning('chatter')\n"
        "import os; print(os.environ['OMP_WAIT_POLICY'], os.environ.get('GOMP_SPINCOUNT'))\n"
    )
    env = {name: value for name, value in os.environ.items() if name != "STYLEHEAD_DEBUG"}
    env.pop("GOMP_SPINCOUNT", None)
    env |= {"OMP_WAIT_POLICY": "ACTIVE"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert done.stderr == ""
    assert done.stdout.splitlines()[1] == "ACTIVE None"


def unquoted(code: ast.AST) -> list[str]:
    """Paths that commands in f-strings name as they are; a shell would take them apart at a space."""
    found = []
    for text in (node for node in ast.walk(code) if isinstance(node, ast.JoinedStr)):
        before = ""
        for part in text.values:
            if isinstance(part, ast.Constant):
                before += str(part.value)
            elif isinstance(part, ast.FormattedValue):
                if _COMMAND.search(before) and _PATH.fullmatch(ast.unparse(part.value)):
                    found.append(ast.unparse(text))
                before += "x"
    return found


def test_every_path_in_a_command_is_quoted() -> None:
    bare = "f'stylehead info {run.path}'; f'--out {out / name}'; f'stylehead sheet --style {style}'"
    assert len(unquoted(ast.parse(bare))) == 3
    fine = "f'stylehead info {quoted(path)}'; f'--psi {psi}'; f'{path} is a file'"
    assert unquoted(ast.parse(fine)) == []
    files = [path for path in sorted(PACKAGE.rglob("*.py")) if PACKAGE / "world" not in path.parents]
    found = {str(path): bad for path in files if (bad := unquoted(ast.parse(path.read_text())))}
    assert found == {}
