"""How a job tells its caller how it comes along, and what it made; nothing here knows a terminal."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

Values = Mapping[str, float]
NONE: Values = {}


@dataclass(frozen=True)
class Result:
    """What a job made."""

    primary: tuple[Path | str, ...]
    """The paths that a script goes on with; what `-q` prints, one a line."""
    rows: tuple[tuple[str, Path | str], ...]
    """Label and value of every line for people."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """The JSON document; paths may be `Path` objects."""
    next: tuple[str, ...] = ()
    """Commands worth typing next."""


class ProgressView:
    """Follows the steps of a job; use it as a context manager. This one shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def update(self, step: int, *, values: Values = NONE, preview: Path | None = None) -> None:
        """Note that `step` steps are done.

        Args:
            step: Steps done.
            values: Numbers worth watching, by name.
            preview: Newest preview picture, if there is one.
        """

    def close(self) -> None:
        """Stop showing."""


class Report(Protocol):
    """What a job needs of its caller."""

    def note(self, text: str) -> None:
        """Say what is going on."""

    def warn(self, text: str) -> None:
        """Say what may not be what the user expects."""

    def progress(self, *, total: int, done: int = 0, label: str = "", unit: str = "step") -> ProgressView:
        """Start to follow `total` steps, of which an earlier session did `done`.

        Args:
            total: Steps of the whole job.
            done: Steps that do not count for the pace.
            label: What is going on, for people.
            unit: What is counted.
        """
        ...


class Silent:
    """Reports nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""

    def warn(self, text: str) -> None:
        """Say nothing."""

    def progress(self, *, total: int, done: int = 0, label: str = "", unit: str = "step") -> ProgressView:
        """Follow nothing."""
        del total, done, label, unit
        return ProgressView()
