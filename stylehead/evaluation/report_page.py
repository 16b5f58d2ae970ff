"""The report page: the table with every interval, pictures, best and worst cases, in one HTML file.

The page carries its pictures and its style sheet, runs no script and asks no server for anything.
"""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from stylehead import __version__
from stylehead.evaluation.columns import GROUPS, Column
from stylehead.evaluation.numbers import LEANING, Cell, NotMeasured, Number
from stylehead.evaluation.portraits import Portraits
from stylehead.evaluation.report_pictures import case_pair, strip
from stylehead.evaluation.table import NONE, Row, Table, describe_sample

SHOWN_PEOPLE = 6
OPEN_PEOPLE = 2
CASES = 3
JUDGED_BY = "id"
"""Column by which best and worst cases are chosen."""

Pictures = Mapping[int, Portraits]
"""Portraits by number of the row."""


class _Section(NamedTuple):
    """A style: its rows with their numbers in the table."""

    style: str
    rows: list[tuple[int, Row]]


def report_page(table: Table, pictures: Pictures, *, command: str = "") -> str:
    """Write the page.

    Args:
        table: Its numbers.
        pictures: Of the rows that have any.
        command: What was typed, to make it again.
    """
    sections = [
        _Section(style, [(n, row) for n, row in enumerate(table.rows) if row.style == style])
        for style in table.styles()
    ]
    body = [
        _head(table, sections),
        _glance(table),
        *(_section(table, section, pictures) for section in sections),
        _explained(table),
        f"<footer><p>Made by stylehead {__version__}.</p>{_command(command)}</footer>",
    ]
    style_sheet = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>stylehead eval: {escape(', '.join(table.styles()))}</title>\n"
        f"<style>\n{style_sheet}</style>\n</head>\n<body>\n" + "\n".join(body) + "\n</body>\n</html>\n"
    )


# ------------------------------------------------------------------------------------------------------ parts


def _head(table: Table, sections: Sequence[_Section]) -> str:
    links = "".join(f'<li><a href="#{_anchor(s.style)}">{escape(s.style)}</a></li>' for s in sections)
    facts = table.facts
    yaws = ", ".join(f"{yaw:g}°" for yaw in facts["yaws_deg"])
    lead = (
        f"{facts['identities']} people, seen from {yaws}; preset {facts['preset']}, "
        f"truncation {facts['psi']:g}. Under every number: its 95 % bootstrap interval over people."
    )
    return (
        f'<header><h1>How good are these styles?</h1><p class="lead">{escape(lead)}</p></header>\n'
        f'<nav aria-label="Styles"><ul>{links}'
        '<li><a href="#columns">what the columns mean</a></li></ul></nav>\n<main>'
    )


def _glance(table: Table) -> str:
    """One table of all styles, where there are several."""
    columns, rows = table.glance(), [row for row in table.rows if row.kind == "method"]
    if not columns or not rows:
        return ""
    lines = []
    for row in rows:
        link = f'<a href="#{_anchor(row.style)}">{escape(row.style)}</a>, {escape(row.label)}'
        cells = "".join(_cell(row.cells.get(column.name), column, best=False) for column in columns)
        lines.append(f'<tr><th scope="row">{link}</th>{cells}</tr>')
    return _framed("All styles", "All styles at a glance", columns, lines)


def _section(table: Table, section: _Section, pictures: Pictures) -> str:
    prompt = section.rows[0][1].prompt
    parts = [
        f'<section aria-labelledby="{_anchor(section.style)}">',
        f'<h2 id="{_anchor(section.style)}">{escape(section.style)}</h2>',
        f'<p class="prompt">“{escape(prompt)}”</p>',
    ]
    parts.append(_people(section, pictures))
    for group, title in GROUPS.items():
        columns = [column for column in table.measured() if column.group == group]
        if columns:
            parts.append(_numbers(section, columns, title))
    parts += [_cases(section, pictures), _problems(section), "</section>"]
    return "\n".join(part for part in parts if part)


def _numbers(section: _Section, columns: Sequence[Column], title: str) -> str:
    best = {column.name: _best(section, column) for column in columns}
    lines = []
    for number, row in section.rows:
        cells = "".join(_cell(row.cells.get(c.name), c, best=best[c.name] == number) for c in columns)
        mark = ' class="compare"' if row.kind != "method" else ""
        lines.append(f'<tr{mark}><th scope="row">{escape(row.label)}</th>{cells}</tr>')
    return _framed(f"{section.style}: {title}", title, columns, lines)


def _framed(label: str, title: str, columns: Sequence[Column], lines: Sequence[str]) -> str:
    """A table of rows, which scrolls where there is no room for it."""
    heads = "".join(
        f'<th scope="col"><abbr title="{escape(c.about)}">{c.name}</abbr> '
        f'<span aria-hidden="true">{c.arrow}</span>{_spoken(f", {c.better} is better")}</th>'
        for c in columns
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(label)}"><table>'
        f"<caption>{escape(title)}</caption><thead><tr><td></td>{heads}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table></div><p></p>"
    )


def _cell(cell: Cell | None, column: Column, *, best: bool) -> str:
    if not isinstance(cell, Number):
        why = cell.why if isinstance(cell, NotMeasured) else "not measured"
        shown = f'<span aria-hidden="true">{NONE}</span>{_spoken(why)}'
        return f'<td class="none" title="{escape(why)}">{shown}</td>'
    digits = column.digits
    value = f"{cell.value:z.{digits}f}"
    shown = f"<b>{value}</b>{_spoken(', the best method')}" if best else value
    mark = ' class="best"' if best else ""
    interval = f"{cell.low:z.{digits}f} to {cell.high:z.{digits}f}"
    if cell.leans:
        about = f"The interval lies {cell.leans}: {LEANING}."
        interval = f'{interval}, <abbr title="{escape(about)}">{cell.leans}</abbr>'
    return f'<td{mark} title="{escape(describe_sample(cell))}">{shown}<small>{interval}</small></td>'


