"""What a run takes on the disk: said before it starts, and refused where it does not fit."""

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from stylehead.errors import JobError
from stylehead.units import format_bytes

if TYPE_CHECKING:
    from stylehead.methods import Stylizer

KEPT_CHECKPOINTS = 2
"""Checkpoints of a run that is not finished: a damaged one leaves another."""

PICTURES_BYTES = 3_000_000
"""Of a run's previews, sheet and film, roughly."""
_HINT = "free some space, or choose a folder on another disk with --out"
_COPIES = 4  # in a checkpoint: weights, their average and Adam's two moments


def trained_bytes(stylizer: "Stylizer") -> int:
    """Return the size of what a stylizer trains."""
    return sum(tensor.numel() * tensor.element_size() for tensor in stylizer.trained.values())


def checkpoint_bytes(size: int) -> int:
    """Return the size of a checkpoint of parameters of this size."""
    return _COPIES * size


def running_bytes(size: int, keep: int) -> int:
    """Return what a run takes at most: a new checkpoint is whole before the oldest one goes."""
    kept = max(keep, KEPT_CHECKPOINTS)
    return (kept + 1) * checkpoint_bytes(size) + PICTURES_BYTES


def finished_bytes(size: int, keep: int) -> int:
    """Return what a finished run takes at most, with a whole style."""
    return size + keep * checkpoint_bytes(size) + PICTURES_BYTES


def bytes_of_many(costs: Iterable[tuple[Mapping[str, int], int]], workers: int) -> int:
    """Add up what runs leave, and the checkpoints of the neediest that train at once.

    Args:
        costs: `disk_bytes` and `running_bytes` of each kind of run, and how many there are of it.
        workers: How many train at once.
    """
    costs = list(costs)
    growth = max((cost["running_bytes"] - cost["disk_bytes"] for cost, _ in costs), default=0)
    return sum(cost["disk_bytes"] * count for cost, count in costs) + workers * max(0, growth)


def free_bytes(path: Path) -> int | None:
    """Return what is free on the disk of a path that need not be there yet; None where it does not say."""
    there = Path(os.path.abspath(path))
    while not there.exists() and there != there.parent:
        there = there.parent
    usage = shutil.disk_usage(there)
    return usage.free if usage.total else None


def check_disk(path: Path, needed: int, what: str = "The run", hint: str = _HINT) -> None:
    """Say no when something does not fit on the disk of a path.

    Args:
        path: Where it would be.
        needed: Bytes that it takes.
        what: What takes them.
        hint: What to do then.

    Raises:
        JobError: It does not fit.
    """
    free = free_bytes(path)
    if free is not None and needed > free:
        raise JobError(
            f"{what} needs about {format_bytes(needed)} on the disk of {path}, "
            f"where {format_bytes(free)} are free.",
            hint,
        )


def disk_words(size: int, keep: int, path: Path, *, full_style: bool) -> str:
    """Say what a run takes while it runs and afterwards, and what there is."""
    kept = max(keep, KEPT_CHECKPOINTS)
    style = format_bytes(size) if full_style else f"less than {format_bytes(size // 2)}"
    rest = f" and {keep} checkpoints" if keep else ""
    free = free_bytes(path)
    left = "" if free is None else f"; {format_bytes(free)} are free"
    return (
        f"{format_bytes(running_bytes(size, keep))} at most while it runs ({kept} checkpoints of "
        f"{format_bytes(checkpoint_bytes(size))} and a new one); then the style, {style}{rest}{left}"
    )
