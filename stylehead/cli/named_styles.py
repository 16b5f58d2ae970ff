"""`stylehead styles`: styles that have a name, in the package, added by the user, and of runs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from stylehead.cli.help import Command, Group
from stylehead.cli.options import JsonOption, QuietOption
from stylehead.cli.output import Output, reporting
from stylehead.files import check_parents, user_path
from stylehead.jobs.named_styles import (
    KnownStyle,
    StyleFacts,
    add_style,
    added_folder,
    known_styles,
    read_facts,
    remove_style,
)
from stylehead.jobs.report import Result
from stylehead.units import format_bytes
from stylehead.weights.presets import PresetName

EPILOG = """
[bold]Examples[/bold]

  [cyan]stylehead styles[/cyan]

  [cyan]stylehead styles --sheet styles.png[/cyan]

  [cyan]stylehead styles add runs/pixar-character-3f9c --name toon[/cyan]

  [cyan]stylehead render --seed 42 --style joker[/cyan]
"""
HEADER = ("NAME", "PROMPT, METHOD, PRESET, WHERE IT IS FROM, SIZE")
ADD_EPILOG = """
[bold]Examples[/bold]

  [cyan]stylehead styles add runs/pixar-character-3f9c --name toon[/cyan]

  [cyan]stylehead styles add joker.safetensors[/cyan]
"""
REMOVE_EPILOG = """
[bold]Examples[/bold]

  [cyan]stylehead styles remove toon[/cyan]
"""


def list_styles(
    context: typer.Context,
    *,
    sheet: Annotated[
        Path | None, typer.Option(help="Draw the same heads in every style into this PNG or JPEG.")
    ] = None,
    preset: Annotated[PresetName, typer.Option(help="Whose heads the sheet shows.")] = "auto",
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """List styles by name: for `render --style NAME`."""
    if context.invoked_subcommand is not None:
        return
    with reporting(as_json=as_json, quiet=quiet) as output:
        styles = known_styles()
        facts = [read_facts(style) for style in styles]
        picture = None if sheet is None else _draw(user_path(sheet), styles, preset, output)
        rows = [HEADER] if facts else []
        rows += [(fact.style.name, _line(fact)) for fact in facts]
        rows += [] if picture is None else [("sheet", str(picture))]
        data = {"folder": added_folder(), "styles": [_data(fact) for fact in facts], "sheet": picture}
        names = tuple(style.name for style in styles) if picture is None else (picture,)
        output.result(Result(primary=names, rows=tuple(rows), data=data, next=_hints(styles)))


def _draw(path: Path, styles: list[KnownStyle], preset: PresetName, output: Output) -> Path:
    check_parents(path)
    from stylehead.jobs.style_sheet import write_style_sheet
    from stylehead.weights.presets import resolve_preset

    weights, why = resolve_preset(preset)
    output.note(why)
    write_style_sheet(path, styles, weights, output)
    return path


def _hints(styles: list[KnownStyle]) -> tuple[str, ...]:
    if not styles:
        return ('stylehead stylize --prompt "the joker"',)
    return (f"stylehead render --seed 42 --style {styles[0].name}",)


def _line(fact: StyleFacts) -> str:
    about, style = fact.about, fact.style
    if fact.problem is not None:
        return f"{style.source}, {fact.problem}"
    made = [about[key] for key in ("method", "preset") if key in about]
    size = format_bytes(style.path.stat().st_size)
    return ", ".join([f'"{about.get("prompt", "?")}"', *made, style.source, size])


def _data(fact: StyleFacts) -> dict[str, Any]:
    named = {**fact.style._asdict(), "base": fact.base, "problem": fact.problem}
    return {
        **{key: fact.about.get(key) for key in ("prompt", "method", "seed", "preset", "licence")},
        **named,
    }


def add(
    path: Annotated[Path, typer.Argument(help="A style file, or a run.", metavar="FILE", show_default=False)],
    name: Annotated[
        str | None, typer.Option(help="What to call it; else after its file, or its prompt.")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Copy a style to where it has a name from every folder."""
    with reporting(as_json=as_json, quiet=quiet) as output:
        style = add_style(user_path(path), name)
        hint = f"stylehead render --seed 42 --style {style.name}"
        data = style._asdict()
        output.result(Result((style.path,), ((style.name, style.path),), data, (hint,)))


def remove(
    name: Annotated[str, typer.Argument(help="One that you added.", metavar="NAME", show_default=False)],
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Remove a style that was added; those of the package and of runs stay."""
    with reporting(as_json=as_json, quiet=quiet) as output:
        path = remove_style(name)
        output.result(Result((path,), (("removed", path),), {"name": name, "path": path}))


def style_commands(context: dict[str, Any]) -> typer.Typer:
    """Assemble the command and what is below it.

    Args:
        context: Context settings of all commands.
    """
    app = typer.Typer(
        cls=Group,
        help="Styles by name: list, add, remove.",
        epilog=EPILOG,
        invoke_without_command=True,
        callback=list_styles,
        context_settings=context,
        rich_markup_mode=None,
    )
    for name, command, epilog in (("add", add, ADD_EPILOG), ("remove", remove, REMOVE_EPILOG)):
        app.command(name, cls=Command, epilog=epilog, context_settings=context)(command)
    return app
