"""The table: rows of measured numbers, as text for people, CSV for spreadsheets and JSON for programs."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from stylehead.evaluation.columns import GROUPS, Column, all_columns
from stylehead.evaluation.numbers import LEANING, Cell, NotMeasured, Number

NONE = "\N{EN DASH}"
"""Stands where there is no number."""
LEANS = "*"
"""Marks a number that its interval does not hold."""

GLANCE = ("style", "id", "id_rank1", "gt_psnr")
"""The columns of the overview over several styles: the look, who it is, among others, and the truth."""

RowKind = Literal["untouched", "method", "true"]


@dataclass(frozen=True)
class Row:
    """One stylisation (or a row to compare with)."""

    kind: RowKind
    """`untouched`: the generator before, the floor of style and the ceiling of identity; `true`: the true
    stylised pictures, what a perfect method would give; `method`: what is judged."""
    label: str
    """What the table prints."""
    method: str
    """Name of the method; empty for the rows to compare with."""
    style: str
    """Style that it is judged by; rows are grouped by it."""
    prompt: str
    """In words."""
    cells: Mapping[str, Cell]
    """By name of the column."""
    facts: Mapping[str, Any]
    """Further entries for programs: path of the run, iterations, seconds."""


@dataclass(frozen=True)
class Table:
    """All rows, in order, and what they share."""

    rows: Sequence[Row]
    """Grouped by style; the untouched generator is the first of every style."""
    facts: Mapping[str, Any]
    """Preset, fingerprint of the generator, N, views, truncation, encoders, reference."""
    columns: Sequence[Column] = field(default_factory=all_columns)
    """In order."""

    def styles(self) -> list[str]:
        """Styles in the order of the rows."""
        return list(dict.fromkeys(row.style for row in self.rows))

    def measured(self) -> list[Column]:
        """Columns with a number in at least one row."""
        return [
            column
            for column in self.columns
            if any(isinstance(row.cells.get(column.name), Number) for row in self.rows)
        ]

    def glance(self) -> list[Column]:
        """Columns of the overview over several styles; none for a single style."""
        return [column for column in self.measured() if column.name in GLANCE and len(self.styles()) > 1]

    def reasons(self) -> dict[str, NotMeasured]:
        """Why columns without any number have none, by column: the reason of the first row that has one."""
        empty = [column for column in self.columns if column not in self.measured()]
        found: dict[str, NotMeasured] = {}
        for column in empty:
            dashes = [
                cell for row in self.rows if isinstance(cell := row.cells.get(column.name), NotMeasured)
            ]
            if dashes:
                found[column.name] = dashes[0]
        return found


class Line(NamedTuple):
    """A line of text: its label and its cells, already aligned."""

    label: str
    text: str


# ----------------------------------------------------------------------------------------------- for people


def format_cell(cell: Cell | None, digits: int) -> str:
    """Write a number with half the width of its interval, "0.562 ±0.031"; a dash where there is none.

    Where the interval does not hold the number both of its ends are written, "0.041 (0.042 to 0.053)*".
    """
    if not isinstance(cell, Number):
        return NONE
    value, low, high = (f"{part:z.{digits}f}" for part in (cell.value, cell.low, cell.high))
    if cell.leans:
        return f"{value} ({low} to {high}){LEANS}"
    return f"{value} ±{(cell.high - cell.low) / 2:.{digits}f}"


def run_lines(table: Table) -> list[Line]:
    """An overview of several styles, then a block for each: rows below each other, columns in groups."""
    lines = _glance_lines(table)
    measured = table.measured()
    for style in table.styles():
        rows = [row for row in table.rows if row.style == style]
        for group, title in GROUPS.items():
            columns = [column for column in measured if column.group == group]
            if columns:
                heads = [f"{column.name} {column.arrow}" for column in columns]
                cells = [[format_cell(row.cells.get(c.name), c.digits) for c in columns] for row in rows]
                body = _aligned([heads, *cells])
                lines.append(Line(f"{style}: {title}", body[0]))
                lines += [Line(f"  {row.label}", text) for row, text in zip(rows, body[1:], strict=True)]
                lines.append(Line("", ""))
    return lines[:-1]


def _glance_lines(table: Table) -> list[Line]:
    columns, rows = table.glance(), [row for row in table.rows if row.kind == "method"]
    if not columns or not rows:
        return []
    heads = [f"{column.name} {column.arrow}" for column in columns]
    cells = [[format_cell(row.cells.get(c.name), c.digits) for c in columns] for row in rows]
    first, *others = _aligned([heads, *cells])
    labels = [f"  {row.style}, {row.label}" for row in rows]
    return [Line("all styles", first), *map(Line, labels, others), Line("", "")]


def paper_lines(table: Table) -> list[Line]:
    """The paper's layout: a block for each column, methods below each other, styles and mean side by side."""
    styles = table.styles()
    lines: list[Line] = []
    labels = list(dict.fromkeys(row.label for row in table.rows))
    by_place = {(row.label, row.style): row for row in table.rows}
    for column in table.measured():
        body = []
        for label in labels:
            found = [by_place.get((label, style)) for style in styles]
            cells = [row.cells.get(column.name) if row is not None else None for row in found]
            body.append([*(format_cell(cell, column.digits) for cell in cells), _mean(cells, column.digits)])
        aligned = _aligned([[*styles, "mean"], *body])
        lines.append(Line(f"{column.name} {column.arrow}", aligned[0]))
        lines += [Line(f"  {label}", text) for label, text in zip(labels, aligned[1:], strict=True)]
        lines.append(Line("", ""))
    return lines[:-1]


