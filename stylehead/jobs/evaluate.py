"""An evaluation: train what is missing, measure, compare with limits, write."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from stylehead.errors import UsageError
from stylehead.evaluation.numbers import NotMeasured
from stylehead.evaluation.picture_folders import PictureFolder, open_folder
from stylehead.evaluation.portraits import Portraits
from stylehead.evaluation.report_page import report_page
from stylehead.evaluation.systems import find_prompts, method_order, row_of
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
from stylehead.files import atomic_write, clear_leftovers
from stylehead.generator import PanoHead
from stylehead.jobs import environment
from stylehead.jobs.arguments import EvaluateArguments
from stylehead.jobs.checks import check_evaluate
from stylehead.jobs.disk import check_disk, finished_bytes, running_bytes, trained_bytes
from stylehead.jobs.dry_run import step_seconds
from stylehead.jobs.evaluation_plan import (
    explained_columns,
    heads_to_measure,
    plan_result,
    sample_plan,
    seconds_a_head,
)
from stylehead.jobs.experiments import Discovery, Wanted, find_runs, label_runs, plan_rows
from stylehead.jobs.finishing import finish_run
from stylehead.jobs.job import RUNS
from stylehead.jobs.limits import limits_of, missed_limits
from stylehead.jobs.measuring import MeasuredTable, Setting, measure_table, style_of
from stylehead.jobs.report import Report, Result
from stylehead.jobs.row_source import RowSource
from stylehead.jobs.stylize import stylizer_of
from stylehead.jobs.training import Job
from stylehead.mini.captions import place_prompt
from stylehead.units import format_bytes, format_duration
from stylehead.weights.presets import resolve_preset

KEEP_CHECKPOINTS = 0
EXPLAINED = Line("columns", "stylehead eval --dry-run says what each is")
NOTHING_YOURS = (
    f"There is no finished run of yours in {RUNS}: the figures are those of the untouched generator, "
    "before any style."
)
ONLY_UNTOUCHED = Line("untouched", "all figures are of the generator's own heads, before any style")
FIRST_RUN = 'stylehead stylize --prompt "Pixar character"'


class Evaluated(NamedTuple):
    """What was measured."""

    table: Table
    """Rows and columns, every number with its interval."""
    missed: list[str]
    """A sentence for every limit that was missed."""
    files: dict[str, Path]
    """What was written, by kind."""
    result: Result
    """What the command line prints."""
    unwritten: OSError | None = None
    """Why a file that was asked for could not be written; the numbers are here all the same."""

    @property
    def in_vain(self) -> bool:
        """Whether there are rows beside those to compare with, and none of them could be measured."""
        rows = [row for row in self.table.rows if row.kind == "method"]
        return bool(rows) and all("problem" in row.facts for row in rows)


def evaluate(arguments: EvaluateArguments, report: Report, *, command: str) -> Evaluated:
    """Train what is missing, measure everything, and write what was asked for.

    Args:
        arguments: What was asked for.
        report: Where progress goes.
        command: How it was asked for, for pages and manifests.

    Raises:
        UsageError: The arguments do not go together.
        StoppedError: The user pressed Ctrl-C while a run was trained.
        StyleheadError: Weights or pictures cannot be used.
    """
    return Evaluation(arguments, report, command).execute()


def foretell_table(arguments: EvaluateArguments, report: Report) -> Result:
    """Say what would be done.

    Raises:
        UsageError: The arguments do not go together.
    """
    return Evaluation(arguments, report, "").foretell()


class TrainingCost(NamedTuple):
    """What it costs to train the rows that are missing: the time, and the most that it takes on the disk."""

    seconds: float
    disk_bytes: int


class Evaluation:
    """One evaluation.

    Args:
        arguments: What was asked for.
        report: Where progress goes.
        command: How it was asked for.
    """

    def __init__(self, arguments: EvaluateArguments, report: Report, command: str) -> None:
        check_evaluate(arguments)
        self._limits = limits_of(arguments)
        self._arguments, self._report, self._command = arguments, report, command
        self._weights, why = resolve_preset(arguments.preset)
        report.note(why)
        self._device = environment.choose_device(arguments.device)
        self._generator = PanoHead.load(self._weights.require_generator(), self._device)
        self._base = self._generator.fingerprint()

    def foretell(self) -> Result:
        """Say what `execute` would do."""
        folders = [open_folder(path) for path in self._arguments.images]
        setting = self.setting()
        wanted, discovery = self._wanted()
        result = plan_result(wanted, discovery, [folder.path for folder in folders])
        shown, data = [*sample_plan(setting)], dict(result.data)
        self._report.note("Timing a head in all columns.")
        heads, each = heads_to_measure(wanted, discovery, setting), seconds_a_head(setting)
        if each is not None:
            shown.append(
                ("measuring", f"about {format_duration(heads * each)} for {heads} heads, timed on one")
            )
            data["measuring_seconds"] = round(heads * each, 1)
        if rows := to_train(wanted):
            cost = self._cost(rows)
            shown.append(("training", f"about {format_duration(cost.seconds)} for {len(rows)} runs, timed"))
            shown.append(("disk", f"{format_bytes(cost.disk_bytes)} at most"))
            data |= {"training_seconds": round(cost.seconds, 1), "disk_bytes": cost.disk_bytes}
        explained = explained_columns()
        data["columns"] = {line.label.split()[0]: line.text for line in explained}
        return dataclasses.replace(result, rows=(*result.rows, *shown, Line("", ""), *explained), data=data)

    def execute(self) -> Evaluated:
        """Do it."""
        arguments = self._arguments
        folders = [open_folder(path) for path in arguments.images]
        wanted, discovery = self._wanted()
        if arguments.spreads:
            measured = self._spread(wanted, discovery, folders)
        else:
            setting = self.setting()
            self._train(wanted)
            sources = self._sources(wanted, discovery, folders)
            measured = measure_table(setting, sources, self._report, keep=arguments.report is not None)
        self._say_what_is_missing(measured.table)
        missed = missed_limits(measured.table, self._limits)
        files, unwritten = self._write(measured.table, measured.pictures)
        paper = bool(arguments.methods or arguments.prompts)
        result = _result(measured.table, files, missed, paper=paper)
        if all(row.kind != "method" for row in measured.table.rows):
            rows = (ONLY_UNTOUCHED, Line("", ""), *result.rows)
            result = dataclasses.replace(result, rows=rows, next=(FIRST_RUN,))
        return Evaluated(measured.table, missed, files, result, unwritten)

    def setting(self) -> Setting:
        """Load what all rows share.

        Raises:
            UsageError: `--reference` asks for something that is not there.
            StyleheadError: An encoder cannot be used.
        """
        return Setting.open(self._generator, self._weights, self._arguments)

    def _spread(
        self, wanted: list[Wanted] | None, discovery: Discovery, folders: Sequence[PictureFolder]
    ) -> MeasuredTable:
        """Train and measure by workers."""
        from stylehead.jobs.spread import Spread

        arguments = self._arguments
        facts = self.setting().facts()  # first: what is wrong with it stops all of it
        size = self._generator.config.img_resolution
        spread = Spread(arguments, self._report, self._command, device=self._device, image_size=size)
        with spread.engine():
            rows = to_train(wanted)
            spread.train(
                [(row.path, row.config) for row in rows if row.path and row.config], KEEP_CHECKPOINTS
            )
            sources = self._sources(wanted, discovery, folders)
            return spread.measure(self._weights, sources, facts)

    # ---------------------------------------------------------------------------------------------- planning

    def _wanted(self) -> tuple[list[Wanted] | None, Discovery]:
        """Rows that were asked for by their settings (None: whatever there is), and the finished runs."""
        arguments = self._arguments
        asked, roots = arguments.trains, list(arguments.runs)
        if asked and roots:
            roots.append(RUNS)
        if asked and RUNS in roots and not RUNS.exists():
            roots.remove(RUNS)
        if not roots and arguments.images and not asked:
            discovery = Discovery([], [])  # only the folders of pictures were asked for
        else:
            discovery = find_runs(roots, self._base)
        if not asked:
            for path, why in discovery.skipped:
                self._report.note(f"not measured: {path}, {why}")
            if not (discovery.runs or arguments.images):
                self._report.note(NOTHING_YOURS)
            return None, self._of_prompts(discovery)
        return self._rows(discovery), discovery

    def _rows(self, discovery: Discovery) -> list[Wanted]:
        """List the rows that were asked for by their settings."""
        arguments, embedded = self._arguments, self._weights.vocabulary is not None
        if arguments.minutes is not None and not embedded:
            raise UsageError("`--minutes` is known of the embedded models only.", "--iterations N")
        budget = {} if arguments.iterations is None else {"iterations": arguments.iterations}
        rows = plan_rows(
            arguments.methods,
            arguments.prompts,
            ablation=arguments.ablation,
            changes={"preset": arguments.preset, **budget},
            found=discovery.runs,
            generator=self._base,
            weights=self._weights,
            minutes=arguments.minutes,
        )
        if embedded:
            for row in rows:
                place_prompt(row.prompt)
        return rows

    def _of_prompts(self, discovery: Discovery) -> Discovery:
        """Keep the finished runs of the prompts that were asked for; nothing is trained for that."""
        if not self._arguments.prompts:
            return discovery
        asked = find_prompts(list(self._arguments.prompts))
        styles = {style_of(prompt, self._weights) for prompt in asked}
        runs = [run for run in discovery.runs if style_of(run.config.prompt, self._weights) in styles]
        there = {style_of(run.config.prompt, self._weights) for run in runs}
        for prompt in asked:
            if style_of(prompt, self._weights) not in there:
                self._report.note(f"no finished run of {prompt!r}; --methods all would train some")
        return discovery._replace(runs=runs)

    def _train(self, wanted: Sequence[Wanted] | None) -> None:
        rows = to_train(wanted)
        if not rows:
            return
        seconds = format_duration(self._cost(rows).seconds)
        self._report.note(f"{len(rows)} runs to train, about {seconds} in all; Ctrl-C stops, and it goes on.")
        for number, row in enumerate(rows, start=1):
            self._report.note(f"Run {number} of {len(rows)}: {row.label}, {row.prompt!r}, in {row.path}.")
            assert row.path is not None
            finish_run(self._job(row), row.path, self._report, command=self._command)

    def _job(self, row: Wanted) -> Job:
        assert row.config is not None
        return Job(row.config, self._weights, self._device, KEEP_CHECKPOINTS)

    def _cost(self, rows: Sequence[Wanted]) -> TrainingCost:
        """Find out what training costs: a step of every method is timed.

        Raises:
            JobError: It would not fit on the disk.
        """
        self._report.note("Timing a step of every method that is trained.")
        known: dict[str, tuple[float, int]] = {}
        seconds, kept, growth = 0.0, 0, 0
        for row in rows:
            assert row.config is not None
            if row.config.method not in known:
                stylizer = stylizer_of(self._job(row))
                stylizer.method.rehearse(stylizer.reference)
                known[row.config.method] = step_seconds(stylizer), trained_bytes(stylizer)
            per_step, size = known[row.config.method]
            seconds += per_step * row.config.iterations
            left = finished_bytes(size, KEEP_CHECKPOINTS)
            kept, growth = kept + left, max(growth, running_bytes(size, KEEP_CHECKPOINTS) - left)
        check_disk(RUNS, kept + growth, "Training", "free some space, or do it in a folder on another disk")
        return TrainingCost(seconds, kept + growth)

    def _sources(
        self, wanted: Sequence[Wanted] | None, discovery: Discovery, folders: Sequence[PictureFolder]
    ) -> list[RowSource]:
        shown = [RowSource.of_folder(folder) for folder in folders]
        if wanted is not None:
            return [*(RowSource.of_wanted(row) for row in wanted), *shown]
        labels = label_runs(discovery.runs)
        ordered = sorted(discovery.runs, key=lambda run: method_order(row_of(run.config)))
        return [*(RowSource.of_run(run, labels[run.path]) for run in ordered), *shown]

    # ----------------------------------------------------------------------------------------------- results

    def _say_what_is_missing(self, table: Table) -> None:
        alike: dict[NotMeasured, list[str]] = {}
        for name, dash in table.reasons().items():
            alike.setdefault(dash, []).append(name)
        for dash, names in alike.items():
            hint = f" ({dash.hint})" if dash.hint else ""
            self._report.note(f"no {', '.join(names)}: {dash.why}{hint}")
        for row in table.rows:
            if problem := row.facts.get("problem"):
                self._report.warn(f"{row.style}, {row.label}: {problem}")

    def _write(self, table: Table, pictures: dict[int, Portraits]) -> tuple[dict[str, Path], OSError | None]:
        """Write what was asked for; a full disk must not take the numbers along."""
        written: dict[str, Path] = {}
        try:
            if (csv := self._arguments.csv) is not None:
                _write_file(csv, to_csv(table))
                written["csv"] = csv
            if (report := self._arguments.report) is not None:
                _write_file(report, report_page(table, pictures, command=self._command))
                written["report"] = report
        except OSError as error:
            return written, error
        return written, None


def _write_file(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    clear_leftovers(path.parent)
    atomic_write(path, text)


def to_train(rows: Sequence[Wanted] | None) -> list[Wanted]:
    """Return the rows that are not trained to their end yet."""
    return [row for row in rows or () if row.state in ("stopped", "missing")]


# -------------------------------------------------------------------------------------------------- printing


def _result(table: Table, written: dict[str, Path], missed: list[str], *, paper: bool) -> Result:
    lines = paper_lines(table) if paper and fits_the_paper(table) else run_lines(table)
    data = {**to_json(table), "missed": missed, "files": written}
    primary: tuple[Path | str, ...] = tuple(written.values())
    return Result(
        primary=primary or (f"{len(table.rows)} rows measured, {len(missed)} limits missed",),
        rows=(*lines, Line("", ""), *sample_lines(table), EXPLAINED, *written.items()),
        data=data,
    )
