"""Files that people write: JSON, TOML and YAML as plain values that know their lines."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from stylehead.errors import JobError, StyleheadError, UsageError

SUFFIXES = (".json", ".toml", ".yaml", ".yml")
Keys = tuple[str | int, ...]
"""The way to a value: names of objects and numbers in lists, from the outermost."""
_DEEPEST = 50


class ConfigFile(NamedTuple):
    """What a file holds, and where.

    Attributes:
        path: The file.
        values: Its object: texts, numbers, switches, lists and objects of those.
        lines: Lines of keys and values, the first line being 1; a key that is not known has none.
    """

    path: Path
    values: dict[str, Any]
    lines: Mapping[Keys, int]

    def place(self, *keys: str | int) -> str:
        """Say where a value stands, for a sentence: "mine.yaml, line 3"."""
        known = [self.lines[keys[:end]] for end in range(len(keys), 0, -1) if keys[:end] in self.lines]
        return f"{self.path}, line {known[0]}" if known else str(self.path)


def read_config_file(path: Path, *, option: str = "--config") -> ConfigFile:
    """Read a JSON, TOML or YAML file, as its name says; one of another name is read as JSON.

    Args:
        path: A file.
        option: What named it, for the sentence when it is not there.

    Raises:
        UsageError: There is no such file.
        JobError: It is not what its name says, or holds no object; the sentence names the line if it can.
    """
    if not path.is_file():
        raise UsageError(f"`{option}` (={path}) is not a file.")
    try:
        text = path.read_text(encoding="utf-8")
        read = {".toml": _read_toml, ".yaml": _read_yaml, ".yml": _read_yaml}.get(path.suffix, _read_json)
        values, lines = read(text)
    except StyleheadError:
        raise
    except (ValueError, RecursionError, OverflowError) as error:
        raise JobError(f"{path} cannot be read: {_sentence(error)}.") from error
    if not isinstance(values, dict):
        raise JobError(f"{path} holds no object of settings.")
    return ConfigFile(path, values, lines)


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")[:160] or "it is nested too deeply"


def _read_toml(text: str) -> tuple[Any, dict[Keys, int]]:
    return tomllib.loads(text), _toml_lines(text)


def _toml_lines(text: str) -> dict[Keys, int]:
    """Find the lines of tables and of keys; those of keys within inline tables are not looked for."""
    lines: dict[Keys, int] = {}
    table: Keys = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[([\w.\s\"'-]+)\]", line):
            table = tuple(part.strip(" \"'") for part in header[1].split("."))
            lines.setdefault(table, number)
        elif key := re.match(r"\s*[\"']?([\w-]+)[\"']?\s*=", line):
            lines.setdefault((*table, key[1]), number)
    return lines


def _read_json(text: str) -> tuple[Any, dict[Keys, int]]:
    try:
        _, lines = _read_yaml(text)  # nearly all JSON is YAML
    except ValueError:
        lines = {}
    return json.loads(text), lines


def _read_yaml(text: str) -> tuple[Any, dict[Keys, int]]:
    import yaml

    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f"line {mark.line + 1}: "
        raise ValueError(f"{where}{getattr(error, 'problem', None) or error}") from error
    return _plain(values), dict(_yaml_lines(tree, ())) if tree is not None else {}


def _plain(value: Any, depth: int = 0) -> Any:
    """Return values as JSON knows them; YAML knows dates and keys that are no texts as well."""
    if depth > _DEEPEST:
        raise ValueError("it is nested too deeply")
    if isinstance(value, dict):
        return {str(key): _plain(entry, depth + 1) for key, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry, depth + 1) for entry in value]
    return value if value is None or isinstance(value, str | int | float) else str(value)


def _yaml_lines(node: Any, way: Keys) -> Iterator[tuple[Keys, int]]:
    yield way, node.start_mark.line + 1
    if len(way) > _DEEPEST:
        return
    if node.id == "mapping":
        seen: set[str] = set()
        for key, value in node.value:
            if str(key.value) in seen:
                raise ValueError(f"line {key.start_mark.line + 1}: `{key.value}` stands there twice")
            seen.add(str(key.value))
            yield from _yaml_lines(value, (*way, str(key.value)))
            yield (*way, str(key.value)), key.start_mark.line + 1
    elif node.id == "sequence":
        for index, entry in enumerate(node.value):
            yield from _yaml_lines(entry, (*way, index))
