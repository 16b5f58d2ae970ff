"""The engine of many machines: Ray. Nothing else in this program imports it.

Without an address a cluster of this machine alone is started, and stopped at the end. It listens on loopback
only, with a token that is nowhere written down; it keeps its files in a temporary folder that goes with it,
and sends nothing to anybody.
"""

import contextlib
import io
import os
import secrets
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from stylehead.errors import JobError, MissingError
from stylehead.folders import drop_scratch
from stylehead.sweeps.engine import THREADS, Ended, Task
from stylehead.sweeps.waking import waits_end_on_interrupt
from stylehead.units import format_bytes

OBJECT_STORE_BYTES = 100 * 2**20
"""Shared memory for what tasks take and return: settings and numbers; pictures and weights go by files."""
_PREFIX = "stylehead-ray-"
_LONGEST = 15
"""Letters of a folder in which Ray's sockets still have names that the system takes."""
_ENVIRONMENT = {
    # Ray then takes the machine's loopback address for its own; `_node_ip_address` alone does not do that
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "RAY_worker_niceness": "0",  # as other engines' workers; 15 otherwise
}


class RayEngine:
    """Runs tasks on a Ray cluster.

    Args:
        workers: Tasks at once.
        perform: What a worker calls with a task's message, of an importable module; it raises nothing.
        address: Of a cluster that the user named; None starts one on this machine.

    Raises:
        MissingError: Ray is not installed.
        JobError: There is no such cluster.
    """

    def __init__(
        self, workers: int, perform: Callable[[dict[str, Any]], dict[str, Any]], *, address: str | None = None
    ) -> None:
        self.workers = workers
        self._folder: Path | None = None
        self._ray = self._connect(address)
        self.gpus = int(self._ray.cluster_resources().get("GPU", 0))
        self._spread = address is not None
        self._perform, self._remote = perform, self._ray.remote(_interruptible)
        self._tasks: dict[Any, Task] = {}
        self._refused: list[Ended] = []
        self._queue: list[Task] = []
        self._stopping = False

    def submit(self, task: Task) -> None:
        """Queue a task; one that no machine has room for would wait for ever, and fails."""
        why = self._misfit(task)
        if why is None:
            self._queue.append(task)
        else:
            self._refused.append(Ended(task, "failed", error=why, hint="add a machine that has it"))
        self._fill()

    def resize(self, workers: int) -> None:
        """Have more or fewer tasks at once from now on."""
        self.workers = workers
        self._fill()

    def running(self) -> set[str]:
        """Return the names of the tasks that the cluster has."""
        return {task.name for task in self._tasks.values()}

    def poll(self, seconds: float) -> list[Ended]:
        """Return what ended."""
        ended, self._refused = self._refused, []
        if self._stopping and self._queue:
            ended += [Ended(task, "stopped") for task in self._queue]
            self._queue = []
        if self._tasks:
            ready, _ = self._ray.wait(list(self._tasks), timeout=0 if ended else seconds)
            ended += [self._received(reference) for reference in ready]
        self._fill()
        return ended

    def stop(self, *, at_once: bool = False) -> None:
        """Ask what runs to end, and forget what waits."""
        self._stopping = True
        for reference in self._tasks:
            self._ray.cancel(reference, force=at_once)

    def close(self) -> None:
        """Leave the cluster; one that was started here ends, and its files go."""
        self._forget(self._ray)

    def _forget(self, ray: Any) -> None:
        ray.shutdown()
        if self._folder is not None:
            drop_scratch(self._folder)

    def _fill(self) -> None:
        while self._queue and len(self._tasks) < self.workers and not self._stopping:
            task = self._queue.pop(0)
            needs = {"memory": task.memory_bytes} if self._spread and task.memory_bytes else {}
            remote = self._remote.options(num_cpus=1, num_gpus=task.gpus, max_retries=0, **needs)
            self._tasks[remote.remote(self._perform, task.message())] = task

    def _misfit(self, task: Task) -> str | None:
        """Say why no machine that the cluster has now could ever take a task; None when one could."""
        if not self._spread:
            return None
        machines = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        machines = [has for has in machines if has.get("CPU", 0) >= 1]
        if not machines or any(_fits(task, has) for has in machines):  # without any yet, some are to come
            return None
        most = format_bytes(max(has.get("memory", 0) for has in machines))
        share = f" and {task.gpus:g} of a GPU" if task.gpus else ""
        needed = f"{format_bytes(task.memory_bytes)} of memory{share}"
        return f"It needs {needed}, which no machine of the cluster has; the largest has {most}."

    def _received(self, reference: Any) -> Ended:
        task, errors = self._tasks.pop(reference), self._ray.exceptions
        try:
            return Ended.from_answer(task, self._ray.get(reference))
        except errors.TaskCancelledError:
            return Ended(task, "stopped")
        except errors.RayTaskError as error:
            return self._broken(task, "failed", " ".join(str(error.cause).split()))
        except errors.RayError as error:
            return self._broken(task, "lost", f"The worker was lost ({type(error).__name__}).")

    def _broken(self, task: Task, how: Literal["failed", "lost"], why: str) -> Ended:
        return Ended(task, "stopped") if self._stopping else Ended(task, how, error=why)

    def _connect(self, address: str | None) -> Any:
        os.environ |= _ENVIRONMENT
        if address is None and not {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys():
            os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)  # else Ray writes one into the user's folder
        ray = require_ray()
        quiet = {"logging_level": "ERROR", "log_to_driver": False, "configure_logging": False}
        shared = {**quiet, "runtime_env": {"env_vars": THREADS}}
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # it says how to switch its token off
                self._start(ray, address, shared)
        except BaseException as error:
            self._forget(ray)
            if not isinstance(error, Exception):  # Ray raises just that where it does not start in time
                raise
            where = "on this machine" if address is None else f"at {address}"
            raise JobError(
                f"There is no Ray cluster {where}: {' '.join(str(error).split())[:200]}"
            ) from error
        return ray

    def _start(self, ray: Any, address: str | None, shared: dict[str, Any]) -> None:
        if address is not None:
            ray.init(address=address, **shared)
            return
        from ray._private import ray_constants

        ray_constants.ENABLE_RAY_CLUSTER = False  # as in the environment, for those who imported Ray before
        ray.init(**self._own_cluster(), **shared)

    def _own_cluster(self) -> dict[str, Any]:
        _drop_old_folders()
        self._folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=_temporary()))
        return {
            "num_cpus": self.workers,
            "include_dashboard": False,
            "object_store_memory": OBJECT_STORE_BYTES,
            "_node_ip_address": "127.0.0.1",
            "_temp_dir": str(self._folder),
        }


