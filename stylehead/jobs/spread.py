"""`eval` by workers: runs are trained, heads rendered and rows measured wherever there is room.

A row is measured by one worker, as this process alone would measure it: the numbers are the same however many
workers there are and whichever row is done first.
"""

import base64
import contextlib
import dataclasses
import functools
import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from stylehead.errors import JobError, StyleheadError
from stylehead.evaluation.numbers import Cell, NotMeasured, Number
from stylehead.evaluation.picture_folders import open_folder
from stylehead.evaluation.portraits import Portraits
from stylehead.evaluation.table import Row, Table
from stylehead.jobs.arguments import EvaluateArguments
from stylehead.jobs.engines import open_engine, usual_gpu_share, worker_device
from stylehead.jobs.failures import StoppedError
from stylehead.jobs.measuring import (
    MeasuredTable,
    StyleScene,
    TableBuilder,
    by_style,
    load_setting,
    style_of,
)
from stylehead.jobs.report import ProgressView, Report
from stylehead.jobs.row_source import RowSource
from stylehead.jobs.signals import StopRequest
from stylehead.methods.config import StylizeConfig
from stylehead.sweeps import Driver, Ended, Engine, Task
from stylehead.weights.presets import Preset

_TRAIN, _ROW = "stylehead.jobs.sweep_tasks:train_planned", "stylehead.jobs.spread:measure_one_row"


class Spread:
    """Gives the work of one evaluation to workers.

    Args:
        arguments: Of the evaluation.
        report: For notes and progress.
        command: How it was asked for; the same command goes on.
        device: Where this process computes.
        image_size: Edge in pixels of the generator's pictures, by which work gets a share of a GPU.
    """

    def __init__(
        self, arguments: EvaluateArguments, report: Report, command: str, *, device: str, image_size: int
    ) -> None:
        self._arguments, self._report, self._command, self._device = arguments, report, command, device
        self._image_size, self._gpus = image_size, 0.0
        self._engine: Engine | None = None

    @contextlib.contextmanager
    def engine(self) -> Iterator[None]:
        """Have workers, which go at the end."""
        asked = self._arguments
        self._engine = open_engine(address=asked.address, workers=asked.workers, device=self._device)
        try:
            where = worker_device(asked.device, self._engine, elsewhere=asked.address is not None)
            self._gpus = usual_gpu_share(self._image_size) if where == "cuda" else 0.0
            yield
        finally:
            self._engine.close()

    def train(self, runs: Sequence[tuple[Path, StylizeConfig]], keep_checkpoints: int) -> None:
        """Train runs to their end.

        Raises:
            StoppedError: The user pressed Ctrl-C; the same command goes on.
            StyleheadError: One failed.
        """
        if runs:
            self._report.note(f"{len(runs)} runs to train; Ctrl-C stops, and it goes on.")
        tasks = [
            Task(
                str(path),
                _TRAIN,
                {
                    "settings": config.to_dict(),
                    "folder": str(path),
                    "device": self._arguments.device,
                    "keep_checkpoints": keep_checkpoints,
                    "command": self._command,
                },
                gpus=self._gpus,
            )
            for path, config in runs
        ]
        self._drive(tasks, "Training", "run")

    def measure(self, weights: Preset, sources: Sequence[RowSource], facts: dict[str, Any]) -> MeasuredTable:
        """Measure all rows.

        Args:
            weights: Whose world it is.
            sources: Rows beside the untouched generator and the true pictures.
            facts: What the whole table shares.
        """
        keep = self._arguments.report is not None
        groups = list(by_style(lambda prompt: style_of(prompt, weights), weights, sources))
        tasks = [
            self._row_task(style, group, place, keep)
            for style, group in groups
            for place in range(len(group) + 2)
        ]
        ended = self._drive(tasks, "Measuring", "row")
        rows, pictures = list[Row](), dict[int, Portraits]()
        for task in tasks:
            answer = ended[task.name].value
            if answer is not None:
                if answer["pictures"] is not None:
                    pictures[len(rows)] = _unpacked(answer["pictures"])
                rows.append(_row(answer["row"], _source_of(task, groups)))
        return MeasuredTable(Table(rows, facts), pictures)

    def _row_task(self, style: str, group: Sequence[RowSource], place: int, keep: bool) -> Task:
        given = {
            "arguments": plain_arguments(self._arguments),
            "style": style,
            "group": [_plain_source(source) for source in group],
            "place": place,
            "keep": keep,
        }
        return Task(f"{style} {place}", _ROW, given, gpus=self._gpus)

    def _drive(self, tasks: Sequence[Task], label: str, unit: str) -> dict[str, Ended]:
        if not tasks:
            return {}
        assert self._engine is not None, "within `engine`"
        done: list[str] = []
        asking = "Stopping; Ctrl-C again stops at once."
        with (
            StopRequest(lambda: self._report.note(asking)) as stop,
            self._report.progress(total=len(tasks), label=label, unit=unit) as shown,
        ):

            def count(one: Ended) -> None:
                done.append(one.task.name)
                shown.update(len(done))

            ended = Driver(self._engine, on_end=count, asked=lambda: stop.asked).run(tasks)
        for one in ended.values():
            if one.how == "stopped":
                raise StoppedError("Stopped.", f"{self._command}   (goes on from here)")
            if one.how != "done":
                raise StyleheadError(f"{one.task.name}: {one.error}", one.hint)
        return ended