def sample_lines(table: Table) -> list[Line]:
    """What each column was measured on: people, pictures, sides, encoder; and what a mark says."""
    lines = [Line(LEANS, f"not in its interval: {LEANING}")] if _any_leans(table) else []
    fullest = {
        column.name: max(_numbers(table, column), key=lambda cell: cell.pictures)
        for column in table.measured()
    }
    lines += [Line("±", few) for few in dict.fromkeys(cell.few for cell in fullest.values()) if few]
    for name, cell in fullest.items():
        lines.append(Line(name, _sample(cell, cell.note)))  # the marks above say the rest
    return lines


def _numbers(table: Table, column: Column) -> list[Number]:
    return [cell for row in table.rows if isinstance(cell := row.cells.get(column.name), Number)]


def _any_leans(table: Table) -> bool:
    return any(
        format_cell(row.cells.get(column.name), column.digits).endswith(LEANS)
        for column in table.columns
        for row in table.rows
    )


def describe_sample(cell: Number) -> str:
    """N, pictures, sides, encoder and note of a number."""
    return _sample(cell, cell.remarks)


def _sample(cell: Number, remarks: str) -> str:
    yaws = " ".join(f"{yaw:g}" for yaw in cell.yaws_deg)
    parts = (f"N {cell.identities}, {cell.pictures} pictures, yaw {yaws}", cell.encoder, remarks)
    return "; ".join(part for part in parts if part)


def fits_the_paper(table: Table) -> bool:
    """Whether every label stands for one row in every style, and there are several styles."""
    places = [(row.label, row.style) for row in table.rows]
    return len(set(places)) == len(places) and len(table.styles()) > 1


def _mean(cells: Sequence[Cell | None], digits: int) -> str:
    values = [cell.value for cell in cells if isinstance(cell, Number)]
    return f"{sum(values) / len(values):.{digits}f}" if values and len(values) == len(cells) else NONE


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]


# --------------------------------------------------------------------------------------------- for programs

_FIELDS = (
    "style", "prompt", "row", "kind", "method", "column", "value", "low", "high",
    "identities", "pictures", "yaws_deg", "encoder", "note",
)  # fmt: skip


def to_csv(table: Table) -> str:
    """One line for each number; cells without one have an empty value and the reason as their note."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_FIELDS)
    for row in table.rows:
        for column in table.columns:
            cell = row.cells.get(column.name)
            start = (row.style, row.prompt, row.label, row.kind, row.method, column.name)
            if isinstance(cell, Number):
                yaws = " ".join(f"{yaw:g}" for yaw in cell.yaws_deg)
                numbers = (f"{cell.value:.6g}", f"{cell.low:.6g}", f"{cell.high:.6g}")
                sample = (cell.identities, cell.pictures, yaws)
                writer.writerow((*start, *numbers, *sample, cell.encoder, cell.remarks))
            elif cell is not None:
                writer.writerow((*start, *[""] * 7, cell.why))
    return text.getvalue()


def to_json(table: Table) -> dict[str, Any]:
    """The whole table as plain values."""
    columns = {
        column.name: {"better": column.better, "group": column.group, "about": column.about}
        for column in table.columns
    }
    rows = [
        {
            "kind": row.kind,
            "label": row.label,
            "method": row.method,
            "style": row.style,
            "prompt": row.prompt,
            **row.facts,
            "cells": {name: _plain(cell) for name, cell in row.cells.items()},
        }
        for row in table.rows
    ]
    return {**table.facts, "columns": columns, "rows": rows}


def _plain(cell: Cell) -> dict[str, Any]:
    if isinstance(cell, NotMeasured):
        return {"value": None, "why": cell.why, "hint": cell.hint}
    return {
        "value": cell.value,
        "low": cell.low,
        "high": cell.high,
        "identities": cell.identities,
        "pictures": cell.pictures,
        "yaws_deg": list(cell.yaws_deg),
        "encoder": cell.encoder,
        "note": cell.remarks,
    }
