"""Ctrl-C, a polite kill and a closed terminal end a process cleanly."""

import os
import signal
import subprocess
import sys

import pytest

from stylehead.jobs.signals import StopRequest, polite

if sys.platform == "win32":
    pytest.skip("POSIX signals", allow_module_level=True)

ASKING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", ASKING)
def test_the_first_request_waits_for_a_safe_moment_and_the_second_does_not(number: signal.Signals) -> None:
    asked: list[int] = []
    with StopRequest(lambda: asked.append(1)) as stop:
        send(number)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGTERM)
    assert asked == [1]


@pytest.mark.parametrize("number", ASKING)
def test_elsewhere_each_is_an_interrupt(number: signal.Signals) -> None:
    before = [signal.getsignal(each) for each in ASKING]
    with polite(), pytest.raises(KeyboardInterrupt):
        send(number)
    assert [signal.getsignal(each) for each in ASKING] == before


def test_nohup_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with polite(), StopRequest(lambda: None) as stop:
            send(signal.SIGHUP)
            assert not stop.asked
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_killed_command_cleans_up_and_says_so() -> None:
    code = (
        "import sys, time\n"
        "from stylehead.cli.output import reporting\n"
        "with reporting(as_json=False, quiet=False):\n"
        "    try:\n"
        "        print('working', flush=True)\n"
        "        time.sleep(60)\n"
        "    finally:\n"
        "        print('cleaned', flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n"
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate()
    assert out == "cleaned\n"
    assert "error: Interrupted." in err
