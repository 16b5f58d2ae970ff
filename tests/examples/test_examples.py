"""Every example runs, and says what it promises."""

import importlib.util
import json
from pathlib import Path

import pytest
from PIL import Image

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_is_tested():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {"measure_styles", "style_sheet"}


def test_measure_styles_gives_the_untouched_generator_first(capsys):
    load("measure_styles").main(["--people", "4", "--json"])
    table = json.loads(capsys.readouterr().out)
    (row,) = table.values()
    assert row["id_rank1"] == 1
    assert row["id"] == pytest.approx(1, abs=1e-4)
    assert 0 <= row["style"] <= 1


def test_style_sheet_draws_every_person(tmp_path, capsys):
    module = load("style_sheet")
    module.main(["--seeds", "1", "2", "--out", str(tmp_path / "sheet.png")])
    with Image.open(tmp_path / "sheet.png") as page:
        assert page.size == (2 * 128 + 6, 26 + 2 * (128 + 6))
    assert capsys.readouterr().out.strip() == str(tmp_path / "sheet.png")
