"""What `stylehead eval` does once it knows what is wanted: train what is missing, measure, print, write."""

import dataclasses
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from stylehead.errors import StyleheadError, UsageError
from stylehead.evaluation.columns import find_column
from stylehead.evaluation.folders import open_folder
from stylehead.evaluation.methods import method_order, row_of
from stylehead.evaluation.numbers import Number
from stylehead.evaluation.report import report_page
from stylehead.evaluation.table import (
    Line,
    Table,
    fits_the_paper,
    paper_lines,
    run_lines,
    sample_lines,
    to_csv,
    to_json,
)
from stylehead.files import atomic_write
from stylehead.generator import PanoHead
from stylehead.jobs import environment
from stylehead.jobs.eval_plan import RUNS, Discovery, Wanted, find_runs, label_runs, plan
from stylehead.jobs.eval_rows import Scene, Source, measure_table
from stylehead.jobs.eval_train import train
from stylehead.jobs.report import Report, Result
from stylehead.jobs.requests import Files, Measuring, Sample, Wishes
from stylehead.mini.captions import place_prompt
from stylehead.perception.loading import EncoderFiles, load_encoders
from stylehead.teacher.sources import local_folder
from stylehead.weights.presets import Preset

FIRST_RUN = 'stylehead stylize --prompt "Pixar character"'


class Limit(NamedTuple):
    """A limit that decides about the exit code."""

    column: str
    value: float
    lowest: bool
    """Numbers below it fail; else numbers above."""


class Evaluation:
    """One call of `stylehead eval`.

    Args:
        weights: The preset.
        preset_name: As it was typed; runs that are trained get it.
        device: `auto`, `cpu` or `cuda`.
        sample: On whom.
        measuring: By what.
        report: Where everything is said.
    """

    def __init__(
        self,
        weights: Preset,
        preset_name: str,
        device: str,
        sample: Sample,
        measuring: Measuring,
        report: Report,
    ) -> None:
        self._weights, self._preset_name, self._sample = weights, preset_name, sample
        self._measuring, self._report = measuring, report
        self._device = environment.choose_device(device)
        self._generator = PanoHead.load(weights.require_generator(), self._device)
        self._base = self._generator.fingerprint()

    def execute(self, wishes: Wishes, files: Files, *, dry_run: bool) -> tuple[Result, list[str]]:
        """Do it; returns what there is to show, and a sentence for every limit that was missed."""
        folders = [open_folder(path) for path in wishes.images]
        wanted, discovery = self._wanted(wishes)
        if dry_run:
            return _plan_result(wanted, discovery), []
        scene = Scene.open(
            self._generator,
            self._weights,
            load_encoders(self._weights, self._encoder_files(), device=self._device),
            self._sample,
            self._measuring,
        )
        self._train(wanted)
        sources = [*self._sources(wanted, discovery), *(Source.of_folder(folder) for folder in folders)]
        measured = measure_table(scene, sources, self._report, keep=files.report is not None)
        self._say_what_is_missing(measured.table)
        missed = missed_limits(measured.table, limits_of(files))
        written = self._write(files, measured.table, measured.pictures)
        asked = bool(wishes.methods or wishes.prompts)
        result = _result(measured.table, written, missed, paper=asked)
        return dataclasses.replace(result, next=() if sources else (FIRST_RUN,)), missed

    # ---------------------------------------------------------------------------------------------- planning

    def _wanted(self, wishes: Wishes) -> tuple[list[Wanted] | None, Discovery]:
        """Rows that were asked for by their settings (None: whatever there is), and the finished runs."""
        asked = bool(wishes.ablation or wishes.methods or wishes.prompts)
        roots = [*wishes.runs, RUNS] if asked and wishes.runs else list(wishes.runs)
        if asked and RUNS in roots and not RUNS.exists():
            roots.remove(RUNS)
        if not roots and wishes.images and not asked:
            discovery = Discovery([], [])  # only the folders of pictures were asked for
        else:
            discovery = find_runs(roots, self._base)
        if not asked:
            for path, why in discovery.skipped:
                self._report.note(f"not measured: {path}, {why}")
            return None, discovery
        changes: dict[str, object] = {"preset": self._preset_name}
        if wishes.iterations is not None:
            changes["iterations"] = wishes.iterations
        rows = plan(
            wishes.methods,
            wishes.prompts,
            ablation=wishes.ablation,
            changes=changes,
            found=discovery.runs,
            generator=self._base,
            weights=self._weights,
        )
        if self._weights.knows_few_styles:
            for row in rows:
                place_prompt(row.prompt)
        return rows, discovery

    def _train(self, wanted: Sequence[Wanted] | None) -> None:
        jobs = [row for row in wanted or () if row.state in ("stopped", "missing")]
        for number, job in enumerate(jobs, start=1):
            self._report.note(f"Run {number} of {len(jobs)}: {job.label}, {job.prompt!r}, in {job.path}.")
            train(job, self._weights, self._device, self._report)

    def _sources(self, wanted: Sequence[Wanted] | None, discovery: Discovery) -> list[Source]:
        if wanted is not None:
            return [Source.of_wanted(row) for row in wanted]
        labels = label_runs(discovery.runs)
        ordered = sorted(discovery.runs, key=lambda run: method_order(row_of(run.config)))
        return [Source.of_run(run, labels[run.path]) for run in ordered]

    def _encoder_files(self) -> EncoderFiles:
        asked = self._measuring

        def folder(source: str | None, flag: str) -> Path | None:
            return None if source is None else local_folder(source, flag)

        return EncoderFiles(
            folder(asked.clip, "--clip"),
            folder(asked.faces, "--faces"),
            folder(asked.depth, "--depth-model"),
            asked.inception,
        )

    # ----------------------------------------------------------------------------------------------- results

    def _say_what_is_missing(self, table: Table) -> None:
        for name, dash in table.reasons().items():
            hint = f" ({dash.hint})" if dash.hint else ""
            self._report.note(f"no {name}: {dash.why}{hint}")
        for row in table.rows:
            if problem := row.facts.get("problem"):
                self._report.warn(f"{row.style}, {row.label}: {problem}")

    def _write(self, files: Files, table: Table, pictures: Any) -> list[tuple[str, Path]]:
        written = []
        if files.csv is not None:
            files.csv.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(files.csv, to_csv(table))
            written.append(("csv", files.csv))
        if files.report is not None:
            command = shlex.join(["stylehead", *sys.argv[1:]])
            files.report.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(files.report, report_page(table, pictures, command=command))
            written.append(("report", files.report))
        return written


