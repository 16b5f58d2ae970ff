"""Metrics that other distributions bring: found by name, measured, and harmless when broken."""

import sys
from pathlib import Path

import pytest
from eval_helpers import random_case, random_encoders

from stylehead.errors import UsageError
from stylehead.evaluation.columns import BUILT_IN, all_columns, column_names, find_column, measure_row
from stylehead.evaluation.numbers import NotMeasured, Number
from stylehead.evaluation.table import Row, Table, run_lines, to_csv, to_json

BRIGHTNESS = """
from stylehead.evaluation import Column, Comparison, Number, Provenance, mean_over_people

def measure(comparison: Comparison) -> Number:
    portraits = comparison.stylised.portraits
    return mean_over_people(portraits.images.float().mean(dim=(2, 3, 4)) / 255, Provenance.of(portraits))

BRIGHTNESS = Column(
    name="brightness", better="lower", digits=3, about="mean brightness of the pictures", measure=measure
)
SEVEN = Column(name="seven", better="lower", digits=3, about="no number", measure=lambda _comparison: 7)
FAILING = Column(name="failing", better="lower", digits=3, about="fails", measure=lambda _comparison: 1 / 0)
"""


@pytest.fixture
def bring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Put a distribution with entry points on the path."""

    def put(**points: str) -> None:
        (tmp_path / "brought_metrics.py").write_text(BRIGHTNESS)
        (tmp_path / "broken_metrics.py").write_text("import nothing_of_that_name\n")
        facts = tmp_path / "brought-1.0.dist-info"
        facts.mkdir()
        (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: brought\nVersion: 1.0\n")
        lines = [f"{name} = {value}" for name, value in points.items()]
        (facts / "entry_points.txt").write_text("\n".join(["[stylehead.metrics]", *lines]) + "\n")
        monkeypatch.syspath_prepend(tmp_path)

    yield put
    for name in ("brought_metrics", "broken_metrics"):
        sys.modules.pop(name, None)


def test_every_metric_of_the_package_is_a_module_of_its_column_s_name() -> None:
    folder = Path(sys.modules[find_column("id").measure.__module__].__file__).parent
    assert {path.stem for path in folder.glob("*.py")} - {"__init__"} == set(BUILT_IN)
    assert tuple(column.name for column in all_columns()) == BUILT_IN == column_names()


def test_names_are_listed_without_importing_anything(bring) -> None:
    bring(brightness="brought_metrics:BRIGHTNESS", lost="broken_metrics:LOST")
    assert column_names() == (*BUILT_IN, "brightness", "lost")
    assert not {"brought_metrics", "broken_metrics"} & set(sys.modules)


def test_a_metric_from_elsewhere_is_measured_printed_and_written(bring) -> None:
    bring(brightness="brought_metrics:BRIGHTNESS")
    case = random_case(random_encoders())
    cells = measure_row(case, all_columns())
    expected = float(case.stylised.portraits.images.float().mean()) / 255
    assert isinstance(cells["brightness"], Number)
    assert cells["brightness"].value == pytest.approx(expected, rel=1e-6)
    assert cells["brightness"].low < expected < cells["brightness"].high
    table = Table([Row("method", "LD", "ld", "pixar", "Pixar", cells, {})], {})
    printed = "\n".join(f"{line.label} {line.text}" for line in run_lines(table))
    assert "further metrics" in printed
    assert "brightness ↓" in printed
    assert f"brightness,{expected:.6g}" in to_csv(table)
    assert to_json(table)["columns"]["brightness"]["better"] == "lower"
    assert find_column("brightness").group == "more"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("lost", "broken_metrics:LOST", "cannot be imported: ModuleNotFoundError"),
        ("nowhere", "brought_metrics:NOWHERE", "cannot be imported: AttributeError"),
        ("other", "brought_metrics:BRIGHTNESS", "is no stylehead.evaluation.Column of that name"),
        ("measure", "brought_metrics:measure", "is no stylehead.evaluation.Column of that name"),
        ("seven", "brought_metrics:SEVEN", "returned a int, not a Number"),
        ("failing", "brought_metrics:FAILING", "failed: ZeroDivisionError"),
    ],
)
def test_a_broken_metric_costs_its_own_cells_and_says_why(
    bring, name: str, value: str, sentence: str
) -> None:
    bring(**{name: value})
    cells = measure_row(random_case(random_encoders()), all_columns())
    assert isinstance(cells[name], NotMeasured)
    assert f"The metric {name} ({value})" in cells[name].why
    assert sentence in cells[name].why
    assert isinstance(cells["id"], Number)


def test_a_metric_from_elsewhere_can_not_take_the_place_of_one_of_the_package(bring) -> None:
    bring(id="brought_metrics:BRIGHTNESS")
    assert column_names() == BUILT_IN
    assert "face embeddings" in find_column("id").about


def test_a_name_that_is_nearly_one_from_elsewhere_is_suggested(bring) -> None:
    bring(brightness="brought_metrics:BRIGHTNESS")
    with pytest.raises(UsageError) as caught:
        find_column("brigthness")
    assert caught.value.hint == "did you mean brightness?"