def _source_of(task: Task, groups: Sequence[tuple[str, list[RowSource]]]) -> RowSource | None:
    group = dict(groups)[task.arguments["style"]]
    place = task.arguments["place"] - 1
    return group[place] if 0 <= place < len(group) else None


# ----------------------------------------------------------------------------------- what a worker does


def measure_one_row(
    *, arguments: dict[str, Any], style: str, group: list[dict[str, Any]], place: int, keep: bool
) -> dict[str, Any] | None:
    """Measure one row, in a worker.

    Args:
        arguments: Of the evaluation, as `plain_arguments` makes them.
        style: Which style's rows.
        group: Its sources.
        place: Which row of it; see `TableBuilder.add_row`.
        keep: Return the pictures, too.

    Returns:
        `row` and `pictures`; None where there is no such row.
    """
    builder = _builder(json.dumps(arguments, sort_keys=True))
    scene = _scene(builder, style, json.dumps(group, sort_keys=True))
    builder.rows.clear()
    builder.pictures.clear()
    builder.add_row(scene, place)
    if not builder.rows:
        return None
    return {
        "row": _plain_row(builder.rows[0]),
        "pictures": _packed(builder.pictures[0]) if keep and 0 in builder.pictures else None,
    }


@functools.lru_cache(maxsize=1)
def _builder(arguments: str) -> TableBuilder:
    """Load everything once in the life of a worker."""
    setting = load_setting(arguments_from_plain(json.loads(arguments)))
    return TableBuilder(setting, ProgressView(), keep=True)


@functools.lru_cache(maxsize=2)
def _scene(builder: TableBuilder, style: str, group: str) -> StyleScene:
    """Prepare a style once: its rows mostly follow each other."""
    sources = [_source_from_plain(source) for source in json.loads(group)]
    return builder.open_style(style, sources)


# ---------------------------------------------------------------------------------------- plain values


def plain_arguments(arguments: EvaluateArguments) -> dict[str, Any]:
    """Return arguments as JSON values."""
    inception = None if arguments.inception is None else str(arguments.inception)
    paths = {"images": list(map(str, arguments.images)), "inception": inception}
    of_the_driver: dict[str, Any] = {
        "runs": [],
        "report": None,
        "csv": None,
        "workers": None,
        "address": None,
    }
    return {**dataclasses.asdict(arguments), **paths, **of_the_driver}


def arguments_from_plain(values: dict[str, Any]) -> EvaluateArguments:
    """Read back what `plain_arguments` wrote."""
    fields = _with_tuples(values)
    inception = values["inception"]
    fields["images"] = tuple(Path(path) for path in values["images"])
    fields["inception"] = None if inception is None else Path(inception)
    return EvaluateArguments(**fields)


def _plain_source(source: RowSource) -> dict[str, Any]:
    problem = source.problem
    return {
        "label": source.label,
        "method": source.method,
        "prompt": source.prompt,
        "run": None if source.run is None else str(source.run),
        "folder": None if source.folder is None else str(source.folder.path),
        "edits": source.edits,
        "problem": None if problem is None else [problem.message, problem.hint],
    }


def _source_from_plain(values: dict[str, Any]) -> RowSource:
    problem = values["problem"]
    return RowSource(
        values["label"],
        values["method"],
        values["prompt"],
        run=None if values["run"] is None else Path(values["run"]),
        folder=None if values["folder"] is None else open_folder(Path(values["folder"])),
        edits=values["edits"],
        problem=None if problem is None else JobError(*problem),
    )


def _plain_row(row: Row) -> dict[str, Any]:
    return {
        "kind": row.kind,
        "label": row.label,
        "method": row.method,
        "style": row.style,
        "prompt": row.prompt,
        "problem": row.facts.get("problem"),
        "cells": {name: _plain_cell(cell) for name, cell in row.cells.items()},
    }


def _plain_cell(cell: Cell) -> dict[str, Any]:
    return dataclasses.asdict(cell) if isinstance(cell, Number) else cell._asdict()


def _row(values: dict[str, Any], source: RowSource | None) -> Row:
    facts = {} if source is None else dict(source.facts)
    if values["problem"] is not None:
        facts["problem"] = values["problem"]
    cells = {name: _cell(cell) for name, cell in values["cells"].items()}
    named: dict[str, Any] = {name: values[name] for name in ("kind", "label", "method", "style", "prompt")}
    return Row(**named, cells=cells, facts=facts)


def _cell(values: dict[str, Any]) -> Cell:
    return NotMeasured(**values) if "why" in values else Number(**_with_tuples(values))


def _with_tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def _packed(portraits: Portraits) -> dict[str, Any]:
    """Pictures as text; masks and depths stay where they are, no page shows them."""
    images = portraits.images
    return {
        "images": base64.b64encode(zlib.compress(images.contiguous().numpy().tobytes(), 1)).decode(),
        "shape": list(images.shape),
        "seeds": list(portraits.seeds),
        "yaws_deg": list(portraits.yaws_deg),
    }


def _unpacked(values: dict[str, Any]) -> Portraits:
    raw = bytearray(zlib.decompress(base64.b64decode(values["images"])))
    images = torch.frombuffer(raw, dtype=torch.uint8).view(values["shape"])
    return Portraits(images, tuple(values["seeds"]), tuple(values["yaws_deg"]))
