"""The driver: every task comes to its end, whatever happens to the workers on the way."""

import time
from collections import Counter
from collections.abc import Callable, Iterable

from stylehead.sweeps.engine import Ended, Engine, Task

TRIES = 5
"""Workers that a task may lose before it counts as failed: something in it kills them."""
TICK_S = 0.5
PATIENCE_S = 600.0
"""How long tasks that were asked to stop may take to their next safe moment; then they stop at once."""
LAST_S = 30.0
"""How long tasks that were stopped at once may take to end; then nobody waits for them any more."""


class Driver:
    """Sees tasks through.

    Args:
        engine: Who runs them.
        tick: Called about twice a second, with the names of the tasks that run.
        on_end: Called when a task ended for good.
        asked: Whether all shall stop at a safe moment.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        tick: Callable[[set[str]], None] = lambda _running: None,
        on_end: Callable[[Ended], None] = lambda _ended: None,
        asked: Callable[[], bool] = lambda: False,
    ) -> None:
        self._engine, self._tick, self._on_end, self._asked = engine, tick, on_end, asked
        self._lost: Counter[str] = Counter()
        self._stopping = self._at_once = False
        self._until = float("inf")

    def run(self, tasks: Iterable[Task]) -> dict[str, Ended]:
        """Run tasks to their end; one that fails stops no other.

        Once it was asked to stop it waits for that; a `KeyboardInterrupt` stops all at once. Neither wait is
        endless: see `PATIENCE_S` and `LAST_S`.

        Returns:
            How each ended, by name.
        """
        ended: dict[str, Ended] = {}
        waiting = list(tasks)
        for task in waiting:
            self._engine.submit(task)
        while len(ended) < len(waiting) and not self._given_up():
            try:
                self._follow(ended)
            except KeyboardInterrupt:
                self._stop(at_once=True)
        silent = {task.name: Ended(task, "stopped") for task in waiting if task.name not in ended}
        return ended | silent

    def _given_up(self) -> bool:
        """Whether tasks did not end although they were stopped at once; those that linger are so stopped."""
        late = time.monotonic() > self._until
        if late and not self._at_once:
            self._stop(at_once=True)
            return False
        return late

    def _stop(self, *, at_once: bool) -> None:
        if not self._at_once:
            self._until = time.monotonic() + (LAST_S if at_once else PATIENCE_S)
        self._stopping, self._at_once = True, self._at_once or at_once
        self._engine.stop(at_once=at_once)

    def _follow(self, ended: dict[str, Ended]) -> None:
        if self._asked() and not self._stopping:
            self._stop(at_once=False)
        self._tick(self._engine.running())
        for one in self._engine.poll(TICK_S):
            final = self._final(one)
            if final is None:
                self._engine.submit(one.task)
            else:
                ended[one.task.name] = final
                self._on_end(final)

    def _final(self, one: Ended) -> Ended | None:
        """Return how a task ended for good; None for a lost one that is tried again."""
        if one.how != "lost":
            return one
        if self._stopping:
            return one._replace(how="stopped")
        self._lost[one.task.name] += 1
        if self._lost[one.task.name] < TRIES:
            return None
        why = f"{self._lost[one.task.name]} workers were lost with it; the last: {one.error}"
        return one._replace(how="failed", error=why, hint="it may need more memory: use fewer --workers")
