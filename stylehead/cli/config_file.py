"""`--config FILE` of every command: its options from a file, in place of their defaults."""

import difflib
import functools
from pathlib import Path
from typing import Annotated, Any

import typer

from stylehead.cli.usage import refusal
from stylehead.config_files import ConfigFile, read_config_file
from stylehead.errors import JobError, UsageError
from stylehead.files import user_path

_NOT_FROM_FILES = ("config", "help")


def add_config_option(parameters: list[Any]) -> None:
    """Add `--config` to the parameters of a command that has none of its own."""
    if all(item.name != "config" for item in parameters):
        parameters.append(_option())


@functools.cache
def _option() -> Any:
    """The option, as typer builds it: read before all others, and not handed to the command."""

    def holder(
        config: Annotated[
            Path | None,
            typer.Option(
                help="Options of this command from a file (JSON, TOML, YAML); those that are typed win.",
                metavar="FILE",
                is_eager=True,
                expose_value=False,
                callback=_use,
            ),
        ] = None,
    ) -> None: ...

    toy = typer.Typer(rich_markup_mode=None, add_completion=False)
    toy.command()(holder)
    return typer.main.get_command(toy).params[0]


def _use(context: typer.Context, config: Path | None) -> None:
    """Make what a file holds the defaults of the command."""
    if config is None or context.resilient_parsing:
        return
    file = section(read_config_file(user_path(config)), context.command_path.split()[1:])
    by_name = _by_name(context.command.params)
    context.default_map = {
        by_name[key].name: value
        for key, given in file.values.items()
        if (value := _value(file, key, given, by_name, context)) is not None
    }


def section(file: ConfigFile, command: list[str]) -> ConfigFile:
    """Return the part of a file that is for a command: the object of its name, else the whole file.

    Args:
        file: As the `config.json` of a run, it may hold objects for several commands.
        command: Words of the command, such as `bank`, `new`.
    """
    values, way = file.values, list[str]()
    for word in command:
        if isinstance(values.get(word), dict):
            values, way = values[word], [*way, word]
    lines = {keys[len(way) :]: line for keys, line in file.lines.items() if list(keys[: len(way)]) == way}
    return ConfigFile(file.path, values, lines) if way else file


def unknown_key(file: ConfigFile, key: str, known: list[str]) -> UsageError:
    """Return the error of a key that nothing is called, with the nearest one that there is."""
    near = difflib.get_close_matches(key.replace("-", "_"), known, n=1)
    return UsageError(
        f"{file.place(key)}: there is no setting `{key}`.",
        f"did you mean `{near[0]}`?" if near else f"it may hold {', '.join(known)}",
    )


def _by_name(parameters: list[Any]) -> dict[str, Any]:
    """Parameters by the names that files give them: that of their option, with `_` for `-`."""
    named = {}
    for item in parameters:
        if item.name not in _NOT_FROM_FILES:
            long = next((name for name in item.opts if name.startswith("--")), item.name)
            named[long.removeprefix("--").replace("-", "_")] = item
    return named


def _value(file: ConfigFile, key: str, given: Any, by_name: dict[str, Any], context: Any) -> Any:
    """Return the value of a key, checked as the command line checks it."""
    name = key.replace("-", "_")
    if name not in by_name:
        raise unknown_key(file, key, list(by_name))
    if key != name:
        by_name[key] = by_name[name]
    if given is None:
        return None
    parameter = by_name[name]
    value = _as_option(parameter, given)
    try:
        if isinstance(value, dict):
            raise JobError(f"{file.place(key)}: `{key}` is an object, not a value.")
        parameter.process_value(context, value)
    except typer.BadParameter as error:
        raise UsageError(f"{file.place(key)}: {refusal(error, f'`{key}`')}") from error
    except (TypeError, ValueError) as error:
        raise UsageError(f"{file.place(key)}: `{key}` cannot be {given!r}.") from error
    return value


def _as_option(parameter: Any, given: Any) -> Any:
    """Write lists of one-word options with commas, and one value of a repeatable option as a list."""
    several = getattr(parameter, "multiple", False) or parameter.nargs != 1
    if isinstance(given, list) and not several:
        return ",".join(map(str, given))
    if getattr(parameter, "multiple", False) and not isinstance(given, list):
        return [given]
    return given
