"""The table as text, CSV and JSON, and the report page."""

import csv
import io
import itertools
import json
import re
from html.parser import HTMLParser

import pytest
from eval_helpers import random_case, random_encoders

from stylehead.errors import UsageError
from stylehead.evaluation.columns import all_columns, measure_row
from stylehead.evaluation.numbers import NotMeasured, Number
from stylehead.evaluation.report_page import report_page
from stylehead.evaluation.systems import (
    PAPER_PROMPTS,
    ablation_config,
    find_methods,
    find_prompts,
    ladder,
    method_config,
    method_order,
    method_title,
    row_of,
    systems,
)
from stylehead.evaluation.table import (
    Row,
    Table,
    fits_the_paper,
    format_cell,
    paper_lines,
    run_lines,
    sample_lines,
    to_csv,
    to_json,
)
from stylehead.methods.config import StylizeConfig

FACTS = {"preset": "mini", "identities": 5, "yaws_deg": [-30.0, 0.0, 30.0, 180.0], "psi": 1.0}


def number(value: float, half: float = 0.1) -> Number:
    return Number(value, value - half, value + half, 5, 15, (0.0,), "an encoder", per_identity=(value,) * 5)


def row(label: str, style: str, value: float | None, kind: str = "method") -> Row:
    dash = NotMeasured("It is <not> there.", "fetch it")
    cells = {column.name: dash for column in all_columns()}
    if value is not None:
        cells |= {"id": number(value), "dd_geo": number(value / 10)}
    return Row(kind, label, label.lower(), style, f"prompt of {style}", cells, {"path": "runs/x"})


@pytest.fixture
def table() -> Table:
    rows = []
    for shift, style in enumerate(("pixar", "joker")):
        rows += [
            row("untouched", style, 1.0, "untouched"),
            row("SDS", style, 0.9 - shift / 10),
            row("LD", style, 0.5 + shift / 10),
            row("StyleCLIP", style, None),
        ]
    return Table(rows, FACTS)


def test_the_paper_s_layout_has_methods_below_and_styles_side_by_side(table: Table) -> None:
    lines = [f"{label}|{text}".rstrip() for label, text in paper_lines(table)]
    assert lines == [
        "id ↑|       pixar         joker   mean",
        "  untouched|1.000 ±0.100  1.000 ±0.100  1.000",
        "  SDS|0.900 ±0.100  0.800 ±0.100  0.850",
        "  LD|0.500 ±0.100  0.600 ±0.100  0.550",
        "  StyleCLIP|           –             –      –",  # noqa: RUF001
        "|",
        "dd_geo ↓|       pixar         joker   mean",
        "  untouched|0.100 ±0.100  0.100 ±0.100  0.100",
        "  SDS|0.090 ±0.100  0.080 ±0.100  0.085",
        "  LD|0.050 ±0.100  0.060 ±0.100  0.055",
        "  StyleCLIP|           –             –      –",  # noqa: RUF001
    ]


def test_the_other_layout_has_a_block_for_each_style(table: Table) -> None:
    lines = [f"{label}|{text}".rstrip() for label, text in run_lines(table)]
    assert lines[:6] == [
        "all styles|        id ↑",
        "  pixar, SDS|0.900 ±0.100",
        "  pixar, LD|0.500 ±0.100",
        "  pixar, StyleCLIP|           –",  # noqa: RUF001
        "  joker, SDS|0.800 ±0.100",
        "  joker, LD|0.600 ±0.100",
    ]
    assert lines[7:11] == [
        "|",
        "pixar: the paper's columns|        id ↑      dd_geo ↓",
        "  untouched|1.000 ±0.100  0.100 ±0.100",
        "  SDS|0.900 ±0.100  0.090 ±0.100",
    ]
    assert sum(line.startswith("joker") for line in lines) == 1


def test_one_style_needs_no_overview(table: Table) -> None:
    alone = Table(table.rows[:4], FACTS)
    assert run_lines(alone)[0].label == "pixar: the paper's columns"
    assert "at a glance" not in report_page(alone, {})


def test_no_mean_where_a_style_is_missing(table: Table) -> None:
    some = Table([*table.rows, row("CSD", "pixar", 0.7)], FACTS)
    line = next(text for label, text in paper_lines(some) if label == "  CSD")
    assert line.split() == ["0.700", "±0.100", "–", "–"]  # noqa: RUF001


def test_labels_that_come_twice_do_not_fit_the_paper(table: Table) -> None:
    assert fits_the_paper(table)
    assert not fits_the_paper(Table([*table.rows, table.rows[1]], FACTS))
    assert not fits_the_paper(Table(table.rows[:4], FACTS))


def test_a_number_never_stands_alone(table: Table) -> None:
    assert format_cell(number(0.5), 2) == "0.50 ±0.10"
    assert dict(sample_lines(table))["id"] == "N 5, 15 pictures, yaw 0; an encoder"


def test_columns_without_a_number_are_left_out_and_explained(table: Table) -> None:
    assert [column.name for column in table.measured()] == ["id", "dd_geo"]
    assert table.reasons()["fid"] == NotMeasured("It is <not> there.", "fetch it")
    assert "id" not in table.reasons()


