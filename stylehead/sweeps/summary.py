"""Where a sweep is, in one line, and how long it still takes."""

import time
from collections import Counter
from collections.abc import Callable, Sequence

from stylehead.sweeps.journal import RunProgress
from stylehead.units import format_duration


class SweepPace:
    """Estimates when a sweep is done from what it did since it was first looked at.

    Args:
        clock: Seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._start, self._first = clock, clock(), -1

    def eta(self, progress: Sequence[RunProgress]) -> str:
        """Time left as "38m", or "?" before the first step."""
        done, total = sum(one.step for one in progress), sum(one.run.config.iterations for one in progress)
        if self._first < 0:
            self._first, self._start = done, self._clock()
        if done <= self._first:
            return "?"
        return format_duration((self._clock() - self._start) / (done - self._first) * (total - done))


def summarise_sweep(progress: Sequence[RunProgress], pace: SweepPace) -> str:
    """Say where a sweep is: "3 of 8 runs done, 1 failed; joker, seed 1 40/60; eta 12m"."""
    count = Counter(one.state for one in progress)
    failed = f", {count['failed']} failed" if count["failed"] else ""
    running = "; ".join(
        f"{one.run.label()} {one.step}/{one.run.config.iterations}"
        for one in progress
        if one.state == "running"
    )
    parts = [
        f"{count['finished']} of {len(progress)} runs done{failed}",
        running,
        f"eta {pace.eta(progress)}",
    ]
    return "; ".join(part for part in parts if part)
