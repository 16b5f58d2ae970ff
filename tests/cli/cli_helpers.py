"""What the command-line tests share."""

from collections.abc import Callable
from typing import NamedTuple


class Outcome(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str

    def __str__(self) -> str:
        return f"exit code {self.code}\n--- stdout\n{self.out}--- stderr\n{self.err}"


Run = Callable[..., Outcome]

FAST = ("--iterations", "4", "--checkpoint-every", "2", "--preview-every", "2", "--prompt", "Pixar character")
STEADY = (*FAST, "--learning-rate-end", "1", "--step-window", "0")
"""With nothing that goes by the length of a run, one that is made longer equals a long one."""
LIGHT = (*FAST, "--no-grid", "--no-canny", "--preview-every", "0")
