"""A worker: takes tasks, a line of JSON each, and answers how they ended. See `stylehead.sweeps`.

When the process that started it goes, its stdin ends: what it does then stops at the next safe moment, as
after Ctrl-C, and the worker goes, too.
"""

import contextlib
import importlib
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Mapping
from typing import Any, TextIO

from stylehead.jobs.failures import INTERRUPTED, explain
from stylehead.jobs.signals import polite
from stylehead.processes import keep_freed_memory, leave_no_folder, share_processors


def perform(task: Mapping[str, Any]) -> dict[str, Any]:
    """Do one task in this process, on one thread.

    Args:
        task: `function`, as `package.module:function`, its `arguments`, and the `folder` that the driver is
            in.

    Returns:
        `how` it ended (`done`, `failed` or `stopped`), with `value` or `error` and `hint`. Nothing is raised.
    """
    try:
        leave_no_folder()
        _one_thread()
        module, _, name = task["function"].partition(":")
        with polite(), _where_the_driver_is(task["folder"]):
            value = getattr(importlib.import_module(module), name)(**task["arguments"])
        return {"how": "done", "value": value}
    except BaseException as error:
        failure = explain(error)
        how = "stopped" if failure.exit_code == INTERRUPTED else "failed"
        return {"how": how, "error": failure.message, "hint": failure.hint}


def _where_the_driver_is(folder: str) -> contextlib.AbstractContextManager[None]:
    """Work in the driver's folder: relative paths hold, and sentences name files as the user does.

    A machine that lacks it stays where it is; there absolute paths on shared storage hold.
    """
    return contextlib.chdir(folder) if os.path.isdir(folder) else contextlib.nullcontext()


def _one_thread() -> None:
    """See that torch keeps to one thread; if it is not imported yet, the environment of workers does."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != 1:
        torch.set_num_threads(1)


def main() -> None:
    """Take tasks from stdin until it ends."""
    answers = _keep_stdout_for_answers()
    keep_freed_memory()
    share_processors()
    inbox: queue.Queue[str | None] = queue.Queue()
    busy = threading.Event()
    threading.Thread(target=_listen, args=(inbox, busy), daemon=True).start()
    while (line := inbox.get()) is not None:
        busy.set()
        answer = perform(json.loads(line))
        busy.clear()
        answers.write(json.dumps(answer) + "\n")  # numbers may be NaN, which Python's reader takes
        answers.flush()


def _keep_stdout_for_answers() -> TextIO:
    """Move stdout elsewhere, and let what libraries print go to stderr."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _listen(inbox: "queue.Queue[str | None]", busy: threading.Event) -> None:
    for line in sys.stdin:
        inbox.put(line)
    inbox.put(None)
    if busy.is_set():
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
