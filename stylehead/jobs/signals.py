"""Ctrl-C, a polite kill, a closed terminal: at a safe moment where there is one, else at once and cleanly."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any, Self

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


def _asking() -> list[signal.Signals]:
    """Return the signals that ask a process to end; one that is ignored (`nohup`) stays so."""
    known = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    return [number for number in known if signal.getsignal(number) != signal.SIG_IGN]


@contextlib.contextmanager
def polite() -> Iterator[None]:
    """Turn a polite kill and a closed terminal into `KeyboardInterrupt`, as Ctrl-C is: all clean up."""
    if threading.current_thread() is not threading.main_thread():  # elsewhere Python allows no handlers
        yield
        return
    terminals = [descriptor for descriptor in (1, 2) if os.isatty(descriptor)]

    def stop(number: int, frame: FrameType | None) -> None:
        _leave_terminal(number, terminals)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in _asking() if number != signal.SIGINT}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave_terminal(number: int, terminals: list[int]) -> None:
    """Write nowhere from now on when the terminal has gone: every word to it would be an error."""
    if number == getattr(signal, "SIGHUP", None):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for descriptor in terminals:
            os.dup2(nowhere, descriptor)


class StopRequest:
    """Remembers the first Ctrl-C, polite kill or closed terminal; a second one stops at once.

    Args:
        on_ask: Called once, from the signal handler.
    """

    def __init__(self, on_ask: Callable[[], None]) -> None:
        self.asked = False
        self._on_ask = on_ask
        self._before: dict[signal.Signals, Any] = {}
        self._terminals = [descriptor for descriptor in (1, 2) if os.isatty(descriptor)]

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # elsewhere Python allows no handlers
            for number in _asking():
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        _leave_terminal(number, self._terminals)
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        self._on_ask()
