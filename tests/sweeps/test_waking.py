"""Interrupts that another thread asks for end what the main thread waits for."""

import _thread
import signal
import threading
import time

import pytest

from stylehead.sweeps.waking import waits_end_on_interrupt


def test_an_interrupt_of_another_thread_ends_a_wait_at_once() -> None:
    """Without it the flag is looked at only when the wait is over."""
    start = time.monotonic()
    threading.Timer(0.1, _thread.interrupt_main).start()
    with pytest.raises(KeyboardInterrupt), waits_end_on_interrupt():
        time.sleep(30)
    assert time.monotonic() - start < 20
    assert signal.set_wakeup_fd(-1) == -1


def test_an_interrupt_is_heard_where_it_was_ignored_and_only_there() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        threading.Timer(0.1, _thread.interrupt_main).start()
        with pytest.raises(KeyboardInterrupt), waits_end_on_interrupt():
            time.sleep(30)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_own_handler_of_interrupts_is_called_once_while_the_main_thread_waits() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: heard.append(number))
    try:
        with waits_end_on_interrupt():
            threading.Timer(0.05, _thread.interrupt_main).start()
            end = time.monotonic() + 20
            while not heard and time.monotonic() < end:
                time.sleep(0.02)
            time.sleep(0.1)
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [signal.SIGINT]
