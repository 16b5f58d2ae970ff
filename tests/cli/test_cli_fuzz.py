"""Lists of options that nobody would type: each ends with a result or with one sentence, never otherwise."""

import os
import random
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import typer
from cli_helpers import Run

from stylehead.cli.app import app
from stylehead.export import showcase

LISTS = int(os.environ.get("STYLEHEAD_FUZZED_LISTS", "100"))
SECONDS = 1200
NUMBERS = [
    "0",
    "-1",
    "1",
    "2",
    "nan",
    "inf",
    "-inf",
    "1e308",
    "-1e308",
    "1e-300",
    str(10**30),
    "0x10",
    "1_0",
    "٣",
]
TEXTS = [
    "", " ", "x", "~", ".", "..", "/", "/dev/null", "/proc/self/mem", "nothing", "a\nb", "-", "--", "'\"",
    "狼人", "🙂", "[bold]x[/bold]", "%s", "{}", "\\", "a" * 5000, "photo.jpg", "notes.txt", "folder",
    "1,2", "1-5", "0-999", "5-1", "joker", "not a zombie", "red", "#12", "#gggggg", "a=b", "id=nan",
    "id=0.5", "mp4", "png,,", "x.glb", "x.csv",
]  # fmt: skip
NEVER = {"host", "address", "endpoint"}
"""Options that would have a process listen or connect."""


def commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with its way."""

    def walk(way: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
        if hasattr(command, "commands"):
            for name, inside in command.commands.items():
                yield from walk((*way, name), inside)
        else:
            yield way, command

    yield from walk((), typer.main.get_command(app))


SERVERS = {("view",)}
"""Commands that go on until they are stopped."""
EVERY = [item for item in commands() if item[0] not in SERVERS]


def options(way: tuple[str, ...], command: Any) -> list[Any]:
    """The options of a command; those of stylize are put together when its words are read."""
    parameters = command.params
    if way == ("stylize",):
        from stylehead.cli.options import build_command, choose_settings

        parameters = build_command(type(command).function, choose_settings([])).params
    return [item for item in parameters if item.name not in NEVER]


def listed(rng: random.Random) -> list[str]:
    """Make up a list of words: a command, some of its options, values that fit or do not."""
    way, command = rng.choice(EVERY)
    words = list(way)
    known = options(way, command)
    if rng.random() < 0.5 and any("--dry-run" in item.opts for item in known):
        words.append("--dry-run")
    for item in rng.choices(known, k=rng.randint(0, 5)):
        name = rng.choice(item.opts + item.secondary_opts)
        if item.param_type_name == "argument":
            words.append(rng.choice(TEXTS))
        elif getattr(item, "is_flag", False):
            words.append(name)
        else:
            pool = values(item) if rng.random() < 0.8 else TEXTS
            words += [name, *(rng.choice(pool) for _ in range(max(item.nargs, 1)))]
    return words


def values(option: Any) -> Sequence[str]:
    """Values that an option might be meant to have."""
    annotation = option.type_descriptor.annotation
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    kinds = str(annotation)
    return NUMBERS if "int" in kinds or "float" in kinds else TEXTS


def outcome(words: list[str], run: Run) -> str:
    """Run a command in a process of its own; says what is wrong, or nothing."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        signal.alarm(SECONDS)
        try:
            said = run(*words)
            wrong = [word for word in ("Unexpected", "Traceback") if word in said.err + said.out]
            silent = said.code and words[0] != "doctor" and "error" not in said.err + said.out
            if said.code not in range(6) or wrong or silent:  # a report of doctor is its result
                os.write(write, f"{said.code} {said.out[-300:]} {said.err[-600:]}".encode())
        except BaseException:
            os.write(write, traceback.format_exc()[-1500:].encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        found = pipe.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    return found if os.WIFEXITED(status) else f"signal {os.WTERMSIG(status)} (14: no end after {SECONDS} s)"


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_any_list_of_options_ends_with_a_result_or_one_sentence(
    measure: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(showcase, "TURNTABLE_STEPS", 2)
    rng = random.Random(LISTS)
    measure("render", "--yaw-steps", "1", "--format", "frames", "--out", "photo")
    wrong = {}
    for number in range(LISTS):
        folder = tmp_path / f"list{number}"
        (folder / "folder").mkdir(parents=True)
        (folder / "notes.txt").write_text("mine")
        (folder / "photo.jpg").write_bytes((tmp_path / "photo" / "frames" / "frame_000.png").read_bytes())
        monkeypatch.chdir(folder)
        words = listed(rng)
        if found := outcome(words, measure):
            wrong[" ".join(words)[:200]] = found
        assert (folder / "notes.txt").read_text() == "mine", words
    assert wrong == {}
