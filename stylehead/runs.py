"""Run directories: what a job leaves behind, and how it goes on after it was stopped.

What a run wrote is known by its names; other files in its folder are never touched. Checkpoints are in
`stylehead.checkpoints`.
"""

import contextlib
import json
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stylehead.checkpoints import Checkpoint, CheckpointFolder
from stylehead.errors import JobError, UsageError, quoted
from stylehead.files import (
    append_line,
    atomic_write,
    check_folder_writable,
    json_text,
    read_json,
    write_json,
)
from stylehead.folders import hold, is_held, is_vacant, replaced
from stylehead.units import format_duration, seconds_between

if TYPE_CHECKING:
    from torch import Tensor

RUN_FORMAT = 1
MANIFEST = "run.json"
EVENTS = "events.jsonl"
CHECKPOINTS = "checkpoints"
_OWN = re.compile(
    r"(run|config)\.json|events\.jsonl|README\.md|(style|personal)\.safetensors|latent\.npz|aligned\.png"
    r"|contact_sheet\.jpg|faces\.jpg|(turntable|training)\.mp4|index\.html|previews/(step|project|tune)_\d+\.jpg"
    r"|checkpoints/step_\d+/(state\.json|(state|weights)\.safetensors)"
    r"|bank/(bank\.json|(latents|renders|masks|edited)/\d+(_\d+)?(\.round\d+)?\.(png|npz))"
)
"""Names of what runs write: overwriting one removes these and nothing else."""
_FIELDS: dict[str, type | tuple[type, ...]] = {
    "job": str, "outcome": str, "command": str, "prompt": str, "preset": str, "generator": str, "photo": str,
    "error": str, "started": str, "finished": str, "config": dict, "files": dict, "versions": dict,
    "quality": dict, "pivotal": dict, "teacher": dict, "weights": list, "steps": int, "seed": int,
    "keep_checkpoints": int, "seconds": (int, float), "peak_memory_bytes": dict,
}  # fmt: skip
"""What `run.json` must hold where it holds these."""


class RunDirectory:
    """One run on the disk: manifest, events, checkpoints and results. See `create` and `open`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(
        cls,
        path: Path,
        manifest: Mapping[str, Any],
        *,
        overwrite: bool = False,
        begin: Callable[[Path], Any] = lambda _folder: None,
    ) -> "RunDirectory":
        """Start a run in a new or empty folder.

        Args:
            path: Where; folders above it are made.
            manifest: First content of `run.json`; `format` and `outcome` ("running") are added.
            overwrite: Throw away the run that is there, once the new one has a manifest. Files that the run
                did not write are left alone.
            begin: Writes to a folder what the run goes on from: it is there as soon as the manifest is.

        Raises:
            UsageError: The folder holds something, and `overwrite` was not asked for or does not apply.
            OSError: It cannot be made.
        """
        check_free(path, overwrite=overwrite)
        with hold(path):
            check_free(path, overwrite=overwrite)  # another process may have been faster
            with replaced(path, MANIFEST, _own_files(path)) as part:
                begin(part)
                write_json(part / MANIFEST, {"format": RUN_FORMAT, "outcome": "running", **manifest})
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> "RunDirectory":
        """Open a run that exists.

        Raises:
            UsageError: The path is no run.
            JobError: Its manifest cannot be read or was written by a newer version.
        """
        if not path.exists():
            raise UsageError(f"There is no run {path}.", "ls runs")
        if not (path / MANIFEST).is_file():
            raise UsageError(f"{path} is not a run: it has no {MANIFEST}.", "ls runs")
        run = cls(path)
        if run.manifest().get("format") != RUN_FORMAT:
            raise JobError(
                f"{path / MANIFEST} has format {run.manifest().get('format')!r}, not {RUN_FORMAT}."
            )
        return run

    def manifest(self) -> dict[str, Any]:
        """Read `run.json`.

        Raises:
            JobError: It is damaged; the sentence names it.
        """
        path = self.path / MANIFEST
        content = read_json(path)
        for name, kind in _FIELDS.items():
            value = content.get(name)
            if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
                raise JobError(f"{path} is damaged: `{name}` is {_shown(value)}.")
        for name in ("files", "teacher"):
            if not all(isinstance(value, str) for value in (content.get(name) or {}).values()):
                raise JobError(f"{path} is damaged: `{name}` is {_shown(content[name])}.")
        return content

    def update(self, fields: Mapping[str, Any]) -> None:
        """Change fields of `run.json`, atomically."""
        write_json(self.path / MANIFEST, {**self.manifest(), **fields})

    def log(self, event: Mapping[str, Any]) -> None:
        """Append one line to `events.jsonl`; `time` (seconds since 1970) is added."""
        append_line(self.path / EVENTS, json_text({**event, "time": round(time.time(), 3)}))

    def events(self) -> list[dict[str, Any]]:
        """Every whole line of `events.jsonl`; a line cut short by a crash, or damaged since, is left out."""
        if not (self.path / EVENTS).exists():
            return []
        lines = (self.path / EVENTS).read_text(encoding="utf-8", errors="replace").splitlines()
        return [event for line in lines if (event := _event(line)) is not None]

    def keep_events(self, wanted: Callable[[dict[str, Any]], bool]) -> None:
        """Drop all events but those that are wanted, for a run that goes on from an earlier point."""
        if not (self.path / EVENTS).exists():
            return
        kept = [json_text(event) + "\n" for event in self.events() if wanted(event)]
        atomic_write(self.path / EVENTS, "".join(kept))

    def rewind_events(self, step: int) -> None:
        """Drop the events after `step`, for a run that goes on from there."""
        self.keep_events(lambda event: event.get("step", 0) <= step)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes out; the system frees the lock when this process dies, however it dies.

        What a killed process left half-done is finished or undone.

        Raises:
            JobError: Another process is working on this run.
        """
        with hold(self.path):
            self.saved.settle()
            yield

    def busy(self) -> bool:
        """Whether a process, this one included, is working on the run."""
        return is_held(self.path)

    @property
    def saved(self) -> CheckpointFolder:
        """Its checkpoints: to write, list, load and remove them."""
        return CheckpointFolder(self.path / CHECKPOINTS)

    def save_checkpoint(
        self, step: int, weights: Mapping[str, "Tensor"], state: Any, *, keep: int
    ) -> Checkpoint:
        """Write a checkpoint and remove the oldest ones; see `CheckpointFolder.save`."""
        return self.saved.save(step, weights, state, keep=keep)

    def checkpoints(self) -> list[Checkpoint]:
        """Complete checkpoints, oldest first; half-written and damaged ones are not listed."""
        return self.saved.complete()


