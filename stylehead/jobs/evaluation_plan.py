"""What an evaluation would do, before it is done: which rows, on whom, in which columns, how long."""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stylehead.errors import StyleheadError
from stylehead.evaluation.columns import all_columns
from stylehead.evaluation.table import Line
from stylehead.jobs.experiments import Discovery, Wanted
from stylehead.jobs.measuring import Setting, measure_table
from stylehead.jobs.report import Result, Silent
from stylehead.memory import SMALL_IMAGE

_STATES = {
    "finished": "measure",
    "stopped": "go on, then measure",
    "missing": "train, then measure",
    "edits": "edit pictures, then measure",
    "cannot": "dash",
}


def plan_result(
    wanted: Sequence[Wanted] | None, discovery: Discovery, folders: Sequence[Path] = ()
) -> Result:
    """Say which rows there will be.

    Args:
        wanted: Rows that were asked for by their settings; None measures what there is.
        discovery: The finished runs.
        folders: Pictures of others.
    """
    if wanted is None:
        found = [run.path for run in discovery.runs]
        rows: list[tuple[str, Path | str]] = [("measure", path) for path in (*found, *folders)]
        rows = [("measure", "the untouched generator"), *rows]
        data: list[dict[str, Any]] = [{"path": path, "state": "finished"} for path in found]
        primary = found
    else:
        rows = [(_STATES[row.state], _describe(row)) for row in wanted]
        rows += [("measure", path) for path in folders]
        data = [
            {"label": row.label, "prompt": row.prompt, "state": row.state, "path": row.path} for row in wanted
        ]
        primary = [row.path for row in wanted if row.path is not None]
    return Result(primary=tuple(primary), rows=tuple(rows), data={"dry_run": True, "rows": data})


def _describe(row: Wanted) -> str:
    where = row.why.message if isinstance(row.why, StyleheadError) else str(row.path or "no training")
    steps = f", {row.config.iterations} steps" if row.config is not None else ""
    return f"{row.prompt}, {row.label}{steps}: {where}"


def heads_to_measure(wanted: Sequence[Wanted] | None, discovery: Discovery, setting: Setting) -> int:
    """Count the heads that are rendered or edited: everybody, untouched and in every row."""
    drawn = len(discovery.runs) if wanted is None else sum(row.state != "cannot" for row in wanted)
    return setting.arguments.identities * (1 + drawn)


def seconds_a_head(setting: Setting) -> float | None:
    """Time the second of two heads in all columns; None where one takes minutes."""
    if setting.device == "cpu" and setting.generator.config.img_resolution > SMALL_IMAGE:
        return None
    alone = dataclasses.replace(
        setting, arguments=dataclasses.replace(setting.arguments, identities=1, batch=1)
    )
    measure_table(alone, [], Silent(), keep=False)
    start = time.perf_counter()
    measure_table(alone, [], Silent(), keep=False)
    return time.perf_counter() - start


def sample_plan(setting: Setting) -> tuple[tuple[str, str], ...]:
    """Say on whom the rows are measured."""
    people, sides = setting.arguments.identities, setting.arguments.yaws_deg
    angles = " ".join(f"{yaw:g}" for yaw in sides)
    return (
        ("people", f"{people}, seeds 0 to {people - 1}, psi {setting.psi:g}"),
        ("sides", f"{len(sides)}, yaw {angles}"),
    )


def explained_columns() -> tuple[Line, ...]:
    """Say what each column is, and which way is better."""
    return tuple(Line(f"{column.name} {column.arrow}", column.about) for column in all_columns())
