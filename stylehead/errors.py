"""What can go wrong, as exceptions that carry one sentence and the next command.

The library raises these; only `stylehead.jobs.failures` turns them into text and exit codes.
"""

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
