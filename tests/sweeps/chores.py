"""Small things for workers to do."""

import os
import signal
import time
from pathlib import Path

from stylehead.errors import JobError


def add(one: int, other: int) -> int:
    return one + other


def who() -> dict[str, object]:
    threads = {name: value for name, value in os.environ.items() if name.endswith("_NUM_THREADS")}
    return {"pid": os.getpid(), "threads": threads}


def fail(words: str) -> None:
    raise JobError(words, "try again")


def die(times: int, folder: str) -> int:
    """Kill the worker that does this, as often as asked; then say how often it was tried."""
    path = Path(folder, f"{os.getpid()}-{time.monotonic_ns()}")
    path.touch()
    tried = len(list(Path(folder).iterdir()))
    if tried <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return tried


def sleep(seconds: float, folder: str = "") -> str:
    """Sleep; leave a word when that is broken off politely."""
    if folder:
        Path(folder, f"begun-{os.getpid()}").touch()
    try:
        time.sleep(seconds)
    except KeyboardInterrupt:
        if folder:
            Path(folder, "polite").touch()
        raise
    return "slept"


def talk() -> str:
    print("a library says hello")  # noqa: T201
    os.write(1, b"and another one\n")
    return "said"


def read(path: str) -> str:
    return Path(path).read_text()


def meet(folder: str, others: int) -> dict[str, object]:
    """Wait until others do this, too; then say what Ray gave this worker."""
    import ray

    Path(folder, f"met-{os.getpid()}").touch()
    end = time.monotonic() + 60
    while len(list(Path(folder).glob("met-*"))) < others:
        if time.monotonic() > end:
            raise JobError("Nobody came.")
        time.sleep(0.05)
    given = ray.get_runtime_context().get_assigned_resources()
    return {"GPU": given.get("GPU"), "visible": os.environ.get("CUDA_VISIBLE_DEVICES")}


def alone(folder: str) -> str:
    """Say whether nobody else did this meanwhile."""
    mine = Path(folder, "busy")
    try:
        mine.touch(exist_ok=False)
    except FileExistsError:
        return "together"
    time.sleep(0.3)
    mine.unlink()
    return "alone"
