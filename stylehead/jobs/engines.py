"""Engines by name, and how many workers a machine or a GPU has room for."""

import math
import os
from typing import TYPE_CHECKING

from stylehead.errors import MissingError
from stylehead.jobs.environment import choose_device
from stylehead.jobs.worker import perform
from stylehead.memory import SMALL_IMAGE
from stylehead.sweeps import Engine, LocalEngine

if TYPE_CHECKING:
    from stylehead.jobs.sweep_arguments import EngineName

MEMORY_SHARE = 0.85
"""Part of the free memory that workers may fill."""
MOST_A_GPU = 8
"""Runs that share a GPU at most: they take turns on it."""
_ALONE = 0.25
"""Share of a GPU's memory above which a run has it alone: it keeps it busy, and plans with what is free."""
_CONTEXT_BYTES = 6 * 10**8
"""What CUDA and its libraries take in every process, beside tensors."""


def open_engine(
    *, engine: "EngineName" = "local", address: str | None, workers: int | None, device: str = "cpu"
) -> Engine:
    """Start an engine.

    Args:
        engine: Which.
        address: Of a Ray cluster.
        workers: At once; where nobody says, one of this machine, or as many as Ray has processors.
        device: Where tasks compute; GPUs of this machine are dealt out among local workers.

    Raises:
        MissingError: Its package is not installed.
        JobError: It cannot be reached.
    """
    if engine == "local" and address is None:
        return LocalEngine(workers or 1, gpus=count_gpus() if device == "cuda" else 0)
    from stylehead.sweeps.ray_engine import RayEngine

    return RayEngine(workers or processors(), perform, address=address)


def processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def count_gpus() -> int:
    """Return how many GPUs there are."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def gpu_memory(index: int = 0) -> int:
    """Return the memory of a GPU, in bytes."""
    import torch

    total: int = torch.cuda.get_device_properties(index).total_memory
    return total


def gpu_share(memory_bytes: int, gpu_bytes: int) -> float:
    """Return the share of a GPU that a run asks for: small ones share it as they fit, a large one is alone.

    Args:
        memory_bytes: What its tensors take at their most.
        gpu_bytes: Memory of the GPU.

    Returns:
        1 / n, rounded down to ten-thousandths, in which Ray counts.
    """
    needed = (memory_bytes + _CONTEXT_BYTES) / (MEMORY_SHARE * gpu_bytes)
    together = 1 if needed > _ALONE else min(MOST_A_GPU, int(1 / needed))
    return math.floor(10_000 / together) / 10_000


def usual_gpu_share(image_size: int) -> float:
    """Return the share of a GPU for work that nobody measured: small models share it, large ones do not.

    Args:
        image_size: Edge in pixels of the generator's pictures.
    """
    return 1.0 if image_size > SMALL_IMAGE else 1 / MOST_A_GPU


def worker_device(asked: str, engine: Engine, *, elsewhere: bool) -> str:
    """Return where the workers of an engine compute, `cpu` or `cuda`.

    Args:
        asked: `auto`, `cpu` or `cuda`.
        engine: The workers.
        elsewhere: Whether they are on other machines than this process.

    Raises:
        MissingError: They have no GPU, and were asked to use one.
    """
    if not elsewhere:
        return choose_device(asked).partition(":")[0]
    if asked == "cuda" and not engine.gpus:
        raise MissingError("No machine of the cluster has a GPU.", "--device cpu")
    return "cuda" if engine.gpus and asked != "cpu" else "cpu"


def room_for(memory_bytes: int, device: str) -> int:
    """Return how many tasks of some need fit on this machine at once, at least one.

    Args:
        memory_bytes: What a task needs of the memory of its device.
        device: `cpu` or `cuda`.
    """
    if device == "cuda":
        places = sum(int(1 / gpu_share(memory_bytes, gpu_memory(index))) for index in range(count_gpus()))
        return max(1, min(processors(), places))
    import psutil

    fits = int(MEMORY_SHARE * psutil.virtual_memory().available) // max(1, memory_bytes)
    return max(1, min(processors(), fits))
