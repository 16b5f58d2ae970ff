"""The command line holds what a terminal needs, and no more; what the commands do is in jobs."""

import re
from pathlib import Path

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


def test_jobs_and_commands_have_no_class_of_one_name_with_another_meaning() -> None:
    homes: dict[str, list[str]] = {}
    for path in ROOT.rglob("*.py"):
        if "world" not in path.relative_to(ROOT).parts:
            for name in re.findall(r"^class ([A-Z]\w*)", path.read_text(), re.MULTILINE):
                homes.setdefault(name, []).append(path.relative_to(ROOT).as_posix())
    ours = ("jobs/", "cli/", "api.py")
    twice = {name: where for name, where in homes.items() if len(where) > 1}
    assert not {name: where for name, where in twice.items() if any(path.startswith(ours) for path in where)}
