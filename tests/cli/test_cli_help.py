"""Help screens, and what must be true of them."""

import dataclasses
import inspect
import subprocess
import sys
import time

import pytest
import typer
from cli_helpers import Run
from syrupy.assertion import SnapshotAssertion

from stylehead import __version__
from stylehead.cli.options import PANELS
from stylehead.cli.stylize import stylize
from stylehead.methods.registry import BUILT_IN, settings_class

COMMANDS = ("stylize", "render", "eval", "invert", "info", "doctor")


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


def test_defaults_on_the_command_line_are_those_of_the_dataclass() -> None:
    parameters = inspect.signature(stylize).parameters
    for field in dataclasses.fields(settings_class("ld")):
        if field.name == "prompt":
            assert parameters["prompt"].default is None
        else:
            assert parameters[field.name].default == field.default, field.name


def test_every_setting_has_one_panel_and_a_help_text() -> None:
    placed = [name for names in PANELS.values() for name in names]
    known = {name for method in BUILT_IN for name in settings_class(method).names()}
    assert sorted(placed) == sorted({"method"} | known)
    for parameter in inspect.signature(stylize).parameters.values():
        if parameter.annotation is not typer.Context:
            (option,) = parameter.annotation.__metadata__
            assert option.help, parameter.name
            assert option.help[0].isupper(), parameter.name


def test_help_needs_no_heavy_import_and_little_time() -> None:
    code = (
        "import sys, time; start = time.process_time(); from stylehead.cli.app import app; "
        "app(['--help'], standalone_mode=False); "
        "print(sorted({'torch', 'diffusers', 'transformers', 'numpy', 'PIL', 'av'} & set(sys.modules))); "
        "print(time.process_time() - start)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *_, loaded, seconds = result.stdout.splitlines()
    assert loaded == "[]"
    assert float(seconds) < 0.5


def test_only_what_is_built_is_listed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")  # so that no name is cut in two
    assert f"<{'|'.join(BUILT_IN)}>" in run("stylize", "--help").out
    started = time.monotonic()
    outcome = run("stylize", "--prompt", "Pixar", "--method", "ip2p")
    assert outcome.code == 2
    assert "ip2p" in outcome.err
    assert time.monotonic() - started < 5
