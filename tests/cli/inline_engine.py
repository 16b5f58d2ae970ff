"""An engine without workers."""

import json
from collections import deque

from stylehead.jobs.worker import perform
from stylehead.sweeps import Ended, Task


class Inline:
    """Does tasks in this process, one by one, when somebody asks.

    Args:
        last_first: Do the last one first.
        stopping: Stop all of them.
    """

    def __init__(self, *, last_first: bool = False, stopping: bool = False) -> None:
        self.workers, self.gpus, self.queue, self.submitted = 1, 0, deque[Task](), list[Task]()
        self.last_first, self.stopping = last_first, stopping

    def submit(self, task: Task) -> None:
        self.queue.append(task)
        self.submitted.append(task)

    def resize(self, workers: int) -> None:
        self.workers = workers

    def running(self) -> set[str]:
        return {task.name for task in list(self.queue)[: self.workers]}

    def poll(self, seconds: float) -> list[Ended]:
        if self.stopping:
            ended, self.queue = [Ended(task, "stopped") for task in self.queue], deque()
            return ended
        task = self.queue.pop() if self.last_first else self.queue.popleft()
        return [
            Ended.from_answer(task, json.loads(json.dumps(perform(json.loads(json.dumps(task.message()))))))
        ]

    def stop(self, *, at_once: bool = False) -> None:
        self.stopping = True

    def close(self) -> None: ...
