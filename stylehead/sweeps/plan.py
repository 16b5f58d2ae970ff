"""What a sweep runs: a base of settings, and what varies."""

import hashlib
import itertools
import json
import re
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from stylehead.config_files import ConfigFile
from stylehead.errors import StyleheadError, UsageError
from stylehead.methods.config import StylizeConfig
from stylehead.methods.registry import choose_method, settings_class
from stylehead.runs import slugify
from stylehead.settings import allowed_values, flag

MOST_RUNS = 100_000
_FIRST = ("prompt", "method")
"""Axes in whose order runs are listed, before all others; the seed comes last."""


@dataclass(frozen=True)
class Planned:
    """A run of a sweep.

    Attributes:
        name: Of its folder: always the same for the same settings.
        config: Its settings.
        varied: What of them varies within the sweep.
    """

    name: str
    config: StylizeConfig
    varied: Mapping[str, Any]

    def label(self) -> str:
        """Return what tells it from the others: "Joker, edit, seed 1"."""
        return ", ".join(part for part in (self.config.prompt, self.column()) if part)

    def column(self) -> str:
        """Return what varies beside the prompt, for a heading: "edit, seed 1, learning rate 0.001"."""
        parts = [
            str(value) if name == "method" else f"{name.replace('_', ' ')} {_shown(value)}"
            for name, value in self.varied.items()
            if name != "prompt"
        ]
        return ", ".join(parts)


class Axis(NamedTuple):
    """A setting and the values that it takes.

    Attributes:
        name: Of the setting.
        values: As they were written: texts, or what a file holds.
        places: Where each value was written, for sentences about it.
    """

    name: str
    values: tuple[Any, ...]
    places: tuple[str, ...]


def make_plan(
    axes: Sequence[Axis], settle: Callable[[dict[str, Any]], StylizeConfig], *, full_scale: bool = False
) -> list[Planned]:
    """List the runs of a sweep: every value of each axis with every value of the others.

    Args:
        axes: What varies.
        settle: Makes settings of what varies and the base.
        full_scale: Whether runs are over models of the published size.

    Raises:
        UsageError: A value is no value of its setting, or there are too many runs; says where it was written.
    """
    ordered = sorted(axes, key=lambda axis: _rank(axis.name))
    number = 1
    for axis in ordered:
        number *= len(axis.values)
    if number > MOST_RUNS:
        raise UsageError(f"A sweep of {number} runs is too long: at most {MOST_RUNS} are planned at once.")
    choices = [
        [(axis.name, *item) for item in zip(axis.values, axis.places, strict=True)] for axis in ordered
    ]
    planned = [
        _planned(combination, settle, ordered, full_scale=full_scale)
        for combination in itertools.product(*choices)
    ]
    return list({run.name: run for run in planned}.values())


def _rank(name: str) -> int:
    return _FIRST.index(name) if name in _FIRST else len(_FIRST) + (name == "seed")


def _planned(
    combination: Sequence[tuple[str, Any, str]],
    settle: Callable[[dict[str, Any]], StylizeConfig],
    axes: Sequence[Axis],
    *,
    full_scale: bool,
) -> Planned:
    written = {name: value for name, value, _ in combination}
    try:
        kind = settings_class(choose_method(written, full_scale=full_scale).method)
        given = {name: typed(kind, name, value, place) for name, value, place in combination}
        config = settle(given)
    except StyleheadError as error:
        raise type(error)(_placed(error.message, combination), error.hint) from error
    several = {axis.name for axis in axes if len(axis.values) > 1}
    varied = {name: value for name, value in given.items() if name in several}
    return Planned(run_name(config), config, varied)


def _placed(message: str, combination: Sequence[tuple[str, Any, str]]) -> str:
    """Put the place of the value that a message is about in front of it, where it has none yet.

    There a setting goes by its own name: in a file, or after `--set`, nobody wrote it as an option.
    """
    if any(place and message.startswith(f"{place}: ") for _, _, place in combination):
        return message
    for name, value, place in combination:
        said = message.replace(f"`{flag(name)}`", f"`{name}`")
        about = f"`{name}`" in said or (name == "prompt" and str(value) in message)
        if place and about:
            return f"{place}: {said[0].lower()}{said[1:]}"
    return message


