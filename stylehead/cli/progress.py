"""Progress on stderr: a bar on a terminal, a plain line now and then anywhere else, nothing when quiet."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from stylehead.jobs.report import NONE, ProgressView, Values
from stylehead.units import format_duration

if TYPE_CHECKING:
    from stylehead.cli.output import Output

PLAIN_SECONDS = 10.0
"""Time between two plain lines: a log that stays silent longer looks hung."""


class Pace:
    """Counts steps and estimates what is left from the pace of this session.

    Args:
        total: Steps of the whole job.
        done: Steps that an earlier session did; they do not count for the pace.
        unit: What is counted.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        total: int,
        *,
        done: int = 0,
        unit: str = "step",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total = total
        self.unit = unit
        self.step = self._first = done
        self._clock = clock
        self._start = clock()

    def advance(self, step: int) -> None:
        """Note that `step` steps are done."""
        self.step = step

    def eta(self) -> str:
        """Time left as "38m", or "?" before the first step."""
        done = self.step - self._first
        if done <= 0:
            return "?"
        pace = (self._clock() - self._start) / done
        return format_duration(pace * (self.total - self.step))


class PlainReporter(ProgressView):
    """One line every few seconds, for logs and pipes.

    Args:
        output: Where lines go.
        meter: Counter, fresh.
        seconds: Time between two lines; the first and the last step are always shown.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        output: "Output",
        meter: Pace,
        *,
        seconds: float = PLAIN_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._output = output
        self._meter = meter
        self._seconds = seconds
        self._clock = clock
        self._last: float | None = None

    def update(self, step: int, *, values: Values = NONE, preview: Path | None = None) -> None:  # noqa: D102
        self._meter.advance(step)
        now = self._clock()
        if self._last is not None and now - self._last < self._seconds and step < self._meter.total:
            return
        self._last = now
        self._output.note(plain_line(self._meter, values=values, preview=preview))


class TerminalReporter(ProgressView):
    """A progress bar with the loss, the time left and the newest preview."""

    def __init__(self, output: "Output", meter: Pace, *, label: str) -> None:
        self._meter = meter
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=32),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[status]}"),
            console=output.stderr,
            transient=True,
            refresh_per_second=4,
        )
        self._task: TaskID = self._bar.add_task(label, total=meter.total, completed=meter.step, status="")
        self._bar.start()

    def update(self, step: int, *, values: Values = NONE, preview: Path | None = None) -> None:  # noqa: D102
        self._meter.advance(step)
        status = "  ".join(_facts(self._meter, values=values, preview=preview))
        self._bar.update(self._task, completed=step, status=status)

    def close(self) -> None:  # noqa: D102
        self._bar.stop()


def reporter(
    output: "Output", *, total: int, done: int = 0, label: str = "", unit: str = "step"
) -> ProgressView:
    """Choose how to show progress: nothing when quiet, a bar on a terminal, else plain lines."""
    meter = Pace(total, done=done, unit=unit)
    if output.mode == "quiet":
        return ProgressView()
    if output.stderr.is_terminal and not output.stderr.is_dumb_terminal:
        return TerminalReporter(output, meter, label=label)
    return PlainReporter(output, meter)


def plain_line(meter: Pace, *, values: Values = NONE, preview: Path | None = None) -> str:
    """Say where a job is: "step 250/10000  2.5%  loss 0.412  eta 38m  preview previews/x.jpg"."""
    share = f"{100 * meter.step / meter.total:.1f}%"
    return "  ".join(
        (f"{meter.unit} {meter.step}/{meter.total}", share, *_facts(meter, values=values, preview=preview))
    )


def _facts(meter: Pace, *, values: Values, preview: Path | None) -> list[str]:
    facts = [f"{name} {value:.3g}" for name, value in values.items()]
    facts.append(f"eta {meter.eta()}")
    return facts if preview is None else [*facts, f"preview {preview}"]
