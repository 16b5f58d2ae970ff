"""The journal of a sweep: which runs it has, and how each comes along, read from the runs themselves.

Runs tell by their own folders how far they are, so that it does not matter where they run; the journal keeps
only what they cannot know: that they belong together, and why one failed that has no folder.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from stylehead.errors import JobError, StyleheadError, UsageError
from stylehead.files import check_folder_writable, read_json, write_json
from stylehead.runs import EVENTS, MANIFEST, RunDirectory
from stylehead.sweeps.plan import Planned

JOURNAL = "sweep.json"
FORMAT = 1
STYLE = "style.safetensors"
_TAIL = 8192

State = Literal["waiting", "running", "finished", "failed", "stopped"]


class RunProgress(NamedTuple):
    """How a run comes along.

    Attributes:
        run: Which.
        state: `stopped` runs have begun and go on with the next start of the sweep.
        step: Steps done.
        seconds: Of training so far.
        error: Why it failed.
    """

    run: Planned
    state: State
    step: int = 0
    seconds: float = 0.0
    error: str | None = None


class Journal:
    """A sweep's folder.

    Args:
        folder: Of the sweep; runs are folders in it.
        plan: Its runs.
    """

    def __init__(self, folder: Path, plan: Sequence[Planned]) -> None:
        self.folder, self.plan = folder, tuple(plan)
        self._errors: dict[str, str] = {}

    def path(self, run: Planned) -> Path:
        """Return the folder of a run."""
        return self.folder / run.name

    def write(self, facts: Mapping[str, Any]) -> None:
        """Write `sweep.json`; the folder is held by the caller.

        Args:
            facts: What else is to be remembered.
        """
        runs = [
            {"name": run.name, "varied": dict(run.varied), "settings": run.config.to_dict()}
            for run in self.plan
        ]
        content = {"format": FORMAT, "job": "sweep", **facts, "errors": self._errors, "runs": runs}
        write_json(self.folder / JOURNAL, content)

    def note_error(self, run: str, error: str | None) -> None:
        """Remember why a run failed, or that it no longer does."""
        if error is None:
            self._errors.pop(run, None)
        else:
            self._errors[run] = error

    def progress(self, running: Iterable[str] = ()) -> list[RunProgress]:
        """Read how all runs come along.

        Args:
            running: Names of those that a worker has.
        """
        busy = set(running)
        return [self._progress(run, run.name in busy) for run in self.plan]

    def finished(self) -> list[Planned]:
        """Return the runs that are trained to their end."""
        return [one.run for one in self.progress() if one.state == "finished"]

    def _progress(self, run: Planned, busy: bool) -> RunProgress:
        path = self.path(run)
        error = self._errors.get(run.name)
        if not (path / MANIFEST).is_file():
            return RunProgress(run, "running" if busy else "failed" if error else "waiting", error=error)
        try:
            manifest = RunDirectory(path).manifest()
        except (StyleheadError, OSError) as problem:
            return RunProgress(run, "failed", error=str(problem))
        event = last_event(path / EVENTS)
        step, seconds = int(event.get("step", 0)), float(event.get("elapsed_s", 0.0))
        if is_finished(manifest, run, path):
            return RunProgress(
                run, "finished", max(step, manifest.get("steps", 0)), manifest.get("seconds", seconds)
            )
        state: State = "running" if busy else "failed" if error else "stopped"
        return RunProgress(run, state, step, seconds, None if busy else error)


def is_finished(manifest: Mapping[str, Any], run: Planned, path: Path) -> bool:
    """Whether a run is trained to the end of its settings."""
    ended = manifest.get("outcome") == "finished" and (path / STYLE).is_file()
    return ended and dict(manifest.get("config", {})).get("iterations") == run.config.iterations


def last_event(path: Path) -> dict[str, Any]:
    """Return the last whole line of a log, without reading all of it; nothing when there is none."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _TAIL))
            lines = file.read().splitlines()
    except OSError:
        return {}
    for line in reversed(lines):
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and isinstance(event.get("step", 0), int):
            return event
    return {}


def check_sweep_folder(folder: Path) -> None:
    """Say no when a sweep cannot be in a folder; the disk is only looked at.

    Raises:
        UsageError: It is a file, or holds something else.
        JobError: Its journal is damaged, or of a newer version.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; a sweep needs a folder.", "choose another --out")
    check_folder_writable(folder)
    journal = folder / JOURNAL
    if journal.is_file():
        if (found := read_json(journal).get("format")) != FORMAT:
            raise JobError(f"{journal} has format {found!r}, not {FORMAT}.")
    elif folder.exists() and any(not entry.name.startswith(".") for entry in folder.iterdir()):
        raise UsageError(f"{folder} is not empty and is not a sweep.", "choose another --out")
