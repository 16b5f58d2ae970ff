"""The command line holds what a terminal needs, and no more; what the commands do is in jobs."""

import re
from pathlib import Path

import pytest

import stylehead
from stylehead.cli.app import app

ROOT = Path(stylehead.__file__).parent
LINES, LINES_OF_A_COMMAND = 3000, 150
FIRST_COMMANDS = {"stylize", "render", "eval", "invert", "info", "doctor", "weights"}


def test_the_command_line_stays_small() -> None:
    commands = {info.name or info.callback.__name__ for info in app.registered_commands if info.callback}
    groups = {info.name for info in app.registered_groups}
    later = (commands | groups) - FIRST_COMMANDS
    lines = sum(len(path.read_text().splitlines()) for path in (ROOT / "cli").glob("*.py"))
    assert lines <= LINES + LINES_OF_A_COMMAND * len(later)


def test_no_class_has_the_name_of_another() -> None:
    homes: dict[str, list[str]] = {}
    for path in ROOT.rglob("*.py"):
        for name in re.findall(r"^class (\w+)", path.read_text(), re.MULTILINE):
            homes.setdefault(name, []).append(path.relative_to(ROOT).as_posix())
    assert not {name: where for name, where in homes.items() if len(where) > 1 and name[0] != "_"}


def test_no_function_has_the_name_of_another_but_a_command_and_what_it_does() -> None:
    doors = ("cli/", "api.py")  # commands, and Python's way to them
    homes: dict[str, list[str]] = {}
    for path in ROOT.rglob("*.py"):
        home = path.relative_to(ROOT).as_posix()
        for name in re.findall(r"^def ([a-z]\w*)", path.read_text(), re.MULTILINE):
            homes.setdefault(name, []).append(next(filter(home.startswith, doors), home))
    del homes["main"]  # of every program
    assert not {name: where for name, where in homes.items() if len(where) > len({*where})}
    assert not {name: where for name, where in homes.items() if len({*where} - {*doors}) > 1}


def test_no_module_has_the_name_of_another_but_a_command_and_its_job() -> None:
    homes: dict[str, set[str]] = {}
    for path in ROOT.rglob("*.py"):
        home = path.parent.relative_to(ROOT)
        if path.name == "__init__.py":  # a package, and a module in it that is called like it, are one
            homes.setdefault(home.name, set()).add(home.as_posix())
        elif path.name != "__main__.py":
            homes.setdefault(path.stem, set()).add(home.as_posix())
    doors = {"cli", "jobs"}
    assert not {name: where for name, where in homes.items() if len(where) > 1 and where - doors - {name}}


@pytest.mark.parametrize(
    "other",
    [r"(?<!`)``(?!`)", r":(class|meth|func|mod|attr):`", r"\[[A-Z0-9]\w*,[\w.]+[\],]"],
    ids=["double backticks", "roles", "shapes without spaces"],
)
def test_documentation_is_written_one_way(other: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in ROOT.rglob("*.py")
        for line in path.read_text().splitlines()
        if re.search(other, line)
    ]
    assert not found


def test_no_file_is_longer_than_four_hundred_lines() -> None:
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines()) for path in ROOT.rglob("*.py")
    }
    assert not {name: lines for name, lines in lengths.items() if lines > 400}
