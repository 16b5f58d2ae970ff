"""Checkpoints: folders that appear as a whole, and from which a stopped run goes on as if it had not stopped.

A checkpoint carries the sizes and the hashes of its files, so that the last *complete* one is found again
after a `kill -9`, and a damaged one is known as such. Tensors are stored as safetensors and everything else
as JSON: reading a checkpoint can never execute code.
"""

import contextlib
import hashlib
import json
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stylehead.errors import JobError
from stylehead.files import atomic_write, flush_folder, json_text, read_json, read_tensors, save_tensors
from stylehead.folders import drop_folder, remove

if TYPE_CHECKING:
    from torch import Tensor

_STATE, _STATE_TENSORS, _WEIGHTS = "state.json", "state.safetensors", "weights.safetensors"
_STEP = re.compile(r"step_\d+")

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
        if isinstance(item, float) and not math.isfinite(item):
            return {"float": repr(item)}  # JSON has no such numbers
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
    if kind == "float":
        return float(content)
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

        Raises:
            JobError: It is damaged; the sentence names the file.
        """
        packed = read_json(self.path / _STATE)
        self._check_hashes(packed)
        tensors = read_tensors(self.path / _STATE_TENSORS)
        try:
            state = unpack_state(packed["state"], tensors)
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise JobError(f"{self.path / _STATE} is damaged.") from error
        return read_tensors(self.path / _WEIGHTS), state

    def _check_hashes(self, packed: Mapping[str, Any]) -> None:
        """Compare the files with what is known of them; version 0.1.0 noted no hashes."""
        hashes = packed.get("sha256", {})
        if not isinstance(hashes, dict):
            raise JobError(f"{self.path / _STATE} is damaged: it holds no hashes.")
        for name, known in hashes.items():
            found = _digest_of(packed.get("state")) if name == _STATE else _sha256(self.path / name)
            if found != known:
                raise JobError(f"{self.path / name} is damaged: it is not as it was written.")


def _complete_checkpoint(path: Path) -> Checkpoint | None:
    """The checkpoint in a folder, or None when any of it is missing or cut short."""
    try:
        packed = read_json(path / _STATE)
        whole = all((path / name).stat().st_size == size for name, size in packed["bytes"].items())
        return Checkpoint(path, int(packed["step"])) if whole else None
    except (JobError, OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest_of(state: Any) -> str:
    return hashlib.sha256(json.dumps(state).encode()).hexdigest()


class CheckpointFolder:
    """The checkpoints of a run, held by the caller where they are written.

    Args:
        path: `checkpoints` inside the run; need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def save(self, step: int, weights: Mapping[str, "Tensor"], state: Any, *, keep: int) -> Checkpoint:
        """Write a checkpoint and remove the oldest ones.

        Args:
            step: Steps done.
            weights: Tensors of the network in training.
            state: Optimiser, random generators and whatever else resuming needs; see `pack_state`.
            keep: How many checkpoints may stay; this one stays while the run goes on.
        """
        self.path.mkdir(exist_ok=True)
        target = self.path / f"step_{step:06d}"
        part = _part_of(target)
        try:
            remove(part)
            part.mkdir()
            packed, tensors = pack_state(state)
            save_tensors(part / _WEIGHTS, weights)
            save_tensors(part / _STATE_TENSORS, tensors)
            files = [part / _STATE_TENSORS, part / _WEIGHTS]
            facts = {
                "step": step,
                "bytes": {file.name: file.stat().st_size for file in files},
                "sha256": {**{file.name: _sha256(file) for file in files}, _STATE: _digest_of(packed)},
            }
            # not indented: only then Python writes JSON in C, and random generators are thousands of numbers
            atomic_write(part / _STATE, json_text({**facts, "state": packed}) + "\n")
            self._settle(part)
        except BaseException:
            self._settle(part)
            raise
        self.prune(max(keep, 1))
        return Checkpoint(target, step)

    def prune(self, keep: int) -> None:
        """Remove all checkpoints but the newest `keep` complete ones."""
        stay = {item.path for item in self.complete()[-keep:]} if keep else set()
        for path in sorted(self.path.glob("step_*")):
            if path not in stay and _STEP.fullmatch(path.name):
                drop_folder(path)
        with contextlib.suppress(OSError):
            if not keep:
                self.path.rmdir()

    def newest(self, unusable: Callable[[str], None]) -> tuple[Checkpoint, dict[str, "Tensor"], Any] | None:
        """Load the newest checkpoint that can be read.

        Args:
            unusable: Told, in a sentence, of newer ones that cannot.

        Returns:
            The checkpoint, its weights and its state; None when the run never had one.

        Raises:
            JobError: There are checkpoints, and none can be read.
        """
        damaged = None
        for path in sorted(self.path.glob("step_*"), reverse=True):
            try:
                found = _complete_checkpoint(path)
                if found is None:
                    raise JobError(f"{path} is damaged: files are missing or cut short.")
                return found, *found.load()
            except (JobError, OSError) as error:
                damaged = (
                    error if isinstance(error, JobError) else JobError(f"{path} cannot be read ({error}).")
                )
                unusable(damaged.message)
        if damaged is not None:
            raise JobError(
                f"{self.path.parent} has no checkpoint that can be read.", "add --overwrite to start it again"
            ) from damaged
        return None

    def settle(self) -> None:
        """Put checkpoints in place that were whole when their writer was killed; remove others."""
        for part in self.path.glob(".step_*.part"):
            self._settle(part)

    def _settle(self, part: Path) -> None:
        """Give a whole checkpoint its name, in place of a damaged one; remove one that is not whole."""
        target = part.with_name(part.name[1 : -len(".part")])
        if _complete_checkpoint(part) is None:
            remove(part)
            return
        if target.exists():
            drop_folder(target)
        os.replace(part, target)
        flush_folder(part.parent)

    def complete(self) -> list[Checkpoint]:
        """Complete checkpoints, oldest first; half-written and damaged ones are not listed."""
        found = [_complete_checkpoint(path) for path in self.path.glob("step_*")]
        return sorted((item for item in found if item), key=lambda item: item.step)


def _part_of(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.part")
