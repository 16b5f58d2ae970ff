"""How a job tells a Python caller how it comes along: at every step, a callback."""

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from stylehead.jobs.report import NONE, ProgressView, Values

_LOG = logging.getLogger("stylehead")


@dataclass(frozen=True)
class Step:
    """How a job comes along, as a progress callback gets it; `str` of it is a line for people."""

    step: int
    """Steps done."""
    total: int
    """Steps of the whole job."""
    label: str
    """What is going on."""
    unit: str = "step"
    """What is counted."""
    values: Values = field(default_factory=dict)
    """Numbers worth watching, by name."""
    preview: Path | None = None
    """Newest preview picture, relative to the run's folder."""

    def __str__(self) -> str:
        facts = [f"{name} {value:.3g}" for name, value in self.values.items()]
        return "  ".join((f"{self.label}: {self.unit} {self.step}/{self.total}", *facts))


OnStep = Callable[[Step], object]
"""Takes every step."""


class _CallbackView(ProgressView):
    """Calls back at every step."""

    def __init__(self, call: OnStep, *, total: int, label: str, unit: str) -> None:
        self._call, self._total, self._label, self._unit = call, total, label, unit

    def update(self, step: int, *, values: Values = NONE, preview: Path | None = None) -> None:
        self._call(Step(step, self._total, self._label, self._unit, dict(values), preview))


class CallbackReport:
    """The report of a call from Python: steps go to a callback, warnings to `warnings`, notes to a logger."""

    def __init__(self, on_step: OnStep | None) -> None:
        self._on_step = on_step

    def note(self, text: str) -> None:
        """Log what is going on."""
        _LOG.info(text)

    def warn(self, text: str) -> None:
        """Warn of what may not be what the caller expects."""
        warnings.warn(text, stacklevel=2)

    def progress(self, *, total: int, done: int = 0, label: str = "", unit: str = "step") -> ProgressView:
        """Follow `total` steps; see `Report`."""
        del done
        return (
            ProgressView()
            if self._on_step is None
            else _CallbackView(self._on_step, total=total, label=label, unit=unit)
        )
