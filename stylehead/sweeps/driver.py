"""The driver: every task comes to its end, whatever happens to the workers on the way."""

from collections import Counter
from collections.abc import Callable, Iterable

from stylehead.sweeps.engine import Ended, Engine, Task

TRIES = 5
"""Workers that a task may lose before it counts as failed: something in it kills them."""
TICK_S = 0.5


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
        self._stopping = False

    def run(self, tasks: Iterable[Task]) -> dict[str, Ended]:
        """Run tasks to their end; one that fails stops no other.

        Once it was asked to stop it waits for that; a `KeyboardInterrupt` stops all at once.

        Returns:
            How each ended, by name.
        """
        ended: dict[str, Ended] = {}
        waiting = list(tasks)
        for task in waiting:
            self._engine.submit(task)
        while len(ended) < len(waiting):
            try:
                self._follow(ended)
            except KeyboardInterrupt:
                self._stopping = True
                self._engine.stop(at_once=True)
        return ended

    def _follow(self, ended: dict[str, Ended]) -> None:
        if self._asked() and not self._stopping:
            self._stopping = True
            self._engine.stop()
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
