"""Help screens, and what must be true of them."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from cli_helpers import Run
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from stylehead import __version__
from stylehead.cli.options import PANELS, Choice, signature
from stylehead.cli.stylize import stylize
from stylehead.cli.terminal import to_ascii
from stylehead.methods.config import StylizeConfig
from stylehead.methods.registry import BUILT_IN, settings_class
from stylehead.settings import flag

COMMANDS = ("stylize", "render", "eval", "invert", "sweep", "info", "doctor", "sheet", "view", "styles")


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_as_it_was(run: Run, command: str, snapshot: SnapshotAssertion) -> None:
    outcome = run(*command.split(), "--help")
    assert outcome.code == 0
    assert outcome.err == ""
    assert "\n".join(line.rstrip() for line in outcome.out.splitlines()) == snapshot


def test_no_command_shows_the_help(run: Run) -> None:
    assert run() == run("--help")


def test_version(run: Run) -> None:
    assert run("--version").out == f"stylehead {__version__}\n"


def test_every_command_ends_with_examples(run: Run) -> None:
    for command in COMMANDS:
        assert f"  stylehead {command}" in run(command, "--help").out.rpartition("Examples")[2]


EVERYTHING = Choice(tuple(settings_class(name) for name in BUILT_IN), None)


def test_defaults_on_the_command_line_are_those_of_the_dataclass() -> None:
    parameters = signature(stylize, EVERYTHING).parameters
    for field in dataclasses.fields(settings_class("ld")):
        if field.name == "prompt":
            assert parameters["prompt"].default is None
        else:
            default = None if field.default == () else field.default  # of an option that is repeatable
            assert parameters[field.name].default == default, field.name


def test_every_setting_has_one_panel_and_a_help_text() -> None:
    placed = [name for names in PANELS.values() for name in names]
    known = {name for method in BUILT_IN for name in settings_class(method).names()}
    assert sorted(placed) == sorted({"method"} | known)
    for parameter in signature(stylize, EVERYTHING).parameters.values():
        if parameter.annotation is not typer.Context:
            (option,) = parameter.annotation.__metadata__
            assert option.help, parameter.name
            assert option.help[0].isupper(), parameter.name


GROUPED = ("bank", "bank new", "bank fill", "bank check", "styles add", "styles remove", "weights fetch")


@pytest.mark.parametrize("command", ["", *COMMANDS, *GROUPED])
def test_help_fits_seventy_lines_of_eighty_columns(
    run: Run, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = run(*command.split(), "--help").out.splitlines()
    assert len(lines) <= 70
    assert all(len(line) <= 80 for line in lines)
    assert not any("<" in line and ">" in line for line in lines), "the parser's own names of types"


@pytest.mark.parametrize("method", BUILT_IN)
def test_the_help_of_a_method_adds_its_own_settings(run: Run, method: str) -> None:
    usual, own = run("stylize", "--help").out, run("stylize", "--method", method, "--help").out
    panel = own.partition(f"Settings of --method {method}\n")[2].partition("\n\n")[0]
    for name in settings_class(method).names():
        if name not in StylizeConfig.names():
            assert f"{flag(name)}" in panel
    assert names_in(usual) - {"--diffusion", "--lora"} <= names_in(own)
    assert f"Settings of --method {method}" not in usual


def test_all_help_shows_every_setting_of_every_method(run: Run) -> None:
    shown = names_in(run("stylize", "--help-all").out)
    for method in BUILT_IN:
        assert {flag(name) for name in settings_class(method).names()} <= shown


def names_in(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z](?![\w-])", text))


@pytest.mark.parametrize("columns", ["40", "55", "80", "200"])
@pytest.mark.parametrize("command", [*COMMANDS, "weights fetch"])
def test_no_width_cuts_a_name(run: Run, command: str, columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    whole = names_in(run(*command.split(), "--help-all").out)
    monkeypatch.setenv("COLUMNS", columns)
    assert names_in(run(*command.split(), "--help-all").out) == whole


ASCII = [
    ("--help",),
    ("eval", "--help-all"),
    ("stylize", "--help"),
    ("weights", "list"),
    ("render", "--seeds", "\u00bd"),
    ("render", "--style", "\u72fc\u4eba \u2026"),
]


def test_an_ascii_terminal_gets_ascii(tmp_path: Path) -> None:
    """One process for all commands: what counts is how its streams were opened."""
    code = (
        "import json, sys; from stylehead.cli.app import main\n"
        "for words in json.loads(sys.argv[1]):\n"
        "    sys.argv = ['stylehead', *words]\n"
        "    try: main()\n"
        "    except SystemExit as stop: code = stop.code or 0\n"
        "    print('ended', code)\n"
    )
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(ASCII)],
        env={**os.environ, "PYTHONPATH": root, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done
    ended = [line for line in done.stdout.splitlines() if line.startswith(b"ended")]
    assert ended == [b"ended 0"] * 4 + [b"ended 2"] * 2, done
    assert done.stderr.count(b"error: ") == 2
    assert (done.stdout + done.stderr).isascii()
    assert b"Traceback" not in done.stderr


@given(st.text())
def test_any_text_has_an_ascii_form(text: str) -> None:
    assert to_ascii(text).isascii()
    assert to_ascii("a\u2026 \u00e9 \u00b11 \u00bd id \u2191") == "a... \\xe9 +-1 1/2 id ^"


def test_wrong_usage_is_one_sentence_with_a_hint(run: Run) -> None:
    outcome = run("stylize", "joker")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.splitlines()[1] == ' hint: stylehead stylize --prompt "joker"'
    assert "did you mean --yaw-steps?" in run("render", "--yaw-stepz", "3").err
    document = json.loads(run("render", "--yaw-steps", "many", "--json").out)
    assert document["error"]["exit_code"] == 2


def test_help_needs_few_imports_and_no_heavy_one() -> None:
    code = (
        "import sys; before = len(sys.modules); from stylehead.cli.app import app; "
        "app(['--help'], standalone_mode=False); "
        "print(sorted({'torch', 'diffusers', 'transformers', 'numpy', 'PIL', 'av'} & set(sys.modules))); "
        "print(len(sys.modules) - before)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *_, loaded, modules = result.stdout.splitlines()
    assert loaded == "[]"
    assert int(modules) < 500


def test_only_what_is_built_is_listed(run: Run) -> None:
    assert ", ".join(BUILT_IN) in " ".join(run("stylize", "--help").out.split())
    outcome = run("stylize", "--prompt", "Pixar", "--method", "ip2p")
    assert outcome.code == 2
    assert "ip2p" in outcome.err


def test_settings_come_from_a_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text('{"prompt": "joker", "method": "sds", "cfg_scale": 50}')
    document = json.loads(run("stylize", "--config", "mine.json", "--seed", "3", "--dry-run", "--json").out)
    config = document["config"]
    assert (config["prompt"], config["method"], config["cfg_scale"], config["seed"]) == (
        "joker",
        "sds",
        50,
        3,
    )
    (tmp_path / "bad.json").write_text("[1]")
    assert run("stylize", "--config", "bad.json").code == 1
    assert run("stylize", "--config", "none.json").code == 2


def test_the_shell_completes_ids_of_weights(script_env: dict[str, str]) -> None:
    words = {"COMP_WORDS": "stylehead weights fetch insightface-b", "COMP_CWORD": "3"}
    done = subprocess.run(
        [sys.executable, "-m", "stylehead"],
        env={**script_env, **words, "_STYLEHEAD_COMPLETE": "complete_bash"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["insightface-buffalo_l"], done
