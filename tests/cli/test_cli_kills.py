"""Whatever fails in a whole command, and whenever: one sentence, no litter; the command again ends well."""

import dataclasses
import hashlib
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cli_helpers import Outcome, Run
from test_cli_weights import SNAPSHOT

from stylehead.bank import gate
from stylehead.inversion import inverter as invert_module
from stylehead.inversion.search import GridConfig
from stylehead.jobs import render as render_module
from stylehead.jobs.arguments import RenderArguments
from stylehead.runs import MANIFEST

sys.path.append(str(Path(__file__).parents[1]))
import file_events

MESH = ("--mesh-level", "-1", "--mesh-resolution", "32")
FEW_FILES = ("--yaw-steps", "1", "--format", "frames", "--out", "r")
VIEWS = ("--yaw-steps", "2", "--format", "gif,frames,sheet", "--out", "r", "--mesh", "m.obj", *MESH)
TRAIN = (
    "stylize",
    "--iterations",
    "2",
    "--checkpoint-every",
    "1",
    "--preview-every",
    "1",
    "--no-grid",
    "--no-canny",
)
STEPS = (
    "--learning-rate-end",
    "1",
    "--step-window",
    "0",
    "--prompt",
    "Pixar character",
    "--out",
    "runs/pixar",
)
FIND = ("invert", "photo.png", "--aligned", "--steps", "2", "--starts", "1", "--out", "runs/me")
FEW = ("--identities", "2", "--yaws", "0,30")


class Command(NamedTuple):
    """A command that writes."""

    before: tuple[tuple[str, ...], ...]
    """Commands that have been run before."""
    words: tuple[str, ...]
    again: Callable[[], tuple[str, ...]]
    """What is typed after it failed."""
    equal: tuple[str, ...] = ()
    """Suffixes of files that hold the same bytes afterwards as without a failure."""


def over(*words: str) -> Callable[[], tuple[str, ...]]:
    return lambda: (*words, "--overwrite")


def goes_on(folder: str, *words: str) -> Callable[[], tuple[str, ...]]:
    """Go on where there is a run; begin anew where there is none."""

    def again() -> tuple[str, ...]:
        return (words[0], "--resume", folder) if (Path(folder) / MANIFEST).exists() else words

    return again


PICTURES = (".gif", ".png", ".jpg", ".obj", ".mtl", ".json")
FAST = {
    "render": Command(
        (("render", "--seed", "1", *FEW_FILES),),
        ("render", "--seed", "2", *FEW_FILES, "--overwrite"),
        over("render", "--seed", "2", *FEW_FILES),
        PICTURES,
    ),
    "import": Command(
        (("weights", "import", "other.safetensors"),),
        ("weights", "import", str(SNAPSHOT), "--overwrite"),
        over("weights", "import", str(SNAPSHOT)),
        (".safetensors",),
    ),
}
SLOW = {
    "render of many files": Command(
        (("render", "--seed", "1", *VIEWS),),
        ("render", "--seed", "2", *VIEWS, "--overwrite"),
        over("render", "--seed", "2", *VIEWS),
        PICTURES,
    ),
    "render, nothing before": Command(
        (), ("render", "--seed", "2", *VIEWS), over("render", "--seed", "2", *VIEWS), PICTURES
    ),
    "import to a file": Command(
        (),
        ("weights", "import", str(SNAPSHOT), "--out", "a.safetensors"),
        over("weights", "import", str(SNAPSHOT), "--out", "a.safetensors"),
        (".safetensors",),
    ),
    "table": Command(
        (("eval", *FEW, "--csv", "t.csv", "--report", "t.html"),),
        ("eval", *FEW, "--csv", "t.csv", "--report", "t.html", "--psi", "1"),
        lambda: ("eval", *FEW, "--csv", "t.csv", "--report", "t.html", "--psi", "1"),
        (".csv",),
    ),
    "stylize": Command((), (*TRAIN, *STEPS), goes_on("runs/pixar", *TRAIN, *STEPS), (".jpg", ".safetensors")),
    "invert": Command((), FIND, goes_on("runs/me", *FIND), (".npz", ".png")),
    "bank": Command(
        (),
        ("bank", "new", "--people", "2", "--views", "2", "--out", "b"),
        lambda: ("bank", "new", "--people", "2", "--views", "2", "--out", "b"),
        (".png", ".npz"),
    ),
}
KINDS = ("full disk", "interrupt", "kill")
EVERY = [*FAST, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]


@pytest.fixture(autouse=True)
def _as_short_as_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        invert_module, "GridConfig", lambda: GridConfig(heads=2, resolution=6, yaw_step_deg=60)
    )
    monkeypatch.setattr(gate, "LEAST_IOU", -1.0)
    monkeypatch.setattr(file_events, "_fsync", lambda descriptor: None)


