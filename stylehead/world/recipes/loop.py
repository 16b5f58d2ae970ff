"""The training loop that every recipe shares: a time budget, checkpoints, a moving average, a log.

A recipe says what one step is; the loop runs steps until its minutes are over and can go on from the last
checkpoint. Runs are stored like every other run of the program: safetensors and JSON, whole or not there.
"""

import contextlib
import copy
import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from stylehead.checkpoints import Checkpoint
from stylehead.errors import JobError
from stylehead.files import atomic_write
from stylehead.runs import RunDirectory


@dataclass(frozen=True)
class Budget:
    """How long and how often.

    Attributes:
        minutes: Time to train in this stretch, wall clock.
        checkpoint_minutes: Time between checkpoints.
        seed: Of everything random in the stretch.
        ema_decay: Of the moving average of the weights that is exported.
        last_rate: Part of the learning rate that is left at the end of the stretch; 1 when another follows.
        max_steps: Stop earlier, after this many steps; for tests.
    """

    minutes: float
    checkpoint_minutes: float = 4.0
    seed: int = 0
    ema_decay: float = 0.998
    last_rate: float = 0.04
    max_steps: int | None = None


class Recipe(Protocol):
    """What the loop needs to know of a training."""

    name: str
    learning_rate: float

    @property
    def model(self) -> nn.Module:
        """What is trained, averaged and stored."""
        ...

    def parameters(self) -> Iterable[nn.Parameter] | list[dict[str, object]]:
        """Parameters, or groups of them, for the optimiser."""
        ...

    def loss(self, progress: float, rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Loss of one step and figures for the log.

        Args:
            progress: How much of this stretch is over, 0..1.
            rng: Source of everything random in the step.
        """
        ...

    def warm_start(self, folder: Path) -> bool:
        """Begin with what the package embeds; False when it is not there or does not fit."""
        ...

    def export(self, averaged: nn.Module, folder: Path, metadata: Mapping[str, str]) -> None:
        """Write the files that the package embeds, from the averaged weights."""
        ...


def train(
    recipe: Recipe,
    budget: Budget,
    work: Path,
    export: Path,
    *,
    report: Callable[[str], None],
    device: torch.device | str = "cpu",
) -> dict[str, float]:
    """Train, or go on training, and export the averaged weights.

    Args:
        recipe: What to train.
        budget: How long.
        work: Folder of the run; an unfinished or finished run there is continued.
        export: Folder that gets the weights and the log.
        report: Takes one line of progress at a time.
        device: Where the recipe's model is put; what a step needs beside it has to follow it there.

    Returns:
        The figures of the last line of the log.

    Raises:
        JobError: The weights could not be written at the end, or no checkpoint can be read.
    """
    recipe.model.to(device)
    run = _open_or_create(work, recipe)
    with run.lock():
        found = run.checkpoints()
        if not found:
            there = recipe.warm_start(export)
            report(f"{recipe.name}: starting from {export if there else 'nothing'}")
        state = _TrainingState(recipe, budget)
        if found:
            _restore(state, found, report)
            report(f"{recipe.name}: going on from step {state.step}")
        figures = _steps(recipe, budget, state, run, report)
        _save(recipe, state, run, report)
        try:
            export.mkdir(parents=True, exist_ok=True)
            recipe.export(state.averaged, export, state.metadata())
            log = (work / "events.jsonl").read_text(encoding="utf-8")
            atomic_write(export / f"{recipe.name}.log.jsonl", log)
            run.update({"outcome": "finished", **state.metadata(), "steps": state.step})
        except OSError as error:
            hint = "make room and start again; the training goes on from its last checkpoint"
            raise JobError(f"The weights of {recipe.name} could not be written: {error}.", hint) from error
    return figures


def _restore(state: "_TrainingState", found: list[Checkpoint], report: Callable[[str], None]) -> None:
    """Go on from the last checkpoint that can be read.

    Raises:
        JobError: None can.
    """
    for checkpoint in reversed(found):
        try:
            state.restore(*checkpoint.load())
        except (JobError, OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            reason = " ".join(str(error).split())[:200]
            report(f"The checkpoint {checkpoint.path} is damaged and left out: {reason}")
        else:
            return
    hint = f"remove {found[-1].path.parent} to start from what was exported"
    raise JobError("No checkpoint of this training can be read.", hint)


def _save(recipe: Recipe, state: "_TrainingState", run: RunDirectory, report: Callable[[str], None]) -> None:
    """Write a checkpoint; where that fails, say so and leave the one before."""
    try:
        run.save_checkpoint(state.step, state.weights(), state.rest(), keep=2)
    except OSError as error:
        report(f"{recipe.name}: the checkpoint of step {state.step} could not be written ({error}); "
               "the one before is still there")  # fmt: skip


class _TrainingState:
    """Everything that a checkpoint holds."""

    def __init__(self, recipe: Recipe, budget: Budget) -> None:
        self.model = recipe.model
        self.averaged = copy.deepcopy(recipe.model).eval().requires_grad_(False)
        self.optimizer = torch.optim.Adam(recipe.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.99))
        self.base_rates = [group["lr"] for group in self.optimizer.param_groups]
        self.step = 0
        self.seconds = 0.0
        self.rng = torch.Generator().manual_seed(budget.seed)

    def weights(self) -> dict[str, Tensor]:
        """Trained and averaged weights under prefixes."""
        trained = {f"trained.{name}": tensor for name, tensor in self.model.state_dict().items()}
        return trained | {f"averaged.{name}": tensor for name, tensor in self.averaged.state_dict().items()}

    def rest(self) -> dict[str, object]:
        """Optimiser, random state, counters."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "rng": self.rng.get_state(),
            "step": self.step,
            "seconds": self.seconds,
        }

    def restore(self, weights: Mapping[str, Tensor], rest: Mapping[str, object]) -> None:
        """Undo `weights` and `rest`."""
        for prefix, module in (("trained.", self.model), ("averaged.", self.averaged)):
            part = {name.removeprefix(prefix): t for name, t in weights.items() if name.startswith(prefix)}
            module.load_state_dict(part)
        self.optimizer.load_state_dict(rest["optimizer"])  # type: ignore[arg-type]
        self.rng.set_state(rest["rng"])  # type: ignore[arg-type]
        self.step, self.seconds = int(rest["step"]), float(rest["seconds"])  # type: ignore[call-overload, arg-type]

    def average(self, decay: float) -> None:
        """Move the averaged weights towards the trained ones (slower once there are many steps)."""
        decay = min(decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for slow, fast in zip(self.averaged.parameters(), self.model.parameters(), strict=True):
                slow.lerp_(fast, 1 - decay)
            for kept, now in zip(self.averaged.buffers(), self.model.buffers(), strict=True):
                kept.copy_(now)

    def metadata(self) -> dict[str, str]:
        """How long it was trained, for the header of the exported file."""
        return {"steps": str(self.step), "minutes": f"{self.seconds / 60:.1f}"}


def learning_rate_factor(progress: float, step: int, *, warmup: int = 100, floor: float) -> float:
    """Linear warm-up, then a cosine from 1 down to `floor` over the stretch."""
    cosine = floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
    return cosine * min(1.0, (step + 1) / warmup)


def _steps(
    recipe: Recipe, budget: Budget, state: _TrainingState, run: RunDirectory, report: Callable[[str], None]
) -> dict[str, float]:
    started = saved = logged = time.monotonic()
    before, first_step, figures = state.seconds, state.step, _Figures()
    while True:
        elapsed = time.monotonic() - started
        done = state.step - first_step
        if elapsed >= budget.minutes * 60 or (budget.max_steps is not None and done >= budget.max_steps):
            break
        progress = elapsed / (budget.minutes * 60)
        factor = learning_rate_factor(progress, done, floor=budget.last_rate)
        for group, rate in zip(state.optimizer.param_groups, state.base_rates, strict=True):
            group["lr"] = rate * factor
        loss, values = recipe.loss(progress, state.rng)
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(state.model.parameters(), 10.0)
        if torch.isfinite(norm):
            state.optimizer.step()
        state.step += 1
        state.average(budget.ema_decay)
        state.seconds = before + time.monotonic() - started
        figures.add({"loss": float(loss.detach()), **values})
        if time.monotonic() - logged > 20:
            logged = time.monotonic()
            _log(recipe, state, figures, run, report)
        if time.monotonic() - saved > budget.checkpoint_minutes * 60:
            saved = time.monotonic()
            _save(recipe, state, run, report)
    return _log(recipe, state, figures, run, report)


def _log(
    recipe: Recipe,
    state: _TrainingState,
    figures: "_Figures",
    run: RunDirectory,
    report: Callable[[str], None],
) -> dict[str, float]:
    means = figures.means()
    line = {"step": state.step, "minutes": round(state.seconds / 60, 2), **means}
    with contextlib.suppress(OSError):  # a full disk ends no training
        run.log(line)
    report(f"{recipe.name} {json.dumps(line)}")
    return {**figures.last, **means}


class _Figures:
    """Means of what was logged since the last line."""

    def __init__(self) -> None:
        self.sums: dict[str, tuple[float, int]] = {}
        self.last: dict[str, float] = {}

    def add(self, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            total, count = self.sums.get(name, (0.0, 0))
            self.sums[name] = (total + value, count + 1)

    def means(self) -> dict[str, float]:
        means = {name: round(total / count, 5) for name, (total, count) in self.sums.items()}
        self.sums = {}
        self.last |= means
        return means


def _open_or_create(work: Path, recipe: Recipe) -> RunDirectory:
    if (work / "run.json").is_file():
        return RunDirectory.open(work)
    return RunDirectory.create(work, {"recipe": recipe.name})
