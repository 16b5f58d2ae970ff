"""This process: how it frees memory and waits for processors, and whether it is one of several of a run.

Nothing heavy is imported: some of it must be said before torch is.
"""

import contextlib
import ctypes
import os
import sys
import tempfile

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_ALL = 2**31 - 1
_COMPILED = "TORCHINDUCTOR_CACHE_DIR"


def keep_freed_memory() -> bool:
    """Have this process keep what it frees, for the next tensor of that size.

    By default glibc maps every large tensor anew, and the system fills it with zeros page by page: on a CPU a
    sixth of the time of a training step. The process then stays as large as it once was.

    Returns:
        Whether it worked; False where the C library is another one.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, _ALL))


def share_processors() -> None:
    """Let threads that wait sleep soon, unless the user says otherwise; before torch is imported.

    By default OpenMP's threads spin for milliseconds while they wait for each other. Beside another program
    that keeps the processors busy, a step then takes many times as long as it need. Threads that sleep at
    once are no better: waking them on idle processors costs a quarter of a step. To spin for a microsecond or
    so has the best of both.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # GNU's OpenMP, which is torch's on Linux
        os.environ.setdefault("KMP_BLOCKTIME", "0")  # milliseconds: LLVM's and Intel's
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def leave_no_folder() -> None:
    """Keep torch from making a folder for compiled networks when it is imported; before it is."""
    with contextlib.suppress(OSError):  # a disk that is full
        os.environ.setdefault(_COMPILED, tempfile.gettempdir())  # which is there


def allow_compiling() -> None:
    """Have compiled networks go where torch puts them by itself, or where the user says."""
    with contextlib.suppress(OSError):
        if os.environ.get(_COMPILED) == tempfile.gettempdir():
            del os.environ[_COMPILED]


def how_many() -> int:
    """Return how many processes were started for one run, as `torchrun` and `accelerate launch` do it."""
    size = os.environ.get("WORLD_SIZE", "1")
    return int(size) if size.isdigit() and "RANK" in os.environ else 1


def is_follower() -> bool:
    """Whether another process writes and speaks."""
    return how_many() > 1 and os.environ["RANK"] != "0"
