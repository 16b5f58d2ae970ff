"""The page of a run: what it shows, at any moment, whatever is in the folder."""

import math
import re
from pathlib import Path

import pytest
from PIL import Image

from stylehead.export.run_page import MOST_PREVIEWS, PAGE, measured_numbers, page, write_page
from stylehead.runs import RunDirectory

HOSTILE = '<script>alert("x")</script>'


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    facts = {"job": "stylize", "prompt": HOSTILE, "command": HOSTILE, "config": {"iterations": 9}}
    made = RunDirectory.create(tmp_path / "run", facts)
    (made.path / "previews").mkdir()
    return made


def preview(run: RunDirectory, step: int) -> None:
    Image.new("RGB", (600, 300), (step % 256, 90, 90)).save(run.path / "previews" / f"step_{step:06d}.jpg")


def test_a_run_that_has_just_begun_has_a_page(run: RunDirectory) -> None:
    text = page(run)
    assert "step 0 of 9" in text
    assert 'http-equiv="refresh"' in text  # it goes on
    assert "<polyline" not in text
    assert "<img" not in text


def test_curves_previews_and_settings_are_on_it(run: RunDirectory) -> None:
    for step in range(1, 6):
        run.log({"step": step, "losses": {"a": 1 / step}, "elapsed_s": 3.0 * step, "seconds": {"a": 1.0}})
    for step in (0, 2, 5):
        preview(run, step)
    text = write_page(run).read_text()
    assert (run.path / PAGE).read_text() == text
    assert text.count("<polyline ") == 1
    assert "losses/a" in text
    assert "over the steps: from 1 to 0.2" in text
    assert text.count("<img ") == 3
    assert text.index("step 5</figcaption>") < text.index("step 2</figcaption>")
    assert "<td>iterations</td><td>9</td>" in text


def test_words_of_a_user_are_words(run: RunDirectory) -> None:
    run.log({"step": 1, HOSTILE: 1.0})
    run.log({"step": 2, HOSTILE: 2.0})
    text = page(run)
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert not re.findall(r'(?:src|href)="(?!data:)', text)


def test_many_previews_stay_a_page(run: RunDirectory) -> None:
    for step in range(0, 100, 2):
        preview(run, step)
    (run.path / "previews" / "step_000099.jpg").write_bytes(b"no picture")
    text = page(run)
    assert 5 < text.count("<img ") <= MOST_PREVIEWS + 1
    assert len(text) < 2_000_000


def test_numbers_are_finite_and_no_times() -> None:
    event = {"step": 3, "time": 1.0, "seconds": {"x": 1}, "loss": 2, "a": {"b": {"c": 1.5}}, "t": True}
    assert measured_numbers(event) == {"loss": 2.0, "a/b/c": 1.5}
    assert measured_numbers({"x": math.nan, "y": math.inf, "z": "4"}) == {}
