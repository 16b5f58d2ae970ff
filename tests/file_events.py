"""Makes the file system fail, or kills the process, at the n-th file event of a piece of work.

Python tells an audit hook of every open, rename, removal and new folder, whoever asks for it: nothing that
writes can go by unseen. `os.fsync` is counted beside them.
"""

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_EVENTS = frozenset({"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link"})
_fsync = os.fsync


class _Watch:
    """Counts events inside a folder; at number `at` it calls `strike`."""

    folder = ""
    at: int | None = None
    strike: Callable[[], None] = staticmethod(lambda: None)
    seen = 0


def _count() -> None:
    _Watch.seen += 1
    if _Watch.seen == _Watch.at:
        _Watch.strike()


def _inside(path: Any) -> bool:
    if not isinstance(path, str | bytes | os.PathLike):
        return False
    return os.path.abspath(os.fsdecode(path)).startswith(_Watch.folder)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _Watch.folder:
        return
    if event == "open":
        path, _, flags = arguments
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and _inside(path):
            _count()
    elif event in _EVENTS and _inside(arguments[0]):
        _count()


sys.addaudithook(_hook)


@contextlib.contextmanager
def watched(folder: Path, *, at: int | None, strike: Callable[[], None]) -> Iterator[None]:
    """Count the events inside a folder while the block runs."""

    def fsync(descriptor: int) -> None:
        _count()
        _fsync(descriptor)

    _Watch.folder, _Watch.at, _Watch.strike, _Watch.seen = str(folder.absolute()), at, strike, 0
    os.fsync = fsync
    try:
        yield
    finally:
        os.fsync = _fsync
        _Watch.folder = ""


def count_events(work: Callable[[], object], folder: Path) -> int:
    """Return how many file events a piece of work has in a folder."""
    with watched(folder, at=None, strike=lambda: None):
        work()
    return _Watch.seen


def fail(kind: str) -> None:
    """Fail as a full disk does, or as a user who presses Ctrl-C."""
    if kind == "interrupt":
        raise KeyboardInterrupt
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def fails_at(number: int, kind: str, work: Callable[[], object], folder: Path) -> bool:
    """Do the work and fail at an event; says whether the failure came out of it."""
    try:
        with watched(folder, at=number, strike=lambda: fail(kind)):
            work()
    except (OSError, KeyboardInterrupt):
        return True
    return False


def killed_at(number: int, work: Callable[[], object], folder: Path) -> None:
    """Do the work in a child process that kills itself at an event."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException), watched(folder, at=number, strike=_die):
            work()
        os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"event {number} did not come"


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
