"""Facts about this machine and installation, for manifests and estimates."""

import importlib.metadata
import platform
import re
import subprocess
import sys
from pathlib import Path

from stylehead import __version__
from stylehead.errors import MissingError, UsageError

_PACKAGES = ("torch", "diffusers", "transformers", "safetensors", "numpy", "pillow", "av")


def versions() -> dict[str, str]:
    """Versions of this package, of Python, and of what computes."""
    found = {"stylehead": __version__, "python": platform.python_version(), "platform": platform.platform()}
    for name in _PACKAGES:
        found[name] = importlib.metadata.version(name)
    if (commit := git_commit()) is not None:
        found["commit"] = commit
    return found


def git_commit() -> str | None:
    """The commit of a source checkout, or None for an installed package."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    try:
        command = ["git", "-C", str(root), "rev-parse", "HEAD"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def choose_device(name: str) -> str:
    """Turn `auto`, `cpu`, `cuda` or `cuda:1` into a device that is there.

    Raises:
        UsageError: It is none of these.
        MissingError: There is no such GPU.
    """
    import torch

    if name == "mps":
        raise UsageError("`--device` (=mps) is not for this work: MPS has no doubles.", "--device cpu")
    found = re.fullmatch(r"auto|cpu|cuda(?::(\d+))?", name)
    if found is None:
        raise UsageError(f"`--device` (={name}) must be auto, cpu, cuda, or one of several such as cuda:1.")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise MissingError("There is no CUDA device that this PyTorch can use.", "--device cpu")
    if (index := found[1]) is not None and int(index) >= (count := torch.cuda.device_count()):
        last = f"cuda:{count - 1}" if count > 1 else "cuda"
        raise MissingError(f"There is no {name}: this machine has {count}.", f"--device {last}")
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return name


def device_name(device: str) -> str:
    """Name of a device for people."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"cpu ({platform.machine()}, {torch.get_num_threads()} threads)"


def peak_memory(device: str) -> dict[str, int]:
    """Largest memory use of this process so far, in bytes: of the process, and of the GPU if it is used."""
    import torch

    used: dict[str, int] = {}
    if sys.platform != "win32":
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        used["process"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    if device.startswith("cuda"):
        used["gpu"] = torch.cuda.max_memory_allocated(device)
    return used
