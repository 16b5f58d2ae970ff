"""The rivals of the table from the command line, over a tiny random world with random encoders."""

import json
from pathlib import Path

import pytest
import torch
from cli_helpers import Run
from full_scale import furnish
from safetensors import safe_open
from tiny_teacher import write_tiny_depth_estimator, write_tiny_teacher

from stylehead.generator import GeneratorConfig
from stylehead.weights import store

PIXAR = ("stylize", "--prompt", "Pixar character")
SHORT = ("--iterations", "2", "--checkpoint-every", "1", "--preview-every", "1", "--out", "runs/rival")
ASKS_NO_TEACHER = ("nada", "styleclip")
ASKS_THE_TEACHER = ("styleganfusion", "diffusiongan3d")
RIVALS = (*ASKS_NO_TEACHER, *ASKS_THE_TEACHER)


@pytest.mark.parametrize("method", ASKS_NO_TEACHER)
def test_a_rival_without_a_teacher_makes_a_whole_run(measure: Run, method: str) -> None:
    outcome = measure(*PIXAR, *SHORT, "--method", method, "--json")
    assert outcome.code == 0, outcome
    manifest = json.loads(outcome.out)["manifest"]
    assert (manifest["outcome"], manifest["steps"], manifest["precision"]) == ("finished", 2, None)
    assert manifest["config"]["method"] == method
    assert manifest["teacher"]["clip"] == "mini/image_text"
    ids = [file["id"] for file in manifest["weights"]]
    assert "mini/image_text/image_text.safetensors" in ids
    assert not any("unet" in name for name in ids)
    run = Path("runs/rival")
    assert {"style.safetensors", "contact_sheet.jpg", "turntable.mp4", "README.md"} <= {
        path.name for path in run.iterdir()
    }
    assert [path.name for path in sorted((run / "previews").iterdir())] == [
        "step_000000.jpg", "step_000001.jpg", "step_000002.jpg",
    ]  # fmt: skip
    with safe_open(run / "style.safetensors", "pt") as file:
        assert file.metadata()["stylehead.method"] == method
    shown = measure("render", "--seed", "1", "--yaw-steps", "1", "--format", "frames", "--out", "shown",
                "--style", run / "style.safetensors")  # fmt: skip
    assert shown.code == 0, shown


@pytest.mark.parametrize("method", ASKS_THE_TEACHER)
def test_a_rival_with_a_teacher_makes_a_whole_run(measure: Run, method: str) -> None:
    outcome = measure(*PIXAR, *SHORT, "--method", method, "--json")
    assert outcome.code == 0, outcome
    manifest = json.loads(outcome.out)["manifest"]
    assert (manifest["outcome"], manifest["steps"], manifest["precision"]) == ("finished", 2, "float32")
    assert manifest["teacher"]["diffusion"] == "mini/teacher"
    events = Path("runs/rival/events.jsonl").read_text().splitlines()
    assert all(set(json.loads(event)["gradient_rms"]) == {"single"} for event in events)
    with safe_open("runs/rival/style.safetensors", "pt") as file:
        assert file.metadata()["stylehead.method"] == method


@pytest.mark.parametrize(
    "method", [RIVALS[0], *(pytest.param(name, marks=pytest.mark.slow) for name in RIVALS[1:])]
)
def test_a_rival_that_goes_on_ends_where_a_straight_run_does(measure: Run, method: str) -> None:
    words = (*PIXAR, "--method", method, "--preview-every", "0")
    assert measure(*words, "--iterations", "3", "--out", "runs/straight").code == 0
    kept = ("--keep-checkpoints", "1")  # else it would go on from the style, with a new optimiser
    assert measure(*words, "--iterations", "2", "--out", "runs/longer", *kept).code == 0
    outcome = measure("stylize", "--resume", "runs/longer", "--iterations", "3")
    assert outcome.code == 0, outcome
    styles = []
    for name in ("straight", "longer"):
        with safe_open(f"runs/{name}/style.safetensors", "pt") as file:
            styles.append({key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118
    assert styles[0].keys() == styles[1].keys()
    assert styles[0]
    assert all(torch.equal(tensor, styles[1][name]) for name, tensor in styles[0].items())


@pytest.mark.slow
def test_eval_trains_rivals_beside_ours(measure: Run) -> None:
    words = ("--identities", "2", "--yaws", "0,30", "--iterations", "1", "--json")
    outcome = measure("eval", "--methods", ",".join([*RIVALS, "ld"]), "--prompts", "Pixar character", *words)
    assert outcome.code == 0, outcome
    rows = [row for row in json.loads(outcome.out)["rows"] if row["kind"] == "method"]
    assert len(rows) == len(RIVALS) + 1
    for row in rows:
        assert row["iterations"] == 1
        assert row["cells"]["id"]["value"] is not None


@pytest.mark.parametrize(
    ("method", "option"),
    [
        ("nada", ("--cfg-scale", "3")),
        ("nada", ("--grid",)),
        ("ld", ("--source-prompt", "a man")),
        ("sds", ("--clip", "folder")),
        ("sds", ("--direction-weight", "1")),
        ("styleganfusion", ("--alpha-weight", "1")),
        ("diffusiongan3d", ("--direction-weight", "1")),
        ("styleclip", ("--adaptive-layers", "1")),
    ],
)
def test_a_setting_that_says_nothing_to_a_method_is_refused(
    run: Run, method: str, option: tuple[str, ...]
) -> None:
    outcome = run(*PIXAR, "--method", method, *option, "--dry-run")
    assert outcome.code == 2
    assert option[0] in outcome.err
    assert f"--method {method}" in outcome.err


@pytest.mark.parametrize("method", ASKS_NO_TEACHER)
def test_without_the_embedded_encoder_it_says_what_is_missing(run: Run, method: str, tmp_path: Path) -> None:
    outcome = run(*PIXAR, *SHORT, "--method", method)
    assert outcome.code == 3
    assert "image_text.safetensors" in outcome.err
    assert not (tmp_path / "runs").exists()


def test_at_full_scale_clip_is_asked_for_and_no_teacher(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    furnish(home, GeneratorConfig.tiny(), write_tiny_teacher, write_tiny_depth_estimator)
    (home / "teacher" / "unet" / "config.json").unlink()  # nobody may look at it
    words = ("stylize", "--preset", "panohead", "--prompt", "a hamster", "--method", "nada")
    monkeypatch.setenv(store.HOME_VARIABLE, str(home))
    monkeypatch.setenv(store.ACCEPT_VARIABLE, "panohead")
    done = run(*words, "--iterations", "1")
    assert done.code == 3, done
    assert "stylehead weights fetch clip-vit-b32" in done.err
    planned = run(*words, "--dry-run", "--json")
    assert planned.code == 0, planned
    needs = {need["role"]: need for need in json.loads(planned.out)["weights"]}
    assert {role: need["here"] for role, need in needs.items()} == {"generator": True, "clip": False}
    assert needs["clip"]["fetch"] == "stylehead weights fetch clip-vit-b32"


@pytest.mark.parametrize("method", ASKS_NO_TEACHER)
def test_a_dry_run_times_a_few_steps(measure: Run, method: str) -> None:
    document = json.loads(measure(*PIXAR, "--method", method, "--dry-run", "--json").out)
    assert document["measured"] is True
    faces = ["faces"] if method == "styleclip" else []
    assert [need["role"] for need in document["weights"]] == ["generator", "clip", *faces]
