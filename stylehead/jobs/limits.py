"""Limits that decide about the exit code of `eval`: a column, a number, and which side of it fails."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from stylehead.errors import UsageError
from stylehead.evaluation.columns import find_column
from stylehead.evaluation.numbers import Number
from stylehead.evaluation.table import Table
from stylehead.jobs.arguments import EvaluateArguments


class Limit(NamedTuple):
    """A limit that decides about the exit code."""

    column: str
    value: float
    lowest: bool
    """Numbers below it fail; else numbers above."""


def limits_of(arguments: EvaluateArguments) -> list[Limit]:
    """Read the limits.

    Raises:
        UsageError: A limit is no `column=number`, or makes no sense for its column.
    """
    under = [_limit(text, "--fail-under", lowest=True) for text in arguments.fail_under]
    return under + [_limit(text, "--fail-over", lowest=False) for text in arguments.fail_over]


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
    if not equals or not math.isfinite(value):
        example = "id=0.6" if lowest else "dd_geo=0.1"
        raise UsageError(f"`{option}` (={text}) must be a column and a number, like {example}.")
    column = find_column(name.strip())
    if (column.better == "higher") != lowest:
        other = "--fail-over" if lowest else "--fail-under"
        raise UsageError(
            f"`{option}` (={text}): of {column.name} {column.better} is better.", f"{other} {text}"
        )
    return Limit(column.name, value, lowest)