def _event(line: str) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict) or not isinstance(event.get("step", 0), int | float):
        return None
    return event


def _own_files(run: Path) -> list[str]:
    """List what the run in a folder wrote, by its names; files of other names are somebody else's."""
    inside = [run, run / "previews", run / "bank"]
    inside += [*(run / CHECKPOINTS).glob("step_*"), *(run / "bank").glob("*")]
    files = [path for folder in inside if folder.is_dir() for path in folder.iterdir()]
    names = [path.relative_to(run).as_posix() for path in files]
    return [name for name in names if _OWN.fullmatch(name)]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def check_free(path: Path, *, overwrite: bool) -> None:
    """Say no, in one sentence, when a run cannot start in `path`; the disk is only looked at.

    Raises:
        UsageError: It is a file, a run (unless `overwrite`), or a folder with something else in it.
    """
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file; a run needs a folder.", "choose another --out")
    check_folder_writable(path)
    if not path.exists() or is_vacant(path):
        return
    if not (path / MANIFEST).is_file():
        raise UsageError(f"{path} is not empty and is not a run.", "choose another --out")
    if overwrite:
        return
    manifest = RunDirectory(path).manifest()
    if manifest.get("outcome") == "finished":
        raise UsageError(f"{path} already holds a finished run.", "add --overwrite, or choose another --out")
    raise UsageError(
        f"{path} already holds an unfinished run.",
        f"stylehead {manifest.get('job', 'stylize')} --resume {quoted(path)}",
    )


def time_taken(manifest: Mapping[str, Any]) -> str:
    """Return how long the steps of a run took, and how long all of it with loading, editing and drawing."""
    steps = f"{format_duration(manifest['seconds'])} in steps" if "seconds" in manifest else ""
    if manifest.get("outcome") != "finished" or not {"started", "finished"} <= manifest.keys():
        return steps
    whole = format_duration(seconds_between(manifest["started"], manifest["finished"]))
    return ", ".join(filter(None, (steps, f"{whole} from start to end")))


def new_run_path(root: Path, name: str) -> Path:
    """A free path `<root>/<slug of name>-<4 hex digits>`."""
    while True:
        path = root / f"{slugify(name)}-{secrets.token_hex(2)}"
        if not path.exists():
            return path


def slugify(text: str, *, limit: int = 40) -> str:
    """Lower-case words joined by hyphens, safe as a file name; "run" when nothing is left."""
    words = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return words[:limit].strip("-") or "run"
