"""The columns of the table: what a metric is to it, and which ones there are.

A metric is one file: a pure function and its `Column`. In this package it is a module of `evaluation.metrics`
of the column's name, listed in `BUILT_IN`. Other distributions bring theirs by an entry point in the group
`stylehead.metrics`, the column's name pointing to its `Column`. Ten lines do:

    from stylehead.evaluation import Column, Comparison, Number, Provenance, mean_over_people

    def measure(comparison: Comparison) -> Number:
        portraits = comparison.stylised.portraits  # uint8 [N, V, 3, R, R]
        return mean_over_people(portraits.images.float().mean(dim=(2, 3, 4)) / 255, Provenance.of(portraits))

    BRIGHTNESS = Column(
        "brightness", better="lower", digits=3, about="mean brightness of the pictures", measure=measure
    )

Names are listed without importing anything.
"""

import dataclasses
import difflib
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Literal

from stylehead.errors import JobError, StyleheadError, UsageError
from stylehead.evaluation.comparison import Comparison
from stylehead.evaluation.numbers import Cell, NotMeasured, Number

Measure = Callable[[Comparison], Number]
Group = Literal["paper", "style", "people", "shape", "more"]

GROUPS: dict[Group, str] = {
    "paper": "the paper's columns",
    "style": "style",
    "people": "people",
    "shape": "shape and truth",
    "more": "further metrics",
}

BUILT_IN = (
    "fid", "fd_mini", "clip_img", "clip_score", "id", "dd_mono", "dd_geo",
    "style", "style_judged", "clip_text", "kid", "kd_mini", "cmmd",
    "id_rank1", "id_rank1_judged", "diversity", "diversity_id",
    "mv_reproj", "gt_perceptual", "gt_psnr", "gt_iou", "gain", "gain_psnr",
)  # fmt: skip
"""The metrics of this package in the order of their columns, those of the paper's table first."""
ENTRY_POINTS = "stylehead.metrics"
"""The group of entry points by which other distributions bring metrics."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A metric of the table."""

    name: str
    """What `--fail-under` takes, and the heading; lower case without spaces."""
    better: Literal["higher", "lower"]
    """Which way is better."""
    digits: int
    """Decimals in print."""
    about: str
    """One line for the report."""
    measure: Measure
    """Measures a row; a `StyleheadError` becomes a dash with its reason."""
    group: Group = "more"
    """Block of the table in which it is printed."""

    @property
    def arrow(self) -> str:
        """Which way is better, as a sign."""
        return "↑" if self.better == "higher" else "↓"


def measure_row(comparison: Comparison, columns: Sequence[Column]) -> dict[str, Cell]:
    """Measure every column of a row; what cannot be measured becomes a dash with its reason."""
    cells: dict[str, Cell] = {}
    for column in columns:
        try:
            cells[column.name] = column.measure(comparison)
        except StyleheadError as error:
            cells[column.name] = NotMeasured(error.message, error.hint)
    return cells


# ------------------------------------------------------------------------------------------------ registry


def column_names() -> tuple[str, ...]:
    """Names of all columns: built in, then brought by other distributions; nothing is imported."""
    return (*BUILT_IN, *sorted(_brought()))


def all_columns() -> tuple[Column, ...]:
    """All columns in the order of the table."""
    return tuple(find_column(name) for name in column_names())


def find_column(name: str) -> Column:
    """Import the column of a name. One from elsewhere that cannot be imported says so in its cells.

    Raises:
        UsageError: There is none; names the nearest.
    """
    if name in BUILT_IN:
        column: Column = importlib.import_module(f"stylehead.evaluation.metrics.{name}").COLUMN
        return column
    brought = _brought()
    if name in brought:
        return _imported(brought[name])
    names = column_names()
    near = difflib.get_close_matches(name, names, n=1)
    raise UsageError(
        f"There is no column {name}; there are {', '.join(names)}.",
        f"did you mean {near[0]}?" if near else None,
    )


def _brought() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINTS) if point.name not in BUILT_IN}


def _imported(point: EntryPoint) -> Column:
    """Import what an entry point names; whatever goes wrong in it costs its own cells and no others."""
    where = f"The metric {point.name} ({point.value})"
    try:
        column = point.load()
    except Exception as error:  # anything may happen in somebody else's module
        return _broken(point.name, f"{where} cannot be imported: {type(error).__name__}: {error}.")
    if not isinstance(column, Column) or column.name != point.name:
        return _broken(point.name, f"{where} is no stylehead.evaluation.Column of that name.")

    def measure(comparison: Comparison) -> Number:
        try:
            number = column.measure(comparison)
        except StyleheadError:
            raise
        except Exception as error:
            raise JobError(f"{where} failed: {type(error).__name__}: {error}.") from error
        if not isinstance(number, Number):
            raise JobError(f"{where} returned a {type(number).__name__}, not a Number.")
        return number

    return dataclasses.replace(column, measure=measure)


def _broken(name: str, why: str) -> Column:
    """A column of dashes."""

    def measure(_case: Comparison) -> Number:
        raise JobError(why)

    return Column(name=name, better="higher", digits=3, about=why, measure=measure)
