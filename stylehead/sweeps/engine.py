"""What an engine is: something that has workers, takes tasks, and says how each ended."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

THREADS = {
    name: "1"
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
}
"""Environment of a worker: one thread each, on every engine, so that numbers are the same on all of them."""


@dataclass(frozen=True)
class Task:
    """One call that a worker makes.

    Attributes:
        name: Unique within its driver.
        function: `package.module:function`; it takes plain JSON values and returns some, and may be called
            again after a worker died in the middle of it.
        arguments: Of the call, by name.
        memory_bytes: Main memory that it needs; 0 when that is not known. Engines of several machines place
            by it, and by `gpus`.
        gpus: Share of a GPU that it needs, 0..1.
    """

    name: str
    function: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    memory_bytes: int = 0
    gpus: float = 0.0

    def message(self) -> dict[str, Any]:
        """Return what a worker has to know: relative paths are against the folder that this process is in."""
        task = {"name": self.name, "function": self.function, "arguments": dict(self.arguments)}
        return {**task, "folder": os.getcwd()}


class Ended(NamedTuple):
    """How a task ended.

    Attributes:
        task: Which.
        how: `done`; `failed`, an error that would come again; `stopped`, because it was asked to; or `lost`,
            with its worker.
        value: What the function returned.
        error: Why, in a sentence.
        hint: What to do about it.
    """

    task: Task
    how: Literal["done", "failed", "stopped", "lost"]
    value: Any = None
    error: str | None = None
    hint: str | None = None

    @classmethod
    def from_answer(cls, task: Task, answer: Mapping[str, Any]) -> "Ended":
        """Read what a worker answered."""
        fields = {name: answer.get(name) for name in ("value", "error", "hint")}
        return cls(task, answer["how"], **fields)


class Engine(Protocol):
    """Workers that take tasks. A task that was submitted ends exactly once, in what `poll` returns."""

    workers: int
    """How many tasks run at once."""
    gpus: int
    """How many GPUs its workers have together."""

    def submit(self, task: Task) -> None:
        """Queue a task; it starts when a worker is free."""
        ...

    def resize(self, workers: int) -> None:
        """Have more workers from now on."""
        ...

    def running(self) -> set[str]:
        """Return the names of the tasks that have a worker, as far as the engine knows."""
        ...

    def poll(self, seconds: float) -> list[Ended]:
        """Return what ended, after at most this long; an empty list when nothing did."""
        ...

    def stop(self, *, at_once: bool = False) -> None:
        """Ask what runs to end at a safe moment, or at once, and forget what waits: all end as `stopped`."""
        ...

    def close(self) -> None:
        """End all workers and leave nothing behind."""
        ...