def _best(section: _Section, column: Column) -> int | None:
    """Number of the best method's row; None where there is nothing to choose from."""
    values = {
        number: cell.value
        for number, row in section.rows
        if row.kind == "method" and isinstance(cell := row.cells.get(column.name), Number)
    }
    if len(values) < 2:
        return None
    choose = max if column.better == "higher" else min
    return choose(values, key=lambda number: values[number])


def _people(section: _Section, pictures: Pictures) -> str:
    """A figure for each of the first people: one strip of all sides for each row."""
    shown = [(row, pictures[number]) for number, row in section.rows if number in pictures]
    if not shown:
        return ""
    seeds = shown[0][1].seeds[:SHOWN_PEOPLE]
    figures = [_person(seed, shown) for seed in seeds]
    first, rest = "".join(figures[:OPEN_PEOPLE]), "".join(figures[OPEN_PEOPLE:])
    summary = f"<summary>{len(figures) - OPEN_PEOPLE} more people</summary>"
    more = f'<details>{summary}<div class="people">{rest}</div></details>' if rest else ""
    return f'<h3>People</h3><div class="people">{first}</div>{more}'


def _person(seed: int, shown: Sequence[tuple[Row, Portraits]]) -> str:
    order = sorted({yaw for _, portraits in shown for yaw in portraits.yaws_deg})
    strips = []
    for row, portraits in shown:
        if seed not in portraits.seeds:
            continue
        sides = ", ".join(f"{yaw:g}°" for yaw in order if yaw in portraits.yaws_deg)
        alt = f"{row.label}: person {seed} from {sides}"
        strips.append(
            f'<div class="strip"><span>{escape(row.label)}</span>'
            f"{_picture(strip(portraits, seed, order), alt)}</div>"
        )
    yaws = ", ".join(f"{yaw:g}°" for yaw in order)
    return f"<figure><figcaption>person {seed}, from {escape(yaws)}</figcaption>{''.join(strips)}</figure>"


def _cases(section: _Section, pictures: Pictures) -> str:
    """The people whom each method keeps best and worst, before and after."""
    untouched = next(
        (pictures[n] for n, row in section.rows if row.kind == "untouched" and n in pictures), None
    )
    if untouched is None:
        return ""
    parts = []
    for number, row in section.rows:
        cell = row.cells.get(JUDGED_BY)
        if row.kind != "method" or number not in pictures or not isinstance(cell, Number):
            continue
        ranked = sorted(zip(cell.per_identity, pictures[number].seeds, strict=False), reverse=True)
        ranked = [(value, seed) for value, seed in ranked if value == value]  # NaN: nothing to judge
        ends = {"best": ranked[:CASES], "worst": ranked[::-1][:CASES]}
        for name, cases in ends.items():
            figures = "".join(_case(untouched, pictures[number], row, case) for case in cases)
            title = f"{row.label}: {name} kept ({JUDGED_BY})"
            parts.append(f'<h3>{escape(title)}</h3><div class="cases">{figures}</div>')
    return f"<details><summary>Best and worst cases</summary>{''.join(parts)}</details>" if parts else ""


def _case(before: Portraits, after: Portraits, row: Row, case: tuple[float, int]) -> str:
    value, seed = case
    alt = f"person {seed} untouched and by {row.label}"
    return (
        f"<figure><figcaption>person {seed}: {JUDGED_BY} {value:.3f}</figcaption>"
        f"{_picture(case_pair(before, after, seed), alt)}</figure>"
    )


def _picture(source: str, alt: str) -> str:
    """A picture that fills the window after a click, and goes back after another; by keyboard, too."""
    switch = f'<input type="checkbox" aria-label="enlarge: {escape(alt)}">'
    return f'<label class="zoom">{switch}<img src="{source}" alt="{escape(alt)}" loading="lazy"></label>'


def _problems(section: _Section) -> str:
    """Rows that could not be measured at all, and why."""
    lines = []
    for _, row in section.rows:
        cells = list(row.cells.values())
        if cells and all(isinstance(cell, NotMeasured) for cell in cells):
            why = next(cell.why for cell in cells if isinstance(cell, NotMeasured))
            lines.append(f"<li>{escape(row.label)}: {escape(why)}</li>")
    return f"<h3>Not measured</h3><ul>{''.join(lines)}</ul>" if lines else ""


def _explained(table: Table) -> str:
    entries = []
    for column in table.measured():
        found = [c for row in table.rows if isinstance(c := row.cells.get(column.name), Number)]
        cell = next((c for c in found if c.leans), found[0])
        better = f"{column.better} is better"
        entries.append(
            f"<dt>{column.name}</dt><dd>{escape(column.about)}; {better}. "
            f"<small>{escape(describe_sample(cell))}</small></dd>"
        )
    for name, dash in table.reasons().items():
        entries.append(f"<dt>{name}</dt><dd>not measured: {escape(dash.why)}</dd>")
    return f'</main><section><h2 id="columns">What the columns mean</h2><dl>{"".join(entries)}</dl></section>'


def _spoken(text: str) -> str:
    """What only screen readers say."""
    return f'<span class="spoken">{escape(text)}</span>'


def _anchor(style: str) -> str:
    return "style-" + "".join(letter if letter.isalnum() else "-" for letter in style.lower())


def _command(command: str) -> Any:
    return f"<p>Make it again: <code>{escape(command)}</code></p>" if command else ""
