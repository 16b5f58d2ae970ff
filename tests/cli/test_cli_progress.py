"""Progress: lines in a log, a bar on a terminal, silence when quiet."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from stylehead.cli.output import Output
from stylehead.cli.progress import (
    Pace,
    PlainReporter,
    TerminalReporter,
    plain_line,
    reporter,
)
from stylehead.jobs.report import ProgressView
from stylehead.units import format_bytes, format_duration


class Clock:
    """Time that tests turn by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_plain_line_has_all_the_facts() -> None:
    clock = Clock()
    meter = Pace(10_000, clock=clock)
    clock.now += 60
    meter.advance(250)
    line = plain_line(meter, values={"loss": 0.4123}, preview=Path("previews/step_000250.jpg"))
    assert line == "step 250/10000  2.5%  loss 0.412  eta 39m  preview previews/step_000250.jpg"


def test_the_first_line_has_no_estimate() -> None:
    assert plain_line(Pace(10)) == "step 0/10  0.0%  eta ?"


def test_a_resumed_job_estimates_from_its_own_pace() -> None:
    clock = Clock()
    meter = Pace(100, done=90, clock=clock)
    clock.now += 10
    meter.advance(95)
    assert meter.eta() == "10s"


def test_lines_come_now_and_then_but_always_first_and_last(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    shown = PlainReporter(Output(), Pace(100, clock=clock), seconds=10, clock=clock)
    with shown:
        for step in range(1, 101):
            clock.now += 1
            shown.update(step, values={"loss": 1.0})
    said = capsys.readouterr()
    steps = [int(line.split()[1].split("/")[0]) for line in said.err.splitlines()]
    assert steps == [1, 11, 21, 31, 41, 51, 61, 71, 81, 91, 100]
    assert said.out == ""


def test_the_reporter_fits_the_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert type(reporter(Output("quiet"), total=3)) is ProgressView
    assert type(reporter(Output("human"), total=3)) is PlainReporter
    assert type(reporter(Output("json"), total=3)) is PlainReporter
    monkeypatch.setattr(Console, "is_terminal", property(lambda self: True))
    assert type(reporter(Output("human"), total=3)) is PlainReporter  # TERM=dumb
    monkeypatch.setenv("TERM", "xterm-256color")
    with reporter(Output("human"), total=3, label="Rendering") as bar:
        assert type(bar) is TerminalReporter
        bar.update(2, values={"loss": 0.5}, preview=Path("previews/x.jpg"))
    assert "Rendering" in capsys.readouterr().err


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with reporter(Output("quiet"), total=2) as shown:
        shown.update(1)
        shown.update(2)
    said = capsys.readouterr()
    assert said.out + said.err == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0s"), (42, "42s"), (99, "99s"), (100, "2m"), (2280, "38m"), (7500, "2h05m"), (360000, "100h00m")],
)
def test_durations(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1400, "1.4 kB"),
        (7_400_000, "7.4 MB"),
        (123_000_000, "123 MB"),
        (3.2e9, "3.2 GB"),
    ],
)
def test_sizes(count: float, text: str) -> None:
    assert format_bytes(count) == text


@given(st.floats(0, 1e15))
def test_sizes_are_always_short(count: float) -> None:
    assert len(format_bytes(count)) < 15
