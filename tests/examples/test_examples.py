"""Every example runs, and says what it promises."""

import importlib.util
import json
import os
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from stylehead.export import showcase
from stylehead.generator import load_style

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_is_tested():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {
        "embedded_world",
        "full_scale_benchmark",
        "gradio_space",
        "measure_inversion",
        "measure_styles",
        "mesh_fidelity",
        "own_pictures",
        "package_styles",
        "remake",
        "style_sheet",
        "sweep_benchmark",
    }


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


def test_what_follows_from_weights_is_made_by_commands_that_exist(monkeypatch, capsys):
    module = load("remake")
    assert module.main(["--dry-run"]) == 0
    commands = capsys.readouterr().out.splitlines()
    assert len(commands) == sum(map(len, module.STEPS.values()))
    for command in [command for commands in module.STEPS.values() for command in commands]:
        script = [word for word in command if word.endswith(".py")]
        assert all((EXAMPLES.parent / word).is_file() for word in script)
    ran = []

    def run(command, *, check):
        ran.append(command)
        return subprocess.CompletedProcess(command, returncode=len(ran) == 2)

    monkeypatch.setattr(module.subprocess, "run", run)
    assert module.main(["--from", "pictures"]) == 1
    assert ran == module.STEPS["pictures"][:2]  # the second one failed


@pytest.mark.slow
def test_the_full_scale_benchmark_times_every_part(tmp_path, capsys):
    module = load("full_scale_benchmark")
    module.main(["--toy", "--device", "cpu", "--repeats", "1", "--json", str(tmp_path / "out.json")])
    found = json.loads((tmp_path / "out.json").read_text())
    assert [row["part"] for row in found["parts"]] == list(module.PARTS)
    assert all(row["forward"]["ms"] > 0 and row["forward"]["launches"] > 0 for row in found["parts"])
    assert found["totals"]["ours"]["equivalents"] < found["totals"]["script"]["equivalents"]
    module.main(["--toy", "--computed", "--parts", "rays", "backbone"])
    assert "A100" in capsys.readouterr().out


def test_the_full_scale_benchmark_has_whole_iterations_of_both():
    module = load("full_scale_benchmark")
    builder = module.Builder(module.Sizes.toy(), torch.device("cpu"))
    assert not module._stylizer(builder, "12").step().non_finite
    module._script(builder)()