def _interruptible(perform: Callable[[dict[str, Any]], dict[str, Any]], message: dict[str, Any]) -> Any:
    """Do a task in a worker of Ray, such that to cancel it also ends what it waits for."""
    with waits_end_on_interrupt():
        return perform(message)


def _fits(task: Task, machine: Mapping[str, float]) -> bool:
    return machine.get("memory", 0) >= task.memory_bytes and machine.get("GPU", 0) >= task.gpus


def require_ray() -> Any:
    """Import Ray.

    Raises:
        MissingError: It is not installed.
    """
    os.environ |= _ENVIRONMENT  # read when it is imported
    try:
        import ray
    except ImportError as error:
        raise MissingError("The engine ray needs a package.", "pip install 'stylehead[cluster]'") from error
    return ray


def _temporary() -> Path:
    """Return the user's temporary folder, or the system's where that one's name is too long for sockets."""
    usual, short = Path(tempfile.gettempdir()), Path("/tmp")
    return short if len(str(usual)) > _LONGEST and short.is_dir() else usual


def _drop_old_folders() -> None:
    """Remove the temporary folders of processes that were killed."""
    for folder in _temporary().glob(f"{_PREFIX}*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        with contextlib.suppress(OSError):
            if pid.isdigit() and folder.stat().st_uid == os.getuid() and not _alive(int(pid)):
                drop_scratch(folder)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
