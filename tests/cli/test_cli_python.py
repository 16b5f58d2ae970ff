"""The public door: names and defaults of the command line, results in memory and on the disk, errors."""

import dataclasses
import inspect
import logging
import subprocess
import sys
import typing
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stylehead
from stylehead import api
from stylehead.cli import eval as eval_command
from stylehead.cli import invert as invert_command
from stylehead.cli import render as render_command
from stylehead.cli import stylize as stylize_command
from stylehead.cli.options import Choice, signature
from stylehead.export import showcase
from stylehead.jobs.arguments import EvaluateArguments, InvertArguments, RenderArguments, StylizeArguments
from stylehead.jobs.callback import CallbackReport
from stylehead.methods.registry import BUILT_IN, settings_class
from stylehead.weights import presets

PAIRS = [
    (api.stylize, stylize_command.stylize, StylizeArguments),
    (api.render, render_command.render, RenderArguments),
    (api.invert, invert_command.invert, InvertArguments),
    (api.evaluate, eval_command.evaluate, EvaluateArguments),
]
OF_THE_TERMINAL = {"context", "as_json", "quiet", "dry_run", "probe"}
RENAMED = {"profile_name": "profile", "formats": "format"}
"""Parameters of commands whose option has a name that Python keeps for itself, and that name."""


@pytest.fixture
def tiny(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and a tiny random world as the embedded preset."""
    monkeypatch.setattr(presets, "MINI_WEIGHTS", world)
    monkeypatch.setattr(showcase, "SHEET_SEEDS", (1, 2))
    monkeypatch.setattr(showcase, "SHEET_YAWS_DEG", (0.0, 180.0))
    monkeypatch.setattr(showcase, "TURNTABLE_STEPS", 4)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def options_of(command: Callable[..., Any]) -> dict[str, Any]:
    """The options of a command and their defaults."""
    whole = inspect.signature(command)
    if command is stylize_command.stylize:
        whole = signature(command, Choice(tuple(settings_class(name) for name in BUILT_IN), None))
    of_the_terminal = OF_THE_TERMINAL | (
        {"workers", "address"} if command is render_command.render else set()
    )
    return {
        RENAMED.get(name, name): item.default
        for name, item in whole.parameters.items()
        if name not in of_the_terminal
    }


@pytest.mark.parametrize(("function", "command", "arguments"), PAIRS)
def test_names_and_defaults_are_those_of_the_command_line(
    function: Callable[..., Any], command: Callable[..., Any], arguments: Any
) -> None:
    options = options_of(command)
    parameters = dict(inspect.signature(function).parameters)
    parameters.pop("progress")
    assert set(parameters) == set(options)
    for name, default in options.items():
        assert (parameters[name].default or None) == (default or None), name
    fields = {item.name: item.default for item in dataclasses.fields(arguments) if item.name != "settings"}
    assert set(fields) <= set(options)
    for name, default in fields.items():
        assert (default or None) == (options[name] or None), name


@pytest.mark.parametrize("function", [pair[0] for pair in PAIRS])
def test_everything_is_typed_and_described(function: Callable[..., Any]) -> None:
    hints = typing.get_type_hints(function)
    described = inspect.getdoc(function) or ""
    own = function.__code__.co_varnames[: function.__code__.co_argcount + function.__code__.co_kwonlyargcount]
    for name in own:
        assert name in hints
        assert f"\n    {name}: " in described


def test_the_import_is_quick_and_lazy() -> None:
    code = "import sys, stylehead; print(sorted({'torch', 'numpy', 'typer', 'PIL'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there() -> None:
    for name in stylehead.__all__:
        assert getattr(stylehead, name) is not None
        assert name in dir(stylehead)
    with pytest.raises(AttributeError, match="restyle"):
        _ = stylehead.restyle  # type: ignore[attr-defined]


def test_the_package_runs_as_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stylehead", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"stylehead {stylehead.__version__}\n"


def test_a_render_is_pictures_that_can_be_saved(tiny: Path) -> None:
    seen: list[api.Step] = []
    film = stylehead.render(seed=3, yaw_steps=4, progress=seen.append)
    assert film.images.dtype == np.uint8
    assert film.images.shape == (4, *film.images.shape[1:3], 3)
    assert film.yaws_deg == (0.0, 90.0, 180.0, 270.0)
    assert sorted({step.total for step in seen}) == [4]
    assert str(seen[-1]) == "Rendering: view 4/4"
    assert list(tiny.iterdir()) == []
    assert film.save("films/head.mp4").stat().st_size > 0
    assert film.save(tiny / "head.png").is_file()
    with pytest.raises(stylehead.StyleheadError, match="must end in"):
        film.save("head.doc")


def test_equal_renders_are_equal_and_seeds_are_numbers_or_text(tiny: Path) -> None:
    one, two = (stylehead.render(seeds=seeds, yaw_steps=2) for seeds in ([1, 2], "1,2"))
    assert len(one.films) == 2
    for left, right in zip(one.films, two.films, strict=True):
        np.testing.assert_array_equal(left.frames, right.frames)


def test_a_folder_is_written_where_it_is_asked_for(tiny: Path) -> None:
    stylehead.render(yaw_steps=2, out="here", format="frames")
    assert {path.name for path in Path("here").iterdir()} == {"frames", "render.json"}


def test_a_style_is_trained_used_and_measured(tiny: Path) -> None:
    seen: list[api.Step] = []
    run = stylehead.stylize(
        "pixar", iterations=2, grid=False, preview_every=0, out="run", progress=seen.append
    )
    assert run.folder == Path("run")
    assert [event["step"] for event in run.history] == [1, 2]
    assert [step.step for step in seen] == [1, 2]
    assert run.manifest["command"].startswith("stylehead.stylize(prompt='pixar', iterations=2")
    plain, styled = (stylehead.render(seed=1, yaw_steps=2, style=style) for style in ((), run.style))
    assert plain.images.shape == styled.images.shape
    found = stylehead.evaluate(runs=run.folder, identities=2, yaws=[0, 90], fail_under="id=0.99")
    assert [row.kind for row in found.table.rows][:2] == ["untouched", "method"]
    assert len(found.missed) == 1


def test_errors_are_exceptions_with_a_hint(tiny: Path) -> None:
    with pytest.raises(stylehead.StyleheadError, match="must be between 1 and 720"):
        stylehead.render(yaw_steps=0)
    with pytest.raises(stylehead.StyleheadError, match="needs `--prompt`"):
        stylehead.stylize()
    with pytest.raises(stylehead.StyleheadError, match="There is no setting `iteration`") as caught:
        stylehead.stylize("Pixar character", iteration=3)
    assert caught.value.hint == "did you mean `iterations`?"


def test_notes_go_to_the_log_and_warnings_are_warnings(tiny: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "stylehead"):
        stylehead.render(yaw_steps=1)
    assert "preset mini" in caplog.text
    with pytest.warns(UserWarning, match="like this"):
        CallbackReport(None).warn("like this")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stylehead.render(yaw_steps=1)