def test_csv_has_a_line_for_every_cell(table: Table) -> None:
    lines = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert len(lines) == len(table.rows) * len(all_columns())
    sds = next(line for line in lines if line["row"] == "SDS" and line["column"] == "id")
    assert (sds["value"], sds["low"], sds["high"]) == ("0.9", "0.8", "1")
    assert (sds["identities"], sds["pictures"], sds["encoder"]) == ("5", "15", "an encoder")
    missing = next(line for line in lines if line["row"] == "StyleCLIP" and line["column"] == "id")
    assert (missing["value"], missing["note"]) == ("", "It is <not> there.")


def test_json_is_whole_and_plain(table: Table) -> None:
    document = json.loads(json.dumps(to_json(table)))
    assert document["preset"] == "mini"
    assert document["rows"][1]["cells"]["id"]["low"] == pytest.approx(0.8)
    assert document["rows"][3]["cells"]["id"] == {
        "value": None,
        "why": "It is <not> there.",
        "hint": "fetch it",
    }
    assert document["columns"]["id"]["better"] == "higher"


# ------------------------------------------------------------------------------------------------- the report

VOID = {"meta", "img", "br", "link", "hr", "input"}


class Checker(HTMLParser):
    """Balanced elements, unique ids, images with texts, links that lead somewhere, nothing from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        assert len(values) == len(attrs), (tag, attrs)
        self.tags.add(tag)
        if "id" in values:
            self.ids.append(str(values["id"]))
        if tag == "a":
            self.links.append(str(values["href"]))
        if tag == "img":
            self.images.append(values)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, (tag, self.getpos())


def check(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    checker.close()
    assert checker.open == []
    assert len(set(checker.ids)) == len(checker.ids)
    assert all(link.startswith("#") and link[1:] in checker.ids for link in checker.links)
    assert all(
        image["alt"] and image["src"].startswith("data:image/webp;base64,") for image in checker.images
    )
    assert "script" not in checker.tags
    assert not re.search(r'(src|href)="(?!#|data:)', page)
    assert "@import" not in page
    assert "url(" not in page
    return checker


def test_the_page_is_whole_and_asks_nobody_for_anything(table: Table) -> None:
    page = report_page(table, {}, command="stylehead eval --report <x>.html")
    assert page.index("All styles at a glance") < page.index('<section aria-labelledby="style-pixar"')
    checker = check(page)
    assert page.startswith("<!DOCTYPE html>")
    assert "prefers-color-scheme: dark" in page
    assert {"style-pixar", "style-joker", "columns"} <= set(checker.ids)
    assert "stylehead eval --report &lt;x&gt;.html" in page


def test_every_number_has_its_interval_on_the_page(table: Table) -> None:
    page = report_page(table, {})
    cells = re.findall(r"<td[^>]*>(.*?)</td>", page)
    numbers = [cell for cell in cells if re.match(r"(<b>)?-?\d", cell)]
    assert len(numbers) == 12 + 4, "the overview says four again"
    assert all(re.search(r"<small>-?[\d.]+ to -?[\d.]+</small>", cell) for cell in numbers)


def leaning(low: float, high: float, *, people: int = 40) -> Table:
    cells = {"fd_mini": Number(0.041, low, high, people, 160, (0.0,), "an encoder", "all sides")}
    return Table([Row("method", "LD", "ld", "joker", "the joker", cells, {})], FACTS)


@pytest.mark.parametrize(
    ("low", "high", "side"), [(0.042, 0.053, "above it"), (0.030, 0.040, "below it"), (0.040, 0.053, "")]
)
def test_an_interval_that_does_not_hold_its_value_is_explained_beside_it(
    low: float, high: float, side: str
) -> None:
    table = leaning(low, high)
    (cell,) = table.rows[0].cells.values()
    text = format_cell(cell, 3)
    marks = [line for line in sample_lines(table) if line.label == "*"]
    about = f"the interval lies {side}: for it people are drawn with repetition"
    page, rows = report_page(table, {}), list(csv.DictReader(io.StringIO(to_csv(table))))
    if side:
        assert text == f"0.041 ({low:.3f} to {high:.3f})*"
        assert "not in its interval: for it people are drawn with repetition" in marks[0].text
        assert about in page
        assert f">{side}</abbr></small>" in page
        assert about in rows[0]["note"]
        assert about in to_json(table)["rows"][0]["cells"]["fd_mini"]["note"]
    else:
        assert text == "0.041 ±0.006"
        assert marks == []
        assert "the interval lies" not in page + rows[0]["note"]


def test_an_interval_over_a_few_people_says_little() -> None:
    few = leaning(0.040, 0.053, people=2)
    said = [line for line in sample_lines(few) if line.label != "*"]
    assert said[0] == ("±", "an interval over 2 people says little")
    assert all("says little" not in line.text for line in said[1:])
    assert said[1].text.endswith("all sides")
    assert "says little" not in sample_lines(leaning(0.040, 0.053))[0].text


def test_rounding_is_no_leaning_and_nothing_is_less_than_nothing() -> None:
    assert Number(1.0, 1 + 1e-9, 1 + 1e-9, 40, 40, (0.0,)).leans == ""
    assert format_cell(Number(-0.00001, -0.001, 0.001, 40, 40, (0.0,)), 4) == "0.0000 ±0.0010"


def test_the_best_method_is_marked_by_more_than_colour(table: Table) -> None:
    page = report_page(table, {})
    marked = re.findall(r'<td class="best"[^>]*><b>([\d.]+)</b><span class="spoken">, the best method', page)
    assert marked == ["0.900", "0.050", "0.800", "0.060"]  # id: higher, dd_geo: lower; never untouched


def test_rows_that_could_not_be_measured_say_why(table: Table) -> None:
    page = report_page(table, {})
    assert "<li>StyleCLIP: It is &lt;not&gt; there.</li>" in page


def test_pictures_best_and_worst_cases() -> None:
    case = random_case(random_encoders(), people=8)
    rows = [
        Row("untouched", "untouched", "", "pixar", "Pixar", measure_row(case, all_columns()), {}),
        Row("method", "LD & co", "ld", "pixar", "Pixar", measure_row(case, all_columns()), {}),
    ]
    pictures = {0: case.untouched.portraits, 1: case.stylised.portraits}
    page = report_page(Table(rows, FACTS), pictures)
    checker = check(page)
    assert page.index("<h3>People</h3>") < page.index("<table>"), "pictures first"
    assert page.count('<input type="checkbox" aria-label="enlarge: ') == len(checker.images)
    texts = [image["alt"] for image in checker.images]
    assert texts[0] == "untouched: person 0 from -30°, 0°, 30°, 180°"
    assert sum(text.startswith("LD & co: person") for text in texts) == 6
    assert sum("untouched and by LD & co" in text for text in texts) == 6
    shown = [float(value) for value in re.findall(r"person \d: id (-?[\d.]+)", page)]
    values = sorted(rows[1].cells["id"].per_identity)
    assert shown == pytest.approx([*values[:-4:-1], *values[:3]], abs=5e-4)


# ---------------------------------------------------------------------------------------- methods and prompts


def test_methods_are_in_the_paper_s_order() -> None:
    names = [method.name for method in systems()]
    assert names[-4:] == ["ld", "stylehead", "ld_edit", "edit"]
    assert [method.name for method in find_methods("all")][: len(names)] == names
    assert [method.name for method in find_methods("ld, sds,ld")] == ["ld", "sds"]
    assert method_title("ld") == "LD (the paper)"
    assert method_title("somebody") == "somebody"
    assert sorted(["ld", "somebody", "sds"], key=method_order) == ["somebody", "sds", "ld"]


def test_every_method_can_be_trained_or_edits_pictures() -> None:
    for method in find_methods("all"):
        if not method.pictures_only:
            assert method_config(method.name, "Pixar character", {"iterations": 7}).iterations == 7
    assert [method.name for method in systems() if method.pictures_only] == ["ip2p", "instantid"]


def test_the_paper_s_ld_has_none_of_our_anchors_and_everybody_s_budget() -> None:
    paper, ours, sds = (method_config(name, "Pixar character", {}) for name in ("ld", "stylehead", "sds"))
    assert ours == StylizeConfig.from_dict({"prompt": "Pixar character"})
    assert (paper.alpha_weight, paper.latent_weight, paper.step_range) == (0, 0, (35, 49))
    assert (paper.method, paper.score, paper.rank, paper.mirror) == ("ld", "paper", "both", True)
    assert len({(config.iterations, config.learning_rate, config.cfg_scale) for config in (paper, ours)}) == 1
    assert [row_of(config) for config in (paper, ours, sds)] == ["ld", "stylehead", "sds"]
    with pytest.raises(UsageError, match="no method ip2p to train"):
        method_config("ip2p", "Pixar character", {})


@pytest.mark.parametrize("names", ["", "ld,nothing", ","])
def test_methods_that_do_not_exist(names: str) -> None:
    with pytest.raises(UsageError, match="--methods"):
        find_methods(names)


def test_prompts_of_the_paper() -> None:
    assert find_prompts(["paper"]) == tuple(PAPER_PROMPTS.values())
    assert len(find_prompts(["all"])) == 6
    assert find_prompts(["a cat", "Paper", "marble statue"])[0] == "a cat"
    assert find_prompts(["marble statue", "paper"]).count("marble statue") == 1


def test_the_ablation_changes_one_thing_at_a_time() -> None:
    configs = [
        ablation_config(variant, "Pixar character", {"iterations": 9}).to_dict() for variant in ladder()
    ]
    steps = [
        {name for name in before if before[name] != after[name]}
        for before, after in itertools.pairwise(configs)
    ]
    score = {"score", "gradient_scale"}  # together: the size of the gradient stays
    assert steps == [{"canny"}, score, {"rank"}, {"grid", "grid_mode"}, {"grid_mode"}, {"mirror"}]
    assert {config["iterations"] for config in configs} == {9}
    default = ablation_config("+ mirror (ours)", "Pixar character", {})

    assert default == StylizeConfig.from_dict({"prompt": "Pixar character"})
