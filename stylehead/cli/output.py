"""The one sink for what commands say.

Results go to stdout and nothing else does; notes, warnings, hints, progress and errors go to stderr. Three
modes: human (aligned lines, coloured on a terminal), json (exactly one document on stdout) and quiet (only
the primary paths, with only warnings and errors beside them).
"""

import os
import shlex
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import typer
from rich.console import Console
from rich.text import Text

from stylehead.cli.terminal import knows_unicode
from stylehead.errors import UsageError
from stylehead.files import check_current_folder, json_text
from stylehead.jobs.failures import Failure, explain
from stylehead.jobs.report import ProgressView, Result
from stylehead.jobs.signals import polite

Mode = Literal["human", "json", "quiet"]


class Output:
    """Prints results, notes and failures in one of three modes.

    Args:
        mode: See the module.
    """

    def __init__(self, mode: Mode = "human") -> None:
        self.mode = mode
        self._stdout = Console(file=sys.stdout, highlight=False, markup=False, emoji=False, soft_wrap=True)
        self.stderr = Console(file=sys.stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)

    def result(self, result: Result) -> None:
        """Print the result; called once, at the end."""
        if self.mode == "json":
            self._document(result.data)
        elif self.mode == "quiet":
            for value in result.primary:
                self._stdout.out(str(value), highlight=False)
        else:
            width = max((len(label) for label, _ in result.rows), default=0)
            for label, value in result.rows:
                self._stdout.print(Text(f"{label:<{width}}  ", "dim"), _linked(value), sep="")
        for command in result.next:
            self.next(command)

    def note(self, text: str) -> None:
        """Say what is going on."""
        if self.mode != "quiet":
            self.stderr.print(text, style="dim")

    def warn(self, text: str) -> None:
        """Say what may not be what the user expects."""
        self.stderr.print(Text("warning: ", "bold yellow"), Text(text), sep="")

    def progress(self, *, total: int, done: int = 0, label: str = "", unit: str = "step") -> ProgressView:
        """Follow `total` steps; see `Report`."""
        from stylehead.cli.progress import reporter

        return reporter(self, total=total, done=done, label=label, unit=unit)

    def next(self, command: str) -> None:
        """Say what to type next."""
        if self.mode == "human":
            self.stderr.print(Text("next: ", "bold green"), Text(command), sep="")

    def fail(self, failure: Failure) -> None:
        """Print a failure: one sentence and, when there is one, what to do next."""
        self.stderr.print(Text("error: ", "bold red"), Text(failure.message), sep="")
        if failure.hint:
            self.stderr.print(Text(" hint: ", "bold"), Text(failure.hint), sep="")
        if self.mode == "json":
            self._document({"error": failure._asdict()})

    def _document(self, data: Mapping[str, Any]) -> None:
        text = json_text(data, indent=2, default=_plain, only_ascii=not knows_unicode(sys.stdout))
        self._stdout.out(text, highlight=False)


def command_line() -> str:
    """Return the words that were typed, as a shell takes them."""
    return shlex.join(["stylehead", *sys.argv[1:]])


@contextmanager
def reporting(*, as_json: bool, quiet: bool) -> Iterator[Output]:
    """Give a command its output, and turn whatever it raises into a sentence and an exit code.

    Args:
        as_json: `--json` was given.
        quiet: `-q` was given.

    Raises:
        typer.Exit: The command failed; carries the exit code.
    """
    output = Output("json" if as_json else "quiet" if quiet else "human")
    try:
        if as_json and quiet:
            raise UsageError("`--json` and `--quiet` exclude each other.")
        check_current_folder()
        with polite():
            yield output
        sys.stdout.flush()
    except (typer.Exit, SystemExit):
        raise
    except BaseException as error:
        if os.environ.get("STYLEHEAD_DEBUG") == "1":
            traceback.print_exc()
        failure = explain(error)
        if isinstance(error, BrokenPipeError):  # whoever read our stdout has gone; say nothing more
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        else:
            output.fail(failure)
        raise typer.Exit(failure.exit_code) from None


def _linked(value: Path | str) -> Text:
    """Text of a value; existing paths can be clicked in terminals that know links."""
    if isinstance(value, Path) and os.path.exists(value):  # a name that is too long does not exist either
        return Text(str(value), style=f"link {value.resolve().as_uri()}")
    return Text(str(value))


def _plain(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