@pytest.mark.slow
def test_own_pictures_become_a_style(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(showcase, "SHEET_SEEDS", (1,))
    monkeypatch.setattr(showcase, "SHEET_YAWS_DEG", (0.0,))
    monkeypatch.setattr(showcase, "TURNTABLE_STEPS", 2)
    load("own_pictures").main(
        ["--people", "2", "--views", "2", "--iterations", "1", "--out", str(tmp_path / "own")]
    )
    assert "4 of 4 edits kept" in capsys.readouterr().out
    assert (tmp_path / "own" / "run" / "style.safetensors").is_file()


@pytest.mark.slow
def test_styles_of_the_package_are_made_once_and_are_small(tmp_path, capsys):
    words = ["--only", "joker", "--work", str(tmp_path / "runs"), "--out", str(tmp_path / "styles")]
    words += ["--quality", "quick", "--set", "people=2", "--set", "bank_views=2", "--set", "iterations=1"]
    main = load("package_styles").main
    main(words)
    path = tmp_path / "styles" / "joker.safetensors"
    style = load_style(path)
    assert style.changes
    assert style.metadata["stylehead.prompt"] == "the joker"
    assert path.stat().st_size < 2e6
    card = (tmp_path / "styles" / "README.md").read_text()
    assert "| `joker.safetensors` | the joker | edit | 1 | 0 |" in card
    assert "Licence: Apache-2.0" in card
    events = (tmp_path / "runs" / "joker" / "events.jsonl").read_bytes()
    main(words)
    assert (tmp_path / "runs" / "joker" / "events.jsonl").read_bytes() == events, "it was trained again"


def test_embedded_world_draws_four_sheets(tmp_path, capsys):
    for package in ("anny", "moderngl", "scipy"):
        pytest.importorskip(package, reason="needs the extra `mini`")
    module = load("embedded_world")
    module.YAWS_DEG, module.TEACHER_YAWS_DEG, module.TIMESTEPS = (0, 180), (0,), (281,)
    module.PROMPTED_STYLES = ("pixar", "joker")
    module.main(["--people", "2", "--steps", "1", "--out", str(tmp_path)])
    least = {"people": (2, 4), "walk": (7, 2), "teacher": (1, 3), "one_step": (1, 3)}  # pictures across, down
    for line in capsys.readouterr().out.split():
        with Image.open(line) as page:
            across, down = least[Path(line).stem]
            assert page.width > across * 128
            assert page.height > down * 128
    assert {path.stem for path in tmp_path.iterdir()} == {"people", "walk", "teacher", "one_step"}


@pytest.mark.slow
def test_measure_inversion_prints_every_figure(tmp_path, capsys):
    words = ["--people", "1", "--gallery", "3", "--steps", "3", "--starts", "1", "--no-guess"]
    load("measure_inversion").main([*words, "--sheet", str(tmp_path / "people.png")])
    figures = json.loads(capsys.readouterr().out)
    assert figures["people"] == 1
    assert figures["rank1_of_the_true_pictures"] in (0, 1)
    assert 0 <= figures["pose_error_deg_median"] <= 180
    assert figures["other_side_ratio_median"] > 0
    with Image.open(tmp_path / "people.png") as page:
        assert page.width > 7 * 128


def test_the_demo_draws_what_its_controls_say():
    demo = load("gradio_space").Demo([])
    front = demo.picture(4, 0.7, "none", 1.0, 0.0, "white")
    assert front.shape == (256, 256, 3)
    assert (front[0] == 255).all()
    assert not np.array_equal(front, demo.picture(4, 0.7, None, 1.0, 90.0, "white"))
    assert (demo.picture(4, 0.7, None, 1.0, 0.0, "black")[0] == 0).all()


def test_the_demo_asks_nobody_to_count_it(monkeypatch):
    told = {}
    stand_in = types.SimpleNamespace(
        Number=lambda *_, **__: None, Slider=lambda *_, **__: None, Dropdown=lambda *_, **__: None,
        Image=lambda **_: None, Interface=lambda *_, **words: told.update(words),
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "gradio", stand_in)
    load("gradio_space").page(types.SimpleNamespace(names=[], picture=None))
    assert told["analytics_enabled"] is False
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"


@pytest.mark.slow
def test_meshes_are_faithful_to_the_renders(capsys):
    for package in ("moderngl", "trimesh", "xatlas"):
        pytest.importorskip(package)
    load("mesh_fidelity").main(["--seeds", "1", "--json"])
    found = json.loads(capsys.readouterr().out)["untouched"]
    assert set(found) == {"front", "sides", "back"}
    assert min(found.values()) > 18


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_notebook_runs_from_top_to_bottom(tmp_path, monkeypatch):
    notebook = json.loads((EXAMPLES / "stylehead.ipynb").read_text())
    monkeypatch.chdir(tmp_path)
    names = {}
    for cell in notebook["cells"]:
        assert not cell.get("outputs"), "outputs are not kept"
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"<{cell['id']}>", "exec"), names)
    assert names["film"].images.shape == (8, 256, 256, 3)
    assert (names["run"].folder / "morph.webp").is_file()
    assert names["found"].quality["yaw_deg"] == pytest.approx(0, abs=0.1)


@pytest.mark.slow
def test_the_benchmark_of_sweeps_measures_local_workers(capsys, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
    load("sweep_benchmark").main(["--runs", "2", "--steps", "1", "--only", "local"])
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["local"]["ratio"] > 0
    assert found["local"]["two"]["listening"] == []
