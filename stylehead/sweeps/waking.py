"""An interrupt that another thread of this process asks for ends what the main thread waits for.

`_thread.interrupt_main`, by which Ray cancels a task, only sets a flag: Python looks at it between two of its
own instructions, and one that waits in the system (sleeps, holds for a lock, reads a pipe) is not broken off
by it. But Python also writes the number of the signal to its wakeup descriptor; who reads it there can break
the wait off with a signal that does nothing else.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

_NOTHING = getattr(signal, "SIGURG", None)
"""A signal that says nothing by itself; None where threads cannot be sent any."""


@contextlib.contextmanager
def waits_end_on_interrupt() -> Iterator[None]:
    """Have `_thread.interrupt_main` raise `KeyboardInterrupt` also while the main thread waits for something.

    Within it SIGINT is heard also by a process that was started to ignore it, as in a shell's background.
    Outside the main thread, or where threads cannot be sent signals, nothing changes.
    """
    if _NOTHING is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {_NOTHING: signal.signal(_NOTHING, lambda _number, _frame: None)}
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        handlers[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
    with _woken():
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)


@contextlib.contextmanager
def _woken() -> Iterator[None]:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    listener = threading.Thread(target=_listen, args=(reading,), daemon=True)
    listener.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(writing)
        listener.join()
        os.close(reading)


def _listen(reading: int) -> None:
    """Break off what the main thread waits for, whenever an interrupt is flagged, until the pipe ends."""
    assert _NOTHING is not None
    main = threading.main_thread().ident
    assert main is not None
    while numbers := os.read(reading, 64):
        if signal.SIGINT in numbers:
            signal.pthread_kill(main, _NOTHING)
