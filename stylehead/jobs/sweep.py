"""A sweep: many runs on many workers, seen through to a sheet and a table."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from stylehead.errors import StyleheadError, UsageError
from stylehead.folders import hold
from stylehead.jobs.arguments import EvaluateArguments
from stylehead.jobs.disk import bytes_of_many, check_disk
from stylehead.jobs.engines import gpu_share, open_engine, room_for, worker_device
from stylehead.jobs.environment import choose_device
from stylehead.jobs.failures import StoppedError, explain
from stylehead.jobs.report import Report, Result
from stylehead.jobs.signals import StopRequest
from stylehead.jobs.sweep_arguments import Asked, SweepArguments, read_sweep
from stylehead.jobs.sweep_sheet import write_sweep_sheet
from stylehead.runs import slugify
from stylehead.sweeps import Driver, Ended, Engine, Task
from stylehead.sweeps.journal import Journal, RunProgress, check_sweep_folder
from stylehead.sweeps.plan import Planned
from stylehead.units import format_bytes, format_duration

SWEEPS = Path("sweeps")
SHEET, TABLE, PAGE = "sheet.jpg", "table.csv", "report.html"
MUCH_S = 3600.0
"""Time from which on a sweep has to be agreed to."""
_TRAIN, _COST = "stylehead.jobs.sweep_tasks:train_planned", "stylehead.jobs.sweep_tasks:cost"
_CHEAP = ("prompt", "seed", "instruction", "negative_prompt")
"""Settings that do not change what a run costs, beside all sizes of numbers that are not whole."""

View = Callable[[Sequence[RunProgress]], None]
"""Shows how all runs come along."""


class SweepCost(NamedTuple):
    """What a sweep costs.

    Attributes:
        runs: Still to be done.
        seconds: Of all of them, one after the other.
        workers: At once.
        memory_bytes: Of the neediest.
        disk_bytes: Of all of them, with the checkpoints of those that still train.
        measured: Whether steps were timed, or everything is estimated.
        gpus: Share of a GPU of the neediest, 0..1.
    """

    runs: int
    seconds: float
    workers: int
    memory_bytes: int
    disk_bytes: int
    measured: bool
    gpus: float = 0.0

    @property
    def wall_s(self) -> float:
        """Return how long it takes."""
        return max(self.seconds / self.workers, self.seconds / max(1, self.runs))

    def rows(self) -> tuple[tuple[str, str], ...]:
        """Say it for people."""
        how = "measured on a few steps" if self.measured else "estimated"
        shared = f", {round(1 / self.gpus)} of them a GPU" if self.gpus else ""
        return (
            ("runs", f"{self.runs} to train, {self.workers} at once{shared}"),
            ("time", f"about {format_duration(self.wall_s)}, {format_duration(self.seconds)} of work; {how}"),
            ("memory", f"{format_bytes(self.memory_bytes)} a worker"),
            ("disk", f"{format_bytes(self.disk_bytes)} at most"),
        )


class Swept(NamedTuple):
    """What a sweep made.

    Attributes:
        folder: Of the sweep.
        progress: How each run ended.
        result: What the command line prints.
    """

    folder: Path
    progress: list[RunProgress]
    result: Result

    @property
    def failed(self) -> list[RunProgress]:
        """Return the runs that failed."""
        return [one for one in self.progress if one.state == "failed"]


def sweep(
    arguments: SweepArguments,
    report: Report,
    *,
    command: str,
    agree: Callable[[SweepCost], bool] = lambda _cost: True,
    view: View = lambda _progress: None,
) -> Swept:
    """Train all runs of a sweep that are not trained yet, draw the sheet, and measure.

    Args:
        arguments: What was asked for.
        report: For notes and warnings.
        command: How it was asked for; the same command goes on.
        agree: Asked before more than an hour of work.
        view: Shown how all runs come along, about twice a second.

    Raises:
        UsageError: The arguments do not go together, or nobody agreed.
        StoppedError: The user pressed Ctrl-C; the same command goes on.
        StyleheadError: Weights are missing, or an engine, or it does not fit on the disk.
    """
    job = Sweep(read_sweep(arguments), report, command)
    with job.engine():
        cost = job.cost()
        check_disk(job.journal.folder, cost.disk_bytes, "The sweep")
        if cost.wall_s > MUCH_S and not agree(cost):
            raise UsageError(f"This takes about {format_duration(cost.wall_s)}.", f"{command} --yes")
        with hold(job.journal.folder, "working on the sweep"):
            job.train(cost.workers, view)
    with hold(job.journal.folder, "working on the sweep"):
        return job.finish(cost.workers)


def foretell_sweep(arguments: SweepArguments, report: Report) -> Result:
    """Say what a sweep would do and cost; nothing is written.

    Raises:
        StyleheadError: As `sweep`.
    """
    job = Sweep(read_sweep(arguments), report, "")
    with job.engine():
        cost = job.cost()
    check_disk(job.journal.folder, cost.disk_bytes, "The sweep")
    runs = [(one.run.label(), _planned(one)) for one in job.journal.progress()]
    data = {
        "dry_run": True,
        "folder": job.journal.folder,
        **cost._asdict(),
        "wall_seconds": cost.wall_s,
        "plan": [{"name": run.name, "settings": run.config.to_dict()} for run in job.journal.plan],
    }
    rows = (("would write", f"{job.journal.folder}/"), *cost.rows(), ("", ""), *runs)
    return Result((job.journal.folder,), rows, data)


class Sweep:
    """One sweep.

    Args:
        asked: Its arguments and its plan.
        report: For notes and warnings.
        command: How it was asked for.
    """

    def __init__(self, asked: Asked, report: Report, command: str) -> None:
        self._arguments, self._report, self._command = asked.arguments, report, command
        folder = asked.arguments.out or _usual_folder(asked)
        check_sweep_folder(folder)
        self.journal = Journal(folder, asked.plan)
        self._labels = {run.name: run.label() for run in asked.plan}
        elsewhere = asked.arguments.address is not None
        self._device = choose_device("auto" if elsewhere else asked.arguments.device)
        self._engine: Engine | None = None
        self._needs: dict[str, dict[str, Any]] = {}

    @contextlib.contextmanager
    def engine(self) -> Any:
        """Have an engine, which is closed at the end."""
        asked = self._arguments
        workers = asked.workers if asked.engine == "ray" else 1  # one finds out what the others cost
        self._engine = open_engine(
            engine=asked.engine, address=asked.address, workers=workers, device=self._device
        )
        try:
            yield
        finally:
            self._engine.close()

    def _open(self) -> Engine:
        assert self._engine is not None, "within `engine`"
        return self._engine

    # -------------------------------------------------------------------------------------------------- cost

    def cost(self) -> SweepCost:
        """Find out what the rest of the sweep costs: one run of every kind is looked at.

        Raises:
            StyleheadError: A run could not even start.
        """
        left = [one.run for one in self.journal.progress() if one.state != "finished"]
        kinds = _kinds(left)
        if kinds:
            self._report.note(f"Finding out what {len(kinds)} kinds of runs cost.")
        tasks = [self._cost_task(name, runs[0]) for name, runs in kinds.items()]
        found = self._drive(tasks)
        costs = {name: _value(found[name]) for name in kinds}
        each = [(costs[name], len(runs)) for name, runs in kinds.items()]
        self._needs = {run.name: _task_needs(costs[name]) for name, runs in kinds.items() for run in runs}
        memory = max((cost["memory_bytes"] for cost, _ in each), default=0)
        workers = self._workers(len(left), memory)
        return SweepCost(
            runs=len(left),
            seconds=sum(cost["seconds"] * count for cost, count in each),
            workers=workers,
            memory_bytes=memory,
            disk_bytes=bytes_of_many(each, workers),
            measured=all(cost["measured"] for cost, _ in each),
            gpus=max((needs["gpus"] for needs in self._needs.values()), default=0.0),
        )

    def _cost_task(self, name: str, run: Planned) -> Task:
        settings, keep = run.config.to_dict(), self._arguments.keep_checkpoints
        arguments = {"settings": settings, "device": self._arguments.device, "keep_checkpoints": keep}
        return Task(name, _COST, arguments, gpus=1.0 if self._computes_on() == "cuda" else 0.0)

    def _computes_on(self) -> str:
        asked = self._arguments
        return worker_device(asked.device, self._open(), elsewhere=asked.address is not None)

    def _workers(self, runs: int, memory_bytes: int) -> int:
        if self._arguments.workers is not None:
            return max(1, min(self._arguments.workers, runs))
        if self._arguments.address is not None:  # the cluster places by what runs need
            return max(1, runs)
        return max(1, min(runs, room_for(memory_bytes, self._device)))

    # ------------------------------------------------------------------------------------------------- train

    def train(self, workers: int, view: View) -> None:
        """Train what is not trained yet; the folder is held by the caller.

        Raises:
            StoppedError: The user pressed Ctrl-C.
        """
        self._write()
        left = [one.run for one in self.journal.progress() if one.state != "finished"]
        engine = self._open()
        engine.resize(max(workers, 1))
        asking = "Stopping all runs after their step; Ctrl-C again stops at once."
        with StopRequest(lambda: self._report.note(asking)) as stop:
            driver = Driver(
                engine,
                tick=lambda running: view(self.journal.progress(running)),
                on_end=self._note_end,
                asked=lambda: stop.asked,
            )
            ended = driver.run([self._train_task(run) for run in left])
        self._write()
        view(self.journal.progress())
        if any(one.how == "stopped" for one in ended.values()):
            done = len(self.journal.finished())
            raise StoppedError(f"Stopped: {done} of {len(self.journal.plan)} runs are done.", self._command)

    def _train_task(self, run: Planned) -> Task:
        arguments = {
            "settings": run.config.to_dict(),
            "folder": str(self.journal.path(run)),
            "device": self._arguments.device,
            "keep_checkpoints": self._arguments.keep_checkpoints,
            "command": self._command,
        }
        return Task(run.name, _TRAIN, arguments, **self._needs.get(run.name, {}))

    def _note_end(self, ended: Ended) -> None:
        failed = ended.how == "failed"
        self.journal.note_error(ended.task.name, ended.error if failed else None)
        if failed:
            self._report.warn(f"{self._labels[ended.task.name]}: {ended.error}")
            self._write()

    def _write(self) -> None:
        facts = {"command": self._command, "engine": self._arguments.engine}
        self.journal.write(facts)

    def _drive(self, tasks: Sequence[Task]) -> dict[str, Ended]:
        with StopRequest(lambda: self._report.note("Stopping.")) as stop:
            ended = Driver(self._open(), asked=lambda: stop.asked).run(tasks)
        if stop.asked:
            raise StoppedError("Stopped before anything was written.", self._command or None)
        return ended

    # ------------------------------------------------------------------------------------------------ finish

    def finish(self, workers: int) -> Swept:
        """Draw the sheet and measure what was trained; what fails here costs no run.

        Args:
            workers: Who measure.
        """
        progress, folder = self.journal.progress(), self.journal.folder
        rows: list[tuple[str, Path | str]] = [("sweep", folder), *map(_row, progress)]
        data: dict[str, Any] = {"folder": folder, "runs": [self._facts(one) for one in progress]}
        finished = [one.run for one in progress if one.state == "finished"]
        if finished:
            with self._survived("sheet"):
                legend = write_sweep_sheet(folder / SHEET, self.journal, finished, self._device)
                rows += [("sheet", folder / SHEET), *legend]
                data["sheet"] = folder / SHEET
        if finished and self._arguments.identities:
            with self._survived("table"):
                measured = self._measure(finished, workers)
                rows += [("", ""), *measured.rows]
                data["table"] = measured.data
        primary = tuple(self.journal.path(run) for run in finished)
        return Swept(folder, progress, Result(primary, tuple(rows), data))

    def _measure(self, finished: Sequence[Planned], workers: int) -> Result:
        from stylehead.jobs.evaluate import evaluate

        arguments = EvaluateArguments(
            runs=tuple(self.journal.path(run) for run in finished),
            identities=self._arguments.identities,
            preset=finished[0].config.preset,  # type: ignore[arg-type]
            device=self._arguments.device,
            csv=self.journal.folder / TABLE,
            report=self.journal.folder / PAGE,
            workers=workers,
            address=self._arguments.address,
        )
        return evaluate(arguments, self._report, command=self._command).result

    @contextlib.contextmanager
    def _survived(self, what: str) -> Any:
        try:
            yield
        except (StyleheadError, OSError) as error:
            if isinstance(error, StoppedError):
                raise
            self._report.warn(f"There is no {what}: {explain(error).message}")

    def _facts(self, one: RunProgress) -> dict[str, Any]:
        return {
            "name": one.run.name,
            "path": self.journal.path(one.run),
            "varied": dict(one.run.varied),
            "prompt": one.run.config.prompt,
            "state": one.state,
            "steps": one.step,
            "seconds": one.seconds,
            "error": one.error,
        }


def _usual_folder(asked: Asked) -> Path:
    """Return where a sweep is when nobody says: by the name of its file, or by its plan."""
    if asked.arguments.file is not None:
        return SWEEPS / slugify(asked.arguments.file.stem)
    content = json.dumps(sorted(run.name for run in asked.plan))
    digest = hashlib.sha256(content.encode()).hexdigest()[:6]
    return SWEEPS / f"{slugify(asked.plan[0].config.prompt, limit=24)}-{digest}"


def _kinds(plan: Iterable[Planned]) -> dict[str, list[Planned]]:
    """Group runs that cost the same."""
    groups: dict[str, list[Planned]] = {}
    for run in plan:
        settings = {
            name: bool(value) if isinstance(value, float) else value
            for name, value in run.config.to_dict().items()
            if name not in _CHEAP
        }
        groups.setdefault(json.dumps(settings, sort_keys=True), []).append(run)
    return {f"kind {number}": runs for number, runs in enumerate(groups.values(), start=1)}


def _value(ended: Ended) -> dict[str, Any]:
    if ended.how != "done":
        raise StyleheadError(ended.error or "A run could not start.", ended.hint)
    found: dict[str, Any] = ended.value
    return found


def _task_needs(cost: dict[str, Any]) -> dict[str, Any]:
    """Return what a run that costs so much asks of an engine."""
    gpus = gpu_share(cost["memory_bytes"], cost["gpu_bytes"]) if cost["gpu_bytes"] else 0.0
    return {"memory_bytes": cost["main_memory_bytes"], "gpus": gpus}


def _planned(one: RunProgress) -> str:
    done = f"; {one.state}" if one.state in ("finished", "stopped", "failed") else ""
    return f"{one.run.config.method}, {one.run.config.iterations} steps{done}: {one.run.name}"


def _row(one: RunProgress) -> tuple[str, str]:
    steps = f"{one.step} of {one.run.config.iterations} steps"
    took = f", {format_duration(one.seconds)}" if one.seconds else ""
    why = f": {one.error}" if one.error else f": {one.run.name}"
    return one.run.label(), f"{one.state}, {steps}{took}{why}"
