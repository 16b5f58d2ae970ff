"""Help that is read: plain lines in any width, the everyday options first, nothing ever cut off.

`--help` shows the options that people use, `--help-all` every one. Options are lines "--name VALUE   what it
does"; where there is no room for two columns, or a name is long, the description goes below its name.
"""

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from stylehead.cli.config_file import add_config_option
from stylehead.cli.output import Output
from stylehead.cli.terminal import knows_unicode, to_ascii
from stylehead.cli.usage import usage_failure
from stylehead.errors import StyleheadError
from stylehead.jobs.failures import explain

WIDEST = 100
NAMES = 27
"""Columns of names, where descriptions stand beside them."""
NARROW = 60
"""Below this width descriptions stand below the names."""
ALL = "--help-all"
_MARKUP = re.compile(r"\[(/?)(bold|cyan)\]")


class Command(TyperCommand):
    """A command with this module's help."""

    show_all = False

    def __init__(self, *args: Any, **extra: Any) -> None:
        super().__init__(*args, **extra)
        add_config_option(self.params)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words after the command; `--help-all` is `--help` with everything in it."""
        self.show_all, args = _asked_for_all(args)
        try:
            return super().parse_args(ctx, spread(args, self.params))
        except Exception as error:
            if getattr(error, "ctx", ctx) is None:  # not every usage error says of which command
                error.ctx = ctx  # type: ignore[attr-defined]
            raise

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        formatter.write(_shown(help_text(self, ctx, width=_width(), show_all=self.show_all)))


class Group(TyperGroup):
    """The command of all commands, or of some: this module's help, and errors like those of jobs."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words; before a command `--help-all` is `--help`."""
        words = ["--help" if word == ALL and args.index(ALL) == 0 else word for word in args]
        return super().parse_args(ctx, words)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        formatter.write(_shown(help_text(self, ctx, width=_width(), show_all=False)))

    def main(self, args: Sequence[str] | None = None, *more: Any, **extra: Any) -> Any:
        """Run; a wrong usage becomes one sentence, a hint and exit code 2."""
        if not extra.pop("standalone_mode", True):
            return super().main(args, *more, **{**extra, "standalone_mode": False})
        try:
            code = super().main(args, *more, **{**extra, "standalone_mode": False})
        except typer.Abort:
            sys.exit(130)
        except Exception as error:
            ours = isinstance(error, StyleheadError | OSError)
            if not ours and not hasattr(error, "format_message"):  # usage errors have no public base class
                raise
            words = sys.argv[1:] if args is None else args
            failure = explain(error) if ours else usage_failure(error)
            Output("json" if "--json" in words else "human").fail(failure)
            sys.exit(failure.exit_code if ours else getattr(error, "exit_code", 2))
        sys.exit(code if isinstance(code, int) else 0)


_NUMBER = re.compile(r"-?\d+(\.\d+)?(-\d+)?,?")


def spread(args: Sequence[str], parameters: Sequence[Any]) -> list[str]:
    """Let lists of numbers be written with commas or with spaces, whichever the option itself wants.

    Args:
        args: Words after a command.
        parameters: Its options: one of two values takes them as two words, one whose metavar is "A,B..." as
            one word with commas.
    """
    options = {name: item for item in parameters for name in getattr(item, "opts", ())}
    words = [part for word in args for part in _parted(word, options)]
    done: list[str] = []
    while words:
        done.append(words.pop(0))
        option = options.get(done[-1])
        if option is None or not words:
            continue
        if option.nargs == 2 and "," in words[0]:
            words[:1] = [part for part in words[0].split(",") if part]
        elif (option.metavar or "").startswith("A,B"):
            count = next((i for i, w in enumerate(words) if not _NUMBER.fullmatch(w)), len(words))
            words[:count] = (
                [",".join(word.strip(",") for word in words[:count])] if count > 1 else words[:count]
            )
    return done


def _parted(word: str, options: Mapping[str, Any]) -> list[str]:
    """`--option=value` as two words, where the option is one of lists."""
    name, equals, value = word.partition("=")
    option = options.get(name) if equals else None
    lists = option is not None and (option.nargs == 2 or (option.metavar or "").startswith("A,B"))
    return [name, value] if lists else [word]


def _asked_for_all(args: list[str]) -> tuple[bool, list[str]]:
    asked = ALL in args
    return asked, ["--help" if word == ALL else word for word in args]


def _shown(text: str) -> str:
    """What stdout can show of a text; typer writes around the stream that was prepared for that."""
    return text if knows_unicode(sys.stdout) else to_ascii(text)


def _width() -> int:
    return min(WIDEST, shutil.get_terminal_size((80, 24)).columns)


# -------------------------------------------------------------------------------------------------- layout


