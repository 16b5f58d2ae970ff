"""Run directories: what a job leaves behind, and how it goes on after it was stopped.

A checkpoint is a folder that is renamed into place as a whole and carries the sizes of its files, so that the
last *complete* one is found again after a `kill -9`. Tensors are stored as safetensors and everything else as
JSON: reading a run can never execute code.
"""

import contextlib
import json
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stylehead.errors import JobError, UsageError, quoted
from stylehead.files import atomic_write, check_parents, flush_folder, save_tensors, write_json

if TYPE_CHECKING:
    from torch import Tensor

RUN_FORMAT = 1
MANIFEST = "run.json"
EVENTS = "events.jsonl"
CHECKPOINTS = "checkpoints"
LOCK = ".lock"
WRITTEN = (
    "*.json", "*.jsonl", "*.safetensors", "*.jpg", "*.mp4", "*.md", "checkpoints", "previews", "bank",
    "latent.npz", "aligned.png",
)  # fmt: skip
"""What a run writes, as patterns: overwriting one removes these and nothing else."""


# ------------------------------------------------------------------------- nested state <-> JSON and tensors


def pack_state(value: Any) -> tuple[Any, dict[str, "Tensor"]]:
    """Split nested state (dicts, lists, tuples, numbers, strings, tensors) into JSON and named tensors.

    `unpack_state(*pack_state(x))` gives `x` back, tensors bit for bit and keys with their types: the state of
    an optimiser has integer keys, which JSON alone would turn into strings.

    Args:
        value: State as `Optimizer.state_dict()` or a dict of `Generator.get_state()` holds it.

    Returns:
        A JSON value and the tensors that it refers to by name.

    Raises:
        TypeError: For anything else; nothing is pickled.
    """
    import torch

    tensors: dict[str, Tensor] = {}

    def pack(item: Any) -> Any:
        if isinstance(item, torch.Tensor):
            name = f"t{len(tensors):06d}"
            tensors[name] = item.detach().cpu().clone()
            return {"tensor": name}
        if isinstance(item, Mapping):
            return {"dict": [[pack(key), pack(entry)] for key, entry in item.items()]}
        if isinstance(item, tuple):
            return {"tuple": [pack(entry) for entry in item]}
        if isinstance(item, list):
            return [pack(entry) for entry in item]
        if item is None or isinstance(item, bool | int | float | str):
            return item
        raise TypeError(f"cannot store {type(item).__name__} in a checkpoint")

    return pack(value), tensors


def unpack_state(packed: Any, tensors: Mapping[str, "Tensor"]) -> Any:
    """Undo `pack_state`."""
    if isinstance(packed, list):
        return [unpack_state(entry, tensors) for entry in packed]
    if not isinstance(packed, dict):
        return packed
    (kind, content), *_ = packed.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "tuple":
        return tuple(unpack_state(entry, tensors) for entry in content)
    return {unpack_state(key, tensors): unpack_state(entry, tensors) for key, entry in content}


