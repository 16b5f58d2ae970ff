"""Wrong usage is said in this program's own words, for every option of every command."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from cli_helpers import Run

from stylehead.cli.app import app
from stylehead.cli.usage import usage_failure

FOREIGN = ("Input should", "Value error", "Invalid value", "unable to parse", "argument", "'")
"""Words of the libraries that read the command line."""


def commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[Any, tuple[str, ...]]]:
    inside = getattr(command, "commands", None)
    if inside is None:
        yield command, words
        return
    for name, one in inside.items():
        yield from commands(one, (*words, name))


LEAST = {"stylize": 4, "render": 8, "eval": 3, "invert": 4, "sweep": 3}
"""How many options of a command refuse some word at least."""
COMMANDS = list(commands(typer.main.get_command(app)))


def failure(command: Any, words: tuple[str, ...], *args: str) -> Any:
    """What a command says to its arguments; None where it takes them."""
    try:
        with command.make_context(f"stylehead {' '.join(words)}", list(args)):
            return None
    except Exception as error:
        if not hasattr(error, "format_message"):
            return None
        return usage_failure(error)


@pytest.mark.parametrize(("command", "words"), COMMANDS, ids=[" ".join(words) for _, words in COMMANDS])
def test_no_option_answers_in_a_librarys_words(command: Any, words: tuple[str, ...]) -> None:
    refused = 0
    for option in command.params:
        name = next((one for one in option.opts if one.startswith("--")), None)
        if name is None or getattr(option, "is_flag", False) or name == "--config":
            continue
        said = failure(command, words, name, *["nonsense"] * option.nargs)
        if said is not None and name in said.message:
            refused += 1
            assert said.message.startswith(f"`{name}` (=nonsense) must be ") or name == "--rank-weights", said
            assert not any(word in said.message for word in FOREIGN) or name == "--rank-weights", said
        alone = failure(command, words, name)
        count = "a value" if option.nargs == 1 else f"{option.nargs} values"
        assert alone.message == f"`{name}` needs {count}."
        assert alone.hint == f"stylehead {' '.join(words)} --help"
    assert refused >= LEAST.get(words[0], 0)


@pytest.mark.parametrize(
    ("words", "said", "hint"),
    [
        (("render", "--fps", "x"), "`--fps` (=x) must be a whole number.", "stylehead render --help"),
        (
            ("stylize", "--learning-rate", "fast"),
            "`--learning-rate` (=fast) must be a number.",
            "stylehead stylize --help",
        ),
        (("render", "--fps", "0"), "`--fps` (=0) must be at least 1.", "stylehead render --help"),
        (
            ("bank", "new", "--views", "99"),
            "`--views` (=99) must be at most 32.",
            "stylehead bank new --help",
        ),
        (
            ("render", "--preset", "Mini"),
            "`--preset` (=Mini) must be one of auto, mini, panohead.",
            "did you mean mini?",
        ),
        (("eval", "--psi", "much"), "`--psi` (=much) must be a number.", "stylehead eval --help"),
        (("render", "--style"), "`--style` needs a value.", "stylehead render --help"),
        (("info",), "`FILE` is missing.", "stylehead info --help"),
    ],
)
def test_what_is_said(run: Run, words: tuple[str, ...], said: str, hint: str) -> None:
    outcome = run(*words)
    assert (outcome.code, outcome.err) == (2, f"error: {said}\n hint: {hint}\n")


def test_files_of_options_say_the_same_with_their_line(run: Run) -> None:
    Path("mine.yaml").write_text("seed: 3\nfps: fast\n")
    assert (
        "error: mine.yaml, line 2: `fps` (=fast) must be a whole number."
        in run("render", "--config", "mine.yaml").err
    )