def help_text(command: Any, ctx: Any, *, width: int, show_all: bool) -> str:
    """Lay the help of a command out.

    Args:
        command: The command or group.
        ctx: Its context.
        width: Columns of the terminal.
        show_all: Show the options that are rarely used, too.
    """
    usage = f"Usage: {ctx.command_path} {' '.join(command.collect_usage_pieces(ctx))}"
    lines = [*textwrap.wrap(usage, width, subsequent_indent=" " * 7, break_long_words=False), ""]
    lines += [*textwrap.wrap(command.help or "", width, break_long_words=False), ""]
    panels = _panels(command, ctx, show_all=show_all)
    longest = max((len(name) for entries in panels.values() for name, _ in entries), default=0)
    column = min(NAMES, longest + 4)
    for title, entries in panels.items():
        lines += [_style(title, bold=True), *_entries(entries, column, width), ""]
    lines += _epilog(command.epilog or "", width)
    return "\n".join(lines).rstrip() + "\n"


def _panels(command: Any, ctx: Any, *, show_all: bool) -> dict[str, list[tuple[str, str]]]:
    """Names and descriptions by panel, in the order in which panels are met."""
    panels: dict[str, list[tuple[str, str]]] = {}
    hidden = False
    for parameter in command.get_params(ctx):
        rare = getattr(parameter, "hidden", False)
        hidden = hidden or rare
        if rare and not show_all:
            continue
        record = _record(parameter, ctx)
        if record is not None:
            title = getattr(parameter, "rich_help_panel", None) or "Options"
            panels.setdefault(title, []).append(record)
    commands = getattr(command, "commands", {})
    if commands:
        panels["Commands"] = [(name, one.get_short_help_str(200)) for name, one in commands.items()]
    options = panels.pop("Options", [])
    if hidden:
        options.append((ALL, "Show every option."))
    return {**panels, "Options": options} if options else panels


def _record(parameter: Any, ctx: Any) -> tuple[str, str] | None:
    """Name and description of a parameter, whether it is rarely used or not."""
    rare = getattr(parameter, "hidden", False)
    parameter.hidden = False
    try:
        record = parameter.get_help_record(ctx)
    finally:
        parameter.hidden = rare
    if record is None:
        return None
    name, text = record
    for pattern, shown in _SHORTER:
        name = re.sub(pattern, shown, name)
    text = re.sub(r"\[default: \((.*?)\)(;[^\]]*)?\]", r"[default: \1\2]", text)
    return " ".join(name.split()), " ".join(text.split())


_SHORTER = (
    (r"<str>( \.\.\.)?", "TEXT"),
    (r"<int( range)?>", "N"),
    (r"<float( range)?>", "X"),
    (r"<path>|<list\[Path\]>", "PATH"),
    (r" <list\[str\]>", " ..."),
    (r"<N?int,int>\.\.\.|<int int>\.\.\.", "N N"),
    (r"<([\w|]+)>", r"\1"),
    (r"\[(x[<>=\d]+|[\d.<>=x]+)\]", ""),
)
"""What stands for a value, in fewer letters than click's."""


def _entries(entries: Sequence[tuple[str, str]], column: int, width: int) -> Iterator[str]:
    for name, text in entries:
        below = width < NARROW or len(name) + 4 > column
        indent = 6 if width < NARROW else column
        described = textwrap.wrap(text, max(20, width - indent), break_long_words=False)
        first = "" if below or not described else described.pop(0)
        yield f"  {_style(name, fg='cyan')}{' ' * (column - 2 - len(name)) if first else ''}{first}"
        yield from (" " * indent + line for line in described)


def _epilog(text: str, width: int) -> Iterator[str]:
    """The paragraphs below the options: prose is wrapped, lines that are indented stand as they are."""
    before = ""
    for paragraph in re.split(r"\n\s*\n", text.strip("\n")):
        indented = paragraph.startswith("  ")
        if before and not (indented and (before.startswith("  ") or before.startswith("[bold]"))):
            yield ""
        if indented:
            yield from _example(paragraph, width)
        else:
            yield from map(_marked, textwrap.wrap(paragraph, width, break_long_words=False))
        before = paragraph


def _example(line: str, width: int) -> Iterator[str]:
    """A command and what it is for, which goes below it where both are too long."""
    command, _, purpose = line.strip().partition("   ")
    if not purpose or len(_MARKUP.sub("", line)) <= width:
        yield _marked(line)
        return
    yield _marked(f"  {command}")
    yield from textwrap.wrap(purpose.strip(), width, initial_indent=" " * 6, subsequent_indent=" " * 6)


def _marked(line: str) -> str:
    """Resolve `[bold]` and `[cyan]`."""
    codes = {"bold": "\033[1m", "cyan": "\033[36m"} if _colours() else {}
    return _MARKUP.sub(lambda tag: ("\033[0m" if tag[1] else codes[tag[2]]) if codes else "", line)


def _style(text: str, **how: Any) -> str:
    return typer.style(text, **how) if _colours() else text


def _colours() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