def run_name(config: StylizeConfig) -> str:
    """Return the name of a folder, which goes by settings alone: a sweep that grows keeps its runs."""
    content = json.dumps(config.to_dict(), sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()[:8]
    return f"{slugify(config.prompt, limit=32)}-{config.method}-{digest}"


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


# ---------------------------------------------------------------------------------------------------- values


def typed(kind: type[StylizeConfig], name: str, written: Any, place: str) -> Any:
    """Read a value as its setting wants it: numbers may be texts, as YAML takes 1e-3 for one.

    Raises:
        UsageError: It is no such value, or there is no such setting.
    """
    if name == "method":
        return written
    if name not in kind.names():
        return written  # what a method does not know is said by its settings
    hint = get_type_hints(kind)[name]
    try:
        return _read(hint, written)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{_named(name, place)} (={written}) must be {allowed_values(hint)}.") from error


def _named(name: str, place: str) -> str:
    """Name a setting as it was written: at a place by its name, else as an option of its own."""
    return f"{place}: `{name}`" if place else f"`{flag(name)}`"


def _read(hint: Any, written: Any) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if isinstance(written, list):
        written = tuple(written)
    if origin in (Union, types.UnionType):
        if written is None or written == "none":
            return None
        return _read(next(part for part in args if part is not type(None)), written)
    if origin is tuple:
        parts = written if isinstance(written, tuple) else re.split(r"[\s:]+|(?<=\d)-(?=\d)", str(written))
        return tuple(_read(args[0], part) for part in parts)
    if isinstance(written, tuple | dict):
        raise TypeError
    if origin is Literal or hint is str:
        return str(written)
    if hint is bool:
        return written if isinstance(written, bool) else _SWITCHES[str(written).lower()]
    if hint in (int, float) and not isinstance(written, bool):
        return hint(written) if isinstance(written, str) else written
    raise TypeError


class _Switches(dict[str, bool]):
    def __missing__(self, key: str) -> bool:
        raise ValueError(key)


_SWITCHES = _Switches({"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False})


def values_of(name: str, text: str, place: str = "") -> list[str]:
    """Read "1e-3,4e-3", or "0-2" of a setting that counts.

    Args:
        name: Of the setting.
        text: Its values.
        place: Where they were written, if not as an option of that name.

    Raises:
        UsageError: A range is the wrong way round.
    """
    found: list[str] = []
    for part in (part.strip() for part in text.split(",")):
        match = re.fullmatch(r"(\d+)-(\d+)", part) if _counts(name) else None
        if match is None:
            found.append(part)
            continue
        first, last = int(match[1]), int(match[2])
        if not 0 <= last - first < MOST_RUNS:
            rule = "values joined by commas, or a range like 0-2"
            raise UsageError(f"{_named(name, place)} (={text}) must be {rule}.")
        found += map(str, range(first, last + 1))
    return [part for part in found if part]


def _counts(name: str) -> bool:
    from stylehead.methods.registry import BUILT_IN

    for method in BUILT_IN:
        kind = settings_class(method)
        if name in kind.names():
            return bool(get_type_hints(kind)[name] is int)
    return False


# ----------------------------------------------------------------------------------------------------- files


def axes_of_file(file: ConfigFile, folder: Path) -> list[Axis]:
    """Read what varies from the object `vary` of a sweep file.

    Args:
        file: The file.
        folder: Against which the file of `prompts` is named.

    Raises:
        UsageError: It holds no such object, or a value that is none.
    """
    held = file.values.get("vary", {})
    if not isinstance(held, dict):
        raise UsageError(f"{file.place('vary')}: `vary` is no object of settings and their values.")
    return [_axis(file, key, given, folder) for key, given in held.items()]


def _axis(file: ConfigFile, key: str, given: Any, folder: Path) -> Axis:
    name = key.replace("-", "_")
    if name == "prompts" and isinstance(given, str):
        return prompts_axis(folder / given, place=file.place("vary", key))
    if name == "prompts":
        name = "prompt"
    many = list(_entries(file, key, name, given))
    if not many:
        raise UsageError(f"{file.place('vary', key)}: `{key}` has no values.")
    return Axis(name, tuple(value for value, _ in many), tuple(place for _, place in many))


def _entries(file: ConfigFile, key: str, name: str, given: Any) -> Iterator[tuple[Any, str]]:
    if isinstance(given, str) and name != "prompt":
        place = file.place("vary", key)
        yield from ((value, place) for value in values_of(name, given, place))
    else:
        entries = given if isinstance(given, list) else [given]
        yield from ((value, file.place("vary", key, index)) for index, value in enumerate(entries))


def prompts_axis(path: Path, *, place: str = "") -> Axis:
    """Read prompts from a text file, one a line; empty lines and those that begin with # are left out.

    Raises:
        UsageError: There is no such file, or no prompt in it.
    """
    start = f"{place}: " if place else ""
    if not path.is_file():
        raise UsageError(f"{_named('prompts', place)} (={path}) is not a file.")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except ValueError as error:
        raise UsageError(f"{start}{path} is not a text file in UTF-8.") from error
    found = [(line.strip(), f"{path}, line {number}") for number, line in enumerate(lines, start=1)]
    kept = [(text, where) for text, where in found if text and not text.startswith("#")]
    if not kept:
        raise UsageError(f"{start}{path} holds no prompt.")
    return Axis("prompt", tuple(text for text, _ in kept), tuple(where for _, where in kept))