# ------------------------------------------------------------------------------------------------ checkpoints


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint on the disk."""

    path: Path
    step: int
    """Steps that were done when it was written."""

    def load(self) -> tuple[dict[str, "Tensor"], Any]:
        """Read it back.

        Returns:
            The weights and the state that were given to `RunDirectory.save_checkpoint`.
        """
        from safetensors.torch import load_file

        packed = json.loads((self.path / "state.json").read_text())
        tensors = load_file(self.path / "state.safetensors")
        return load_file(self.path / "weights.safetensors"), unpack_state(packed["state"], tensors)


def _complete_checkpoint(path: Path) -> Checkpoint | None:
    """The checkpoint in a folder, or None when any of it is missing or cut short."""
    try:
        packed = json.loads((path / "state.json").read_text())
        whole = all((path / name).stat().st_size == size for name, size in packed["bytes"].items())
        return Checkpoint(path, int(packed["step"])) if whole else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


# ---------------------------------------------------------------------------------------------- run directory


class RunDirectory:
    """One run on the disk: manifest, events, checkpoints and results. See `create` and `open`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path, manifest: Mapping[str, Any], *, overwrite: bool = False) -> "RunDirectory":
        """Start a run in a new or empty folder.

        Args:
            path: Where; folders above it are made.
            manifest: First content of `run.json`; `format` and `outcome` ("running") are added.
            overwrite: Throw away the run that is there. Files that no run writes are left alone.

        Raises:
            UsageError: The folder holds something, and `overwrite` was not asked for or does not apply.
            OSError: It cannot be made.
        """
        check_free(path, overwrite=overwrite)
        path.mkdir(parents=True, exist_ok=True)
        run = cls(path)
        if overwrite:
            with run.lock():
                run._clear()
        write_json(path / MANIFEST, {"format": RUN_FORMAT, "outcome": "running", **manifest})
        return run

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
        """Read `run.json`."""
        try:
            content = json.loads((self.path / MANIFEST).read_text())
        except ValueError as error:
            raise JobError(f"{self.path / MANIFEST} is damaged: {error}.") from error
        if not isinstance(content, dict):
            raise JobError(f"{self.path / MANIFEST} is damaged: it holds no JSON object.")
        return content

    def update(self, fields: Mapping[str, Any]) -> None:
        """Change fields of `run.json`, atomically."""
        write_json(self.path / MANIFEST, {**self.manifest(), **fields})

    def log(self, event: Mapping[str, Any]) -> None:
        """Append one line to `events.jsonl`; `time` (seconds since 1970) is added."""
        line = json.dumps({**event, "time": round(time.time(), 3)})
        with (self.path / EVENTS).open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def events(self) -> list[dict[str, Any]]:
        """Every whole line of `events.jsonl`; a line cut short by a crash is left out."""
        if not (self.path / EVENTS).exists():
            return []
        found = []
        for line in (self.path / EVENTS).read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return found

    def rewind_events(self, step: int) -> None:
        """Drop the events after `step`, for a run that goes on from there."""
        kept = [json.dumps(event) + "\n" for event in self.events() if event.get("step", 0) <= step]
        atomic_write(self.path / EVENTS, "".join(kept))

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes out; the system frees the lock when this process dies, however it dies.

        Raises:
            JobError: Another process is working on this run.
        """
        with (self.path / LOCK).open("a") as file:
            if not _try_lock(file.fileno()):
                raise JobError(f"Another process is working on {self.path}.", "wait, or choose another --out")
            for leftover in (*self.path.rglob(".*.part"), *self.path.rglob(".*.part.*")):
                _remove(leftover)
            yield

    def busy(self) -> bool:
        """Whether a process, this one included, is working on the run."""
        if not (self.path / LOCK).exists():
            return False
        with (self.path / LOCK).open("a") as file:
            return not _try_lock(file.fileno())

    def save_checkpoint(
        self, step: int, weights: Mapping[str, "Tensor"], state: Any, *, keep: int
    ) -> Checkpoint:
        """Write a checkpoint and remove the oldest ones.

        Args:
            step: Steps done.
            weights: Tensors of the network in training.
            state: Optimiser, random generators and whatever else resuming needs; see `pack_state`.
            keep: How many checkpoints may stay, this one included; at least 1.
        """
        folder = self.path / CHECKPOINTS
        folder.mkdir(exist_ok=True)
        target = folder / f"step_{step:06d}"
        part = folder / f".{target.name}.{secrets.token_hex(4)}.part"
        try:
            part.mkdir()
            packed, tensors = pack_state(state)
            save_tensors(part / "weights.safetensors", weights)
            save_tensors(part / "state.safetensors", tensors)
            sizes = {file.name: file.stat().st_size for file in sorted(part.iterdir())}
            write_json(part / "state.json", {"step": step, "bytes": sizes, "state": packed})
            if target.exists():
                _remove(target)
            os.replace(part, target)
            flush_folder(folder)
        except BaseException:
            _remove(part)
            raise
        for old in self.checkpoints()[:-keep]:
            _remove(old.path)
        return Checkpoint(target, step)

    def checkpoints(self) -> list[Checkpoint]:
        """Complete checkpoints, oldest first; half-written and damaged ones are not listed."""
        found = [_complete_checkpoint(path) for path in (self.path / CHECKPOINTS).glob("step_*")]
        return sorted((item for item in found if item), key=lambda item: item.step)

    def _clear(self) -> None:
        for pattern in WRITTEN:
            for entry in self.path.glob(pattern):
                _remove(entry)


def check_free(path: Path, *, overwrite: bool) -> None:
    """Say no, in one sentence, when a run cannot start in `path`; the disk is only looked at.

    Raises:
        UsageError: It is a file, a run (unless `overwrite`), or a folder with something else in it.
    """
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file; a run needs a folder.", "choose another --out")
    check_parents(path)
    if not path.exists() or not any(entry.name != LOCK for entry in path.iterdir()):
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


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _try_lock(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