@pytest.fixture
def drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same heads are drawn once, and written as often as it takes."""
    kept: dict[RenderArguments, Any] = {}
    draw = render_module.render

    def render(arguments: RenderArguments, report: Any) -> Any:
        if arguments.out is not None:
            render_module.check_folder(arguments.out, overwrite=arguments.overwrite)
        key = dataclasses.replace(arguments, overwrite=True)
        if key not in kept:
            kept[key] = draw(key, report)
        return dataclasses.replace(kept[key], arguments=arguments)

    monkeypatch.setattr(render_module, "render", render)


@pytest.fixture
def call(measure: Run, drawn_once: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    monkeypatch.setenv("STYLEHEAD_HOME", str(tmp_path / "w" / "home"))
    monkeypatch.setenv("STYLEHEAD_ACCEPT_LICENSES", "panohead")
    yield measure
    monkeypatch.chdir(tmp_path)


class Place:
    """A folder in which a command is tried again and again, from the same beginning."""

    def __init__(self, command: Command, call: Run, path: Path, chdir: Callable[[Path], None]) -> None:
        self.path, self.call, self._chdir, self._kept = path, call, chdir, path.with_name("kept")
        for words in command.before:
            assert call(*words).code == 0
        if Path("r").is_dir():
            Path("r/notes.txt").write_text("mine")
        self._chdir(path.parent)
        path.rename(self._kept)

    def fresh(self) -> None:
        self._chdir(self.path.parent)
        shutil.rmtree(self.path, ignore_errors=True)
        shutil.copytree(self._kept, self.path)
        self._chdir(self.path)

    def files(self, suffixes: tuple[str, ...]) -> dict[str, str]:
        """Every file, with a digest of those whose bytes shall be equal."""
        return {
            path.relative_to(self.path).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            if path.suffix in suffixes
            and path.name not in (MANIFEST, "state.json", "bank.json", "panohead.json")
            else ""
            for path in sorted(self.path.rglob("*"))
            if path.is_file()
        }


@pytest.fixture(params=EVERY)
def command(request: pytest.FixtureRequest) -> Command:
    return {**FAST, **SLOW}[request.param]


@pytest.fixture
def place(
    command: Command, call: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other_generator: Path
) -> Place:
    path = tmp_path / "w"
    path.mkdir()
    monkeypatch.chdir(path)
    shutil.copy(other_generator, "other.safetensors")
    if command.words[0] == "invert":
        assert call("render", "--yaw-steps", "1", "--format", "frames", "--out", "photo").code == 0
        shutil.move("photo/frames/frame_000.png", "photo.png")
    return Place(command, call, path, monkeypatch.chdir)


def strikes(command: Command, events: int, kind: str) -> range:
    """Which file events fail: every one; of a long command every third, others for each kind of failure."""
    if command in FAST.values():
        return range(1, events + 1)
    return range(1 + KINDS.index(kind), events + 1, len(KINDS))


def undisturbed(command: Command, place: Place) -> tuple[dict[str, str], int]:
    """Return the files after the command without a failure, and how many file events it has."""
    place.fresh()
    outcomes: list[Outcome] = []
    events = file_events.count_events(lambda: outcomes.append(place.call(*command.words)), place.path)
    assert outcomes[0].code == 0, outcomes[0]
    assert events > 5
    return place.files(command.equal), events


def tried(command: Command, place: Place, number: int, kind: str) -> Outcome:
    """Run the command, and let the file event of that number fail."""
    place.fresh()
    outcomes: list[Outcome] = []
    file_events.fails_at(number, kind, lambda: outcomes.append(place.call(*command.words)), place.path)
    (outcome,) = outcomes
    return outcome


def check(command: Command, place: Place, files: dict[str, str]) -> None:
    """Check that the command typed again ends as one that never failed."""
    again = place.call(*command.again())
    # the failure came after the last word
    finished = "is finished" in again.err or "holds a bank already" in again.err
    assert again.code == 0 or finished, again
    assert place.files(command.equal) == files


@pytest.mark.timeout(3600)  # on a busy machine the longest have hundreds of events
@pytest.mark.parametrize("kind", ["full disk", pytest.param("interrupt", marks=pytest.mark.slow)])
def test_a_failure_at_any_file_event_is_a_sentence_and_the_command_goes_on(
    kind: str, command: Command, place: Place
) -> None:
    files, events = undisturbed(command, place)
    for number in strikes(command, events, kind):
        outcome = tried(command, place, number, kind)
        assert outcome.code in ((0, 1) if kind == "full disk" else (0, 130)), outcome
        assert outcome.code == 0 or outcome.err.count("error: ") == 1, outcome
        assert "Unexpected" not in outcome.err, outcome
        assert "Traceback" not in outcome.err, outcome
        check(command, place, files)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_kill_at_any_file_event_leaves_what_the_command_goes_on_from(
    command: Command, place: Place
) -> None:
    files, events = undisturbed(command, place)
    for number in strikes(command, events, "kill"):
        place.fresh()
        file_events.killed_at(number, lambda: place.call(*command.words), place.path)
        check(command, place, files)
