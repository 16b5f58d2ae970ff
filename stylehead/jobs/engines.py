"""Engines by name, and how many workers a machine has room for."""

import os
from typing import TYPE_CHECKING

from stylehead.jobs.worker import perform
from stylehead.sweeps import Engine, LocalEngine

if TYPE_CHECKING:
    from stylehead.jobs.sweep_arguments import EngineName

MEMORY_SHARE = 0.85
"""Part of the free memory that workers may fill."""


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


def room_for(memory_bytes: int, device: str) -> int:
    """Return how many tasks of some need fit on this machine at once, at least one.

    Args:
        memory_bytes: What a task needs of the memory of its device.
        device: `cpu` or `cuda`.
    """
    if device == "cuda":
        import torch

        sizes = [torch.cuda.get_device_properties(index).total_memory for index in range(count_gpus())]
        return max(1, sum(int(MEMORY_SHARE * size) // max(1, memory_bytes) for size in sizes))
    import psutil

    fits = int(MEMORY_SHARE * psutil.virtual_memory().available) // max(1, memory_bytes)
    return max(1, min(processors(), fits))