# ---------------------------------------------------------------------------------------------------- limits


def check_limits(files: Files) -> None:
    """Read the limits before any work is done.

    Raises:
        UsageError: A limit is no `column=number`, or makes no sense for its column.
    """
    limits_of(files)


def limits_of(files: Files) -> list[Limit]:
    """Read the limits; see `check_limits`."""
    under = [_limit(text, "--fail-under", lowest=True) for text in files.fail_under]
    return under + [_limit(text, "--fail-over", lowest=False) for text in files.fail_over]


def missed_limits(table: Table, limits: Sequence[Limit]) -> list[str]:
    """One sentence for every run that misses a limit, or that has no number to compare with it."""
    judged = [row for row in table.rows if row.kind == "method"]
    missed = []
    for limit in limits:
        if not judged:
            missed.append(f"{limit.column}: there is no run that could be compared with {limit.value:g}.")
        for row in judged:
            cell = row.cells.get(limit.column)
            name = f"{row.style}, {row.label}: {limit.column}"
            if not isinstance(cell, Number):
                missed.append(f"{name} could not be measured.")
            elif not (cell.value >= limit.value if limit.lowest else cell.value <= limit.value):
                side = "under" if limit.lowest else "over"
                missed.append(f"{name} is {cell.value:.4g}, {side} {limit.value:g}.")
    return missed


def _limit(text: str, option: str, *, lowest: bool) -> Limit:
    name, equals, number = text.partition("=")
    try:
        value = float(number)
    except ValueError:
        equals = ""
    if not equals:
        example = "id=0.6" if lowest else "dd_geo=0.1"
        raise UsageError(f"`{option}` (={text}) must be a column and a number, like {example}.")
    column = find_column(name.strip())
    if (column.better == "higher") != lowest:
        other = "--fail-over" if lowest else "--fail-under"
        raise UsageError(
            f"`{option}` (={text}): of {column.name} {column.better} is better.", f"{other} {text}"
        )
    return Limit(column.name, value, lowest)


# -------------------------------------------------------------------------------------------------- printing


def _result(table: Table, written: list[tuple[str, Path]], missed: list[str], *, paper: bool) -> Result:
    lines = paper_lines(table) if paper and fits_the_paper(table) else run_lines(table)
    data = {**to_json(table), "missed": missed, "files": {name: path for name, path in written}}
    primary: tuple[Path | str, ...] = tuple(path for _, path in written)
    return Result(
        primary=primary or tuple(to_csv(table).splitlines()),
        rows=(*lines, Line("", ""), *sample_lines(table), *written),
        data=data,
    )


_STATES = {
    "finished": "measure",
    "stopped": "go on, then measure",
    "missing": "train, then measure",
    "edits": "edit pictures, then measure",
    "cannot": "dash",
}


def _plan_result(wanted: Sequence[Wanted] | None, discovery: Discovery) -> Result:
    if wanted is None:
        rows: list[tuple[str, Path | str]] = [("measure", run.path) for run in discovery.runs]
        rows = rows or [("measure", "the untouched generator")]
        data: list[dict[str, Any]] = [{"path": run.path, "state": "finished"} for run in discovery.runs]
        primary = [run.path for run in discovery.runs]
    else:
        rows = [(_STATES[row.state], _describe(row)) for row in wanted]
        data = [
            {"label": row.label, "prompt": row.prompt, "state": row.state, "path": row.path} for row in wanted
        ]
        primary = [row.path for row in wanted if row.path is not None]
    return Result(primary=tuple(primary), rows=tuple(rows), data={"dry_run": True, "rows": data})


def _describe(row: Wanted) -> str:
    where = row.why.message if isinstance(row.why, StyleheadError) else str(row.path or "no training")
    steps = f", {row.config.iterations} steps" if row.config is not None else ""
    return f"{row.prompt}, {row.label}{steps}: {where}"
