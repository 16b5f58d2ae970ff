"""What can go wrong, as exceptions that carry one sentence and the next command.

The library raises these; only `stylehead.jobs.failures` turns them into text and exit codes.
"""

import os
import re
import shlex


class StyleheadError(Exception):
    """A failure the user can act on.

    Args:
        message: One sentence that says what is wrong, naming the value or path.
        hint: What to type or change next, without a trailing full stop when it is a command.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class JobError(StyleheadError):
    """The job itself failed: bad input file, NaN, verification mismatch."""

    exit_code = 1


class UsageError(StyleheadError):
    """An option or its value makes no sense."""

    exit_code = 2


class MissingError(StyleheadError):
    """A weight, an optional package or a GPU that the job needs is not there."""

    exit_code = 3


class LicenseError(StyleheadError):
    """A licence has to be accepted first."""

    exit_code = 4


class MemoryShortError(StyleheadError):
    """The machine ran out of memory; the hint names the flag that helps."""

    exit_code = 5


def quoted(path: object) -> str:
    """Write a path as a shell takes it, for commands in hints."""
    return shlex.quote(str(path))


def tensor_damage(error: BaseException) -> str:
    """Say what is wrong with a safetensors file: what follows its name in a sentence.

    Args:
        error: As its library or the system raises it.
    """
    said = str(error)
    code = re.search(r"os error (\d+)", said)
    if isinstance(error, OSError) or code:
        number = int(code[1]) if code else getattr(error, "errno", None)
        return "cannot be read" + (f" ({os.strerror(number)})" if number else "")
    if "not fully covered" in said:
        return "is damaged: it does not end where its beginning says"
    if "header too small" in said:
        return "is empty or cut short"
    if "header" in said:
        return "is no safetensors file, or its beginning is damaged"
    return "is damaged, or no safetensors file"
