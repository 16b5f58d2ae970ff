"""How the runs of a sweep come along: one live table on a terminal, a plain line now and then elsewhere."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.live import Live
from rich.markup import escape
from rich.table import Table

from stylehead.cli.output import Output
from stylehead.cli.progress import PLAIN_SECONDS
from stylehead.sweeps.journal import RunProgress
from stylehead.sweeps.summary import SweepPace, summarise_sweep
from stylehead.units import format_duration

_ORDER = ("running", "failed", "stopped", "waiting", "finished")
"""Which runs are shown first where there is no room for all."""
_COLOURS = {"running": "cyan", "failed": "red", "finished": "green", "stopped": "yellow", "waiting": "dim"}
_ROOM = 6
"""Lines of a terminal that are not for runs."""


@contextmanager
def watching(output: Output) -> Iterator[Callable[[Sequence[RunProgress]], None]]:
    """Give a function that shows how all runs come along."""
    if output.mode == "quiet":
        yield lambda _: None
    elif output.stderr.is_terminal and not output.stderr.is_dumb_terminal:
        with Live(console=output.stderr, auto_refresh=False, transient=True) as live:
            pace = SweepPace()
            height = output.stderr.size.height
            yield lambda progress: live.update(table(progress, pace, height - _ROOM), refresh=True)
    else:
        yield PlainLines(output)


class PlainLines:
    """One line every few seconds, for logs and pipes.

    Args:
        output: Where lines go.
        clock: Seconds, monotonic.
    """

    def __init__(self, output: Output, clock: Callable[[], float] = time.monotonic) -> None:
        self._output, self._clock, self._last, self._said = output, clock, -PLAIN_SECONDS, ""
        self._pace = SweepPace(clock)

    def __call__(self, progress: Sequence[RunProgress]) -> None:
        """Say how many runs are done, and how far the others are."""
        now, line = self._clock(), summarise_sweep(progress, self._pace)
        ended = all(one.state in ("finished", "failed") for one in progress)
        if line == self._said or (now - self._last < PLAIN_SECONDS and not ended):
            return
        self._last, self._said = now, line
        self._output.note(line)


def table(progress: Sequence[RunProgress], pace: SweepPace, room: int) -> Table:
    """Draw all runs, or as many as there is room for, those first that move.

    Args:
        progress: Of all runs.
        pace: For the time left.
        room: Lines.
    """
    shown = Table(box=None, pad_edge=False, show_edge=False, header_style="bold", title_justify="left")
    for name in ("run", "state", "steps", "time", ""):
        shown.add_column(name, no_wrap=name != "", overflow="ellipsis" if name == "run" else "fold")
    kept = progress
    if len(progress) > max(room, 1):
        kept = sorted(progress, key=lambda one: _ORDER.index(one.state))[: max(room, 1)]
    for one in kept:
        steps = f"{one.step}/{one.run.config.iterations}"
        took = format_duration(one.seconds) if one.seconds else ""
        state = f"[{_COLOURS[one.state]}]{one.state}[/]"
        shown.add_row(escape(one.run.label()), state, steps, took, escape(one.error or ""))
    more = f", {len(progress) - len(kept)} more" if len(kept) < len(progress) else ""
    count = Counter(one.state for one in progress)
    shown.caption = f"{count['finished']} of {len(progress)} done{more}, eta {pace.eta(progress)}"
    shown.caption_justify = "left"
    return shown
