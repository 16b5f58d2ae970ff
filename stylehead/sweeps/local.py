"""The engine of one machine: processes of this program, spoken to over pipes. No socket, no file."""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from stylehead.sweeps.engine import THREADS, Ended, Task

WORKER = (sys.executable, "-m", "stylehead.jobs.worker")
"""What a worker runs: it reads tasks from stdin and answers on stdout, a line of JSON each."""
_PATIENCE_S = 10.0


class LocalEngine:
    """Runs tasks in processes of this machine.

    A worker loads its libraries once and takes one task after the other. When this process dies, however that
    happens, the workers see the end of their stdin, stop at the next safe moment, and go.

    Args:
        workers: Processes at once.
        command: What a worker runs; `WORKER` when not given.
        gpus: GPUs that workers are dealt out to in turn; 0 leaves their environment as it is.
    """

    def __init__(self, workers: int, *, command: Sequence[str] | None = None, gpus: int = 0) -> None:
        self.workers, self._command, self.gpus = workers, tuple(command or WORKER), gpus
        self._slots: list[_Worker | None] = [None] * workers
        self._queue: deque[Task] = deque()
        self._inbox: queue.Queue[tuple[_Worker, str | None]] = queue.Queue()
        self._stopped: list[Ended] = []
        self._stopping = False

    def submit(self, task: Task) -> None:
        """Queue a task."""
        self._queue.append(task)
        self._fill()

    def resize(self, workers: int) -> None:
        """Have more workers from now on."""
        self._slots += [None] * (workers - self.workers)
        self.workers = workers
        self._fill()

    def running(self) -> set[str]:
        """Return the names of the tasks that have a worker."""
        return {worker.task.name for worker in self._slots if worker is not None and worker.task is not None}

    def poll(self, seconds: float) -> list[Ended]:
        """Return what ended."""
        ended, self._stopped = self._stopped, []
        with contextlib.suppress(queue.Empty):
            messages = [self._inbox.get(timeout=0 if ended else seconds)]
            while True:
                ended += [found for found in map(self._received, messages) if found is not None]
                messages = [self._inbox.get_nowait()]
        self._fill()
        return ended

    def stop(self, *, at_once: bool = False) -> None:
        """Ask what runs to end, and forget what waits."""
        self._stopping = True
        self._stopped += [Ended(task, "stopped") for task in self._queue]
        self._queue.clear()
        for worker in self._slots:
            if worker is not None and worker.task is not None:
                worker.end(at_once=at_once)

    def close(self) -> None:
        """End all workers."""
        for worker in self._slots:
            if worker is not None:
                worker.close()
        self._slots = [None] * self.workers

    def _fill(self) -> None:
        """Give waiting tasks to free workers, and start those that are not there yet."""
        for index, worker in enumerate(self._slots):
            if not self._queue:
                return
            if worker is None:
                worker = self._slots[index] = _Worker(self._command, self._environment(index), self._inbox)
            if worker.task is None:
                worker.give(self._queue.popleft())

    def _environment(self, index: int) -> dict[str, str]:
        own = {"CUDA_VISIBLE_DEVICES": _visible(index % self.gpus)} if self.gpus else {}
        return {**os.environ, **THREADS, **own}

    def _received(self, message: "tuple[_Worker, str | None]") -> Ended | None:
        """Make of what a worker wrote how its task ended; None for a worker that had none."""
        worker, line = message
        task, worker.task = worker.task, None
        if line is None:
            self._slots = [None if other is worker else other for other in self._slots]
            why = worker.epitaph()
            if task is None:
                return None
            return Ended(task, "stopped") if self._stopping else Ended(task, "lost", error=why)
        assert task is not None, line
        return Ended.from_answer(task, json.loads(line))


def _visible(index: int) -> str:
    """Name a GPU as CUDA does, within those that this process itself may see."""
    seen = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return seen.split(",")[index] if seen else str(index)


class _Worker:
    """One process, and the thread that listens to it."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], inbox: "queue.Queue[Any]"
    ) -> None:
        self.task: Task | None = None
        debugging = os.environ.get("STYLEHEAD_DEBUG") == "1"
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if debugging else subprocess.DEVNULL,
            env=dict(environment),
            text=True,
            start_new_session=True,  # Ctrl-C is for this process, which then asks its workers itself
        )
        self._listener = threading.Thread(target=self._listen, args=(inbox,), daemon=True)
        self._listener.start()

    def _listen(self, inbox: "queue.Queue[Any]") -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(ValueError, OSError):  # closed meanwhile
            for line in self._process.stdout:
                inbox.put((self, line))
        inbox.put((self, None))

    def give(self, task: Task) -> None:
        """Hand a task over; a worker that is gone by now is heard of by its listener."""
        self.task = task
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.write(json.dumps(task.message()) + "\n")
            self._process.stdin.flush()

    def end(self, *, at_once: bool) -> None:
        """Ask the process to stop politely, or kill it."""
        if at_once:
            self._process.kill()
        else:
            self._process.terminate()

    def epitaph(self) -> str:
        """Say how the process ended."""
        code = self._process.wait()
        self._shut()
        return f"The worker was killed (signal {-code})." if code < 0 else f"The worker ended with {code}."

    def close(self) -> None:
        """Let the process end by itself, as its stdin ends, or kill it when it does not."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(_PATIENCE_S if self.task is None else 10 * _PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._shut()

    def _shut(self) -> None:
        if threading.current_thread() is not self._listener:
            self._listener.join(_PATIENCE_S)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
