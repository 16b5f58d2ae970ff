"""What an iteration did and how a job ended, in numbers; and the counters and clocks behind them."""

import math
import time
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

import torch
from torch import Tensor

from stylehead.methods.contract import Terms
from stylehead.methods.draws import Draw

SMOOTHED = 50
"""Losses follow the heads of single iterations: only means of so many are compared."""


@dataclass(frozen=True)
class StepRecord:
    """What one iteration did.

    Args:
        step_index: DDIM step indices that were drawn, by stage.
        losses: Weighted regularisers, by name; only those that are switched on.
        gradient_rms: Root mean square of the gradient that each stage's latents received.
        parameter_gradient: Euclidean norm of the gradient on all trained parameters.
        non_finite: What was not finite and so left out: `single`, `grid`, or `step` (no update at all).
        iteration: Number of iterations done, this one included.
        seconds: Wall time by part (`render`, `teacher`, `backward`); a GPU queues work: only sums count.
        elapsed_s: Wall time of the job so far, earlier sessions of a resumed run included.
    """

    step_index: dict[str, list[int]]
    losses: dict[str, float]
    gradient_rms: dict[str, float]
    parameter_gradient: float
    non_finite: tuple[str, ...]
    iteration: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    elapsed_s: float = 0.0

    @property
    def usable(self) -> bool:
        """Whether the weights may move: something counts, and the gradient is finite."""
        return self.parameter_gradient < math.inf and bool(self.losses or self.gradient_rms)

    @classmethod
    def read(cls, draw: Draw, terms: Terms, norm: Tensor) -> Self:
        """Read all numbers of an iteration at once: the one time in it that a graphics card is waited for.

        Args:
            draw: Whose step indices are noted.
            terms: What was minimised; stages that were not finite do not count.
            norm: Euclidean norm of the gradient on all trained parameters.
        """
        tables = (terms.losses, terms.gradient_rms, terms.finite)
        steps = [draw.step_index[name] for name in terms.gradient_rms]
        numbers = iter(_read([norm, *(value for table in tables for value in table.values()), *steps]))
        (total,) = next(numbers)
        losses, rms, finite = ({name: next(numbers)[0] for name in table} for table in tables)
        indices = {name: [int(value) for value in next(numbers)] for name in terms.gradient_rms}
        bad = tuple(name for name, value in finite.items() if not value)
        return cls(
            step_index={name: value for name, value in indices.items() if name not in bad},
            losses={name: value for name, value in losses.items() if terms.stage_of.get(name) not in bad},
            gradient_rms={name: value for name, value in rms.items() if name not in bad},
            parameter_gradient=total,
            non_finite=bad,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, for an event log."""
        return {**asdict(self), "non_finite": list(self.non_finite)}


@dataclass(frozen=True)
class RunSummary:
    """How a job ended: iterations done, wall time, iterations with non-finite values, and what ended it."""

    iterations: int
    elapsed_s: float
    non_finite_steps: int
    ended_by: Literal["iterations", "time_budget", "no_improvement"]


@dataclass
class Progress:
    """What must survive a resume beside weights, optimiser and random states."""

    iteration: int = 0
    elapsed_s: float = 0.0
    non_finite_steps: int = 0
    non_finite_in_row: int = 0
    recent: list[float] = field(default_factory=list)
    """Losses of the last `SMOOTHED` iterations."""
    best: float = math.inf
    """The lowest mean of so many."""
    best_at: int = 0
    """The iteration that it was found in."""

    def note_loss(self, loss: float) -> None:
        """Remember the loss of the iteration that was just counted."""
        self.recent = [*self.recent, loss][-SMOOTHED:]
        mean = sum(self.recent) / len(self.recent)
        if len(self.recent) == SMOOTHED and mean < self.best:
            self.best, self.best_at = mean, self.iteration

    def stalled(self, patience: int) -> bool:
        """Whether that many iterations have found no lower mean; never with a patience of 0."""
        return patience > 0 and self.best < math.inf and self.iteration - self.best_at >= patience


def _read(tensors: list[Tensor]) -> list[list[float]]:
    """Return the numbers in small tensors, copied together; zeros for those on paper."""
    flat = torch.cat([tensor.detach().reshape(-1) for tensor in tensors])
    numbers = [0.0] * len(flat) if flat.is_meta else flat.tolist()
    parts = iter(numbers)
    return [[next(parts) for _ in range(tensor.numel())] for tensor in tensors]


@dataclass
class Clock:
    """Wall time since the last mark, by name."""

    seconds: dict[str, float] = field(default_factory=dict)
    last: float = field(default_factory=time.perf_counter)

    def mark(self, name: str) -> None:
        """Note the time since the last mark under a name."""
        now = time.perf_counter()
        self.seconds[name] = now - self.last
        self.last = now
