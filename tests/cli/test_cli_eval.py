"""`stylehead eval` from the command line, over a tiny random world with random encoders."""

import csv
import errno
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from cli_helpers import FAST, Outcome, Run
from PIL import Image

from stylehead.evaluation.columns import all_columns
from stylehead.evaluation.systems import ladder, systems
from stylehead.jobs.signals import StopRequest
from stylehead.methods.config import StylizeConfig
from stylehead.runs import RunDirectory

FEW = ("--identities", "2", "--yaws", "0,30")
HEADS = 2


def document(outcome: Outcome) -> dict:
    assert outcome.code in (0, 1), outcome
    return json.loads(outcome.out)


def value(row: dict, column: str) -> float:
    return row["cells"][column]["value"]


# --------------------------------------------------------------------------------------------- what is there


def test_without_a_run_the_untouched_generator_and_a_hint(measure: Run) -> None:
    outcome = measure("eval", *FEW)
    assert outcome.code == 0, outcome
    assert "untouched" in outcome.out
    assert 'next: stylehead stylize --prompt "Pixar character"' in outcome.err


def test_every_finished_run_and_why_others_are_not_measured(
    measure: Run, finished: Path, other_generator: Path, world: Path
) -> None:
    shutil.copytree(finished, "runs/second")
    shutil.copytree(finished, "runs/stopped")
    RunDirectory(Path("runs/stopped")).update({"outcome": "interrupted"})
    shutil.copytree(finished, "runs/foreign")
    RunDirectory(Path("runs/foreign")).update({"generator": "0" * 64})
    outcome = measure("eval", *FEW, "--json")
    rows = document(outcome)["rows"]
    assert [(row["kind"], row["label"]) for row in rows] == [
        ("untouched", "untouched"),
        ("method", "stylehead (ours), pixar"),
        ("method", "stylehead (ours), second"),
        ("true", "true pictures"),
    ]
    assert "not measured: runs/stopped, it is not finished: stylehead stylize --resume" in outcome.err
    assert "not measured: runs/foreign, it was trained on another generator" in outcome.err
    assert value(rows[1], "id") == value(rows[2], "id")
    assert value(rows[0], "id") == pytest.approx(1, abs=1e-5)
    assert value(rows[1], "id") < 1


def test_every_number_carries_its_sample_and_encoder(measure: Run, finished: Path) -> None:
    table = document(measure("eval", "--runs", finished, *FEW, "--json"))
    assert (table["identities"], table["psi"], table["yaws_deg"]) == (2, 0.75, [0.0, 30.0])
    cell = table["rows"][1]["cells"]["id"]
    assert cell["low"] <= cell["value"] <= cell["high"]
    assert (cell["identities"], cell["pictures"], cell["yaws_deg"]) == (2, 4, [0.0, 30.0])
    assert cell["encoder"].startswith("mini identity ")
    assert table["rows"][1]["cells"]["gt_psnr"]["yaws_deg"] == [0.0]  # true pictures know the front only
    assert table["rows"][1]["cells"]["fid"] == {
        "value": None,
        "why": "FID and KID need Inception.",
        "hint": "--inception FILE",
    }
    assert table["rows"][1]["path"] == str(finished)


def test_people_read_numbers_with_intervals(measure: Run, finished: Path) -> None:
    outcome = measure("eval", *FEW)
    assert outcome.code == 0, outcome
    line = next(line for line in outcome.out.splitlines() if line.startswith("  stylehead (ours)"))
    assert "±" in line
    assert "id         " in outcome.out or "id  " in outcome.out
    assert "N 2, 4 pictures, yaw 0 30; mini identity" in outcome.out
    assert "no fid, kid: FID and KID need Inception. (--inception FILE)" in outcome.err


def test_a_preset_s_truncation_other_than_the_truth_s(measure: Run, finished: Path) -> None:
    table = document(measure("eval", *FEW, "--psi", "0.5", "--json"))
    assert [row["kind"] for row in table["rows"]] == ["untouched", "method"]
    assert table["rows"][1]["cells"]["gt_psnr"]["why"] == "The true pictures show heads with --psi 0.75."
    assert value(table["rows"][1], "id") is not None


def test_batch_size_changes_nothing(measure: Run, finished: Path) -> None:
    tables = [document(measure("eval", *FEW, "--json", "--batch", size))["rows"][1] for size in ("1", "64")]
    for name, cell in tables[0]["cells"].items():
        if cell["value"] is not None:
            assert tables[1]["cells"][name]["value"] == pytest.approx(cell["value"], rel=1e-4, abs=1e-5), name


def test_a_damaged_run_is_a_row_with_dashes(measure: Run, finished: Path) -> None:
    (finished / "style.safetensors").write_bytes(b"nothing")
    outcome = measure("eval", *FEW, "--json")
    (row,) = [row for row in document(outcome)["rows"] if row["kind"] == "method"]
    assert outcome.code == 1
    assert all(cell["value"] is None for cell in row["cells"].values())
    assert "style.safetensors" in row["problem"]
    assert "warning: pixar, stylehead (ours)" in outcome.err


def test_a_prompt_that_the_embedded_world_cannot_place(measure: Run, finished: Path) -> None:
    """Such as one that another diffusion model was asked for."""
    run = RunDirectory.open(finished)
    run.update({"config": {**run.manifest()["config"], "prompt": "A cat"}})
    untouched, cat = document(measure("eval", *FEW, "--json"))["rows"]
    assert untouched["style"] == cat["style"] == "a cat"
    assert value(cat, "id") is not None
    assert cat["cells"]["style"]["why"] == "The classifier knows no style 'a cat'."
    assert cat["cells"]["gt_iou"]["why"] == "The embedded world has no such style."


def test_without_encoders_what_needs_none_is_measured(run: Run, finished: Path) -> None:
    outcome = run("eval", *FEW)
    assert outcome.code == 0, outcome
    assert "dd_geo" in outcome.out
    assert re.search(r"no id, .*: The mini preset has no identity\.safetensors here\.", outcome.err)


# ------------------------------------------------------------------------------------------- what is written


def test_a_full_disk_costs_the_file_and_not_the_numbers(
    measure: Run, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr("stylehead.jobs.evaluate.atomic_write", full)
    outcome = measure("eval", *FEW, "--csv", "t.csv")
    assert outcome.code == 1, outcome
    assert "dd_geo" in outcome.out
    assert "error: The disk is full: could not write t.csv." in outcome.err
    assert not Path("t.csv").exists()


def test_csv_report_and_quiet(measure: Run, finished: Path) -> None:
    outcome = measure("eval", *FEW, "--csv", "out/t.csv", "--report", "out/r.html", "-q")
    assert outcome.code == 0, outcome
    assert outcome.out.split() == ["out/t.csv", "out/r.html"]
    assert outcome.err == ""
    lines = list(csv.DictReader(Path("out/t.csv").read_text().splitlines()))
    assert {line["row"] for line in lines} == {"untouched", "stylehead (ours)", "true pictures"}
    page = Path("out/r.html").read_text()
    assert "data:image/webp;base64," in page
    assert "Best and worst cases" in page
    assert "stylehead eval --identities 2" in page


def test_quiet_without_files_prints_one_line(measure: Run, finished: Path) -> None:
    outcome = measure("eval", *FEW, "-q")
    assert outcome.out == "3 rows measured, 0 limits missed\n"
    assert outcome.err == ""


def test_a_prompt_alone_trains_nothing(measure: Run, finished: Path) -> None:
    outcome = measure("eval", *FEW, "--prompts", "the joker", "--prompts", "pixar", "--json")
    assert [row["style"] for row in document(outcome)["rows"] if row["kind"] == "method"] == ["pixar"]
    assert "no finished run of 'the joker'; --methods all would train some" in outcome.err
    assert [path.name for path in Path("runs").iterdir()] == [finished.name]


# ---------------------------------------------------------------------------------------------------- limits


def test_a_limit_that_is_missed_exits_with_one_after_the_table(measure: Run, finished: Path) -> None:
    outcome = measure("eval", *FEW, "--fail-under", "id=1.01", "--json")
    assert outcome.code == 1
    table = document(outcome)  # still one document
    assert len(table["missed"]) == 1
    assert "id is" in table["missed"][0]
    assert "under 1.01" in outcome.err


def test_limits_that_are_kept(measure: Run, finished: Path) -> None:
    assert measure("eval", *FEW, "--fail-under", "id=-1", "--fail-over", "dd_geo=1").code == 0


@pytest.mark.parametrize("limit", ["id=0.5", "fid=0.5"])
def test_nothing_measured_is_not_good_enough(run: Run, finished: Path, limit: str) -> None:
    option = "--fail-over" if limit.startswith("fid") else "--fail-under"
    outcome = run("eval", *FEW, option, limit)
    assert outcome.code == 1
    assert "could not be measured" in outcome.err


def test_a_limit_with_no_run_at_all(measure: Run) -> None:
    outcome = measure("eval", *FEW, "--fail-under", "id=0.5")
    assert outcome.code == 1
    assert "there is no run" in outcome.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--fail-under", "id"), "`--fail-under` (=id) must be a column and a number, like id=0.6."),
        (("--fail-under", "id=x"), "`--fail-under` (=id=x) must be a column and a number"),
        (("--fail-under", "identity=0.5"), "There is no column identity"),
        (("--fail-under", "dd_geo=0.5"), "of dd_geo lower is better"),
        (("--fail-over", "id=0.5"), "of id higher is better"),
        (("--identities", "1"), "`--identities` (=1) must be between 2 and"),
        (("--yaws", "front"), "`--yaws` (=front) must be a list of degrees"),
        (("--yaws", "0,360"), "`--yaws` (=0,360) names a side twice"),
        (("--psi", "1.5"), "`--psi` (=1.5) must be at most 1"),
        (("--csv", "table.txt"), "`--csv` (=table.txt) must end in .csv"),
        (("--report", "table.pdf"), "`--report` (=table.pdf) must end in .html"),
        (("--runs", "nowhere"), "`--runs` (=nowhere) does not exist"),
        (("--images", "nowhere"), "`--images` (=nowhere) is not a folder"),
        (("--reference", "nowhere"), "`--reference` (=nowhere) must be truth, teacher or a folder"),
        (
            ("--reference", "truth", "--psi", "0.5"),
            "`--reference` (=truth): The true pictures show heads with",
        ),
        (("--methods", "ld,nothing"), "`--methods` (=nothing) must be all, or some of"),
        (("--methods", "ld", "--ablation"), "`--ablation` and `--methods` exclude each other"),
        (("--prompts", " "), "`--prompts` is empty"),
        (("--prompts", "a cat", "--methods", "ld"), 'The embedded teacher has never seen "a cat"'),
        (("--iterations", "5"), "`--iterations` is for runs that are trained here"),
        (("--minutes", "2"), "`--minutes` is for methods that are trained here"),
        (("--minutes", "2", "--ablation"), "`--minutes` is for methods that are trained here"),
        (("--methods", "ld", "--minutes", "0"), "`--minutes` (=0) must be above 0"),
        (("--methods", "ld", "--minutes", "1", "--iterations", "5"), "exclude each other"),
    ],
)
def test_wrong_usage_is_said_in_one_sentence(measure: Run, words: tuple[str, ...], said: str) -> None:
    outcome = measure("eval", *words)
    assert outcome.code == 2, outcome
    assert said in outcome.err
    assert outcome.out == ""
    assert not Path("runs").exists()


@pytest.mark.parametrize("option", ["--clip", "--faces", "--depth-model"])
def test_encoders_that_are_not_there(measure: Run, option: str) -> None:
    outcome = measure("eval", *FEW, option, "nowhere")
    assert outcome.code == 3, outcome
    assert f"`{option}` (=nowhere)" in outcome.err


def test_inception_that_is_not_there(measure: Run) -> None:
    outcome = measure("eval", *FEW, "--inception", "nowhere.pth")
    assert outcome.code == 3, outcome
    assert "nowhere.pth" in outcome.err or "torch-fidelity" in outcome.err


# --------------------------------------------------------------------------------- pictures of other systems


def write_pictures(folder: Path, *, people: int = HEADS) -> Path:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for seed in range(people):
        for yaw in (0, 30):
            pixels = rng.integers(0, 256, (64, 64, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"seed-{seed}_yaw{yaw:+04d}.png")
    sidecar = {"prompt": "Pixar character", "method": "ip2p"}
    (folder / "pictures.json").write_text(json.dumps(sidecar))
    return folder


def test_pictures_take_the_place_of_a_run(measure: Run, tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "theirs")
    outcome = measure("eval", *FEW, "--images", folder, "--json")
    untouched, theirs, _ = document(outcome)["rows"]
    assert theirs["label"] == "InstructPix2Pix (2D) (pictures)"
    assert value(theirs, "id") is not None
    assert value(theirs, "id") < value(untouched, "id")
    assert theirs["cells"]["dd_geo"]["why"] == "These are pictures without geometry."


def test_too_few_pictures_are_a_row_with_dashes_and_a_hint(measure: Run, tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "theirs", people=1)
    outcome = measure("eval", *FEW, "--images", folder, "--json")
    assert outcome.code == 1, "nothing that was asked for could be measured"
    assert "shows 1 of the 2 people" in outcome.err
    assert "lower --identities" in document(outcome)["rows"][1]["cells"]["id"]["hint"]


def test_frames_that_render_drew_are_pictures_too(measure: Run, finished: Path) -> None:
    style = finished / "style.safetensors"
    drawn = measure(
        "render", "--seeds", "0-1", "--style", style, "--yaw-steps", "2", "--format", "frames",
        "--psi", "0.75", "--out", "drawn",
    )  # fmt: skip
    assert drawn.code == 0, drawn
    few = ("--identities", "2", "--yaws", "0,180", "--json")
    _, run_row, folder_row, _ = document(measure("eval", "--runs", finished, "--images", "drawn", *few))[
        "rows"
    ]
    for column in ("id", "clip_text", "gt_psnr", "diversity"):
        assert value(folder_row, column) == pytest.approx(value(run_row, column), rel=1e-4), column


def test_reference_pictures_from_a_folder_and_from_the_teacher(
    measure: Run, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_pictures(tmp_path / "real" / "pixar")
    table = document(measure("eval", *FEW, "--reference", folder.parent, "--json", "--runs", finished))
    assert table["rows"][1]["cells"]["kd_mini"]["note"].startswith(f"against {folder}")
    assert "same heads" in table["rows"][1]["cells"]["clip_img"]["why"]
    monkeypatch.setattr("stylehead.evaluation.teacher_pictures.STEPS", 2)
    table = document(measure("eval", *FEW, "--reference", "teacher", "--json", "--runs", finished))
    assert table["rows"][1]["cells"]["clip_img"]["note"].startswith("to the teacher's pictures")
    assert table["rows"][1]["cells"]["kd_mini"]["pictures"] == 4


# ---------------------------------------------------------------------------------- training what is missing

TINY = ("--iterations", "1", *FEW)


def test_a_dry_run_says_what_would_be_trained_and_writes_nothing(measure: Run) -> None:
    outcome = measure("eval", "--methods", "all", "--prompts", "paper", "--dry-run", "--json", *FEW)
    rows = document(outcome)["rows"]
    assert len(rows) == 5 * len(systems())
    states = {(row["label"], row["state"]) for row in rows}
    assert ("stylehead (ours)", "missing") in states
    assert document(outcome)["training_seconds"] > 0
    assert document(outcome)["disk_bytes"] > 1e6
    assert "Timing a step" in outcome.err
    assert all(row["path"] is None for row in rows if row["state"] == "cannot")
    assert not Path("runs").exists()


def test_a_dry_run_says_what_is_measured_on_whom_and_how_long(measure: Run, finished: Path) -> None:
    outcome = measure("eval", "--dry-run", *FEW)
    assert outcome.code == 0, outcome
    lines = [" ".join(line.split()).split(maxsplit=1) for line in outcome.out.splitlines() if line.strip()]
    assert [text for label, text in lines if label == "measure"] == ["the untouched generator", str(finished)]
    said = dict((label, text) for label, text in lines)
    assert said["people"] == "2, seeds 0 to 1, psi 0.75"
    assert said["sides"] == "2, yaw 0 30"
    assert "for 4 heads, timed on one" in said["measuring"]
    assert {column.name for column in all_columns()} <= said.keys()
    assert said["id"] == "↑ cosine of face embeddings to the untouched head, near-front views"
    assert "of yours" not in outcome.err


def test_without_a_run_it_is_said_whose_figures_these_are(measure: Run) -> None:
    told = "There is no finished run of yours in runs: the figures are those of the untouched generator"
    for words in (("--dry-run",), ()):
        outcome = measure("eval", *FEW, *words)
        assert outcome.code == 0, outcome
        assert outcome.err.count(told) == 1
    first, second, *_ = (" ".join(line.split()) for line in outcome.out.splitlines())
    assert first == "untouched all figures are of the generator's own heads, before any style"
    assert second == ""
    assert "says little" in outcome.out
    assert outcome.out.count("says little") == 1
    assert "columns" in outcome.out.splitlines()[-1]


def test_what_is_missing_is_trained_once(measure: Run) -> None:
    words = (
        "eval",
        "--methods",
        "sds,stylehead",
        "--prompts",
        "Pixar character",
        "--prompts",
        "the joker",
        *TINY,
    )
    first = measure(*words, "--json")
    rows = document(first)["rows"]
    assert [(row["style"], row["label"]) for row in rows if row["kind"] == "method"] == [
        ("pixar", "SDS"), ("pixar", "stylehead (ours)"), ("joker", "SDS"), ("joker", "stylehead (ours)"),
    ]  # fmt: skip
    paths = [Path(row["path"]) for row in rows if row["kind"] == "method"]
    for path in paths:
        manifest = RunDirectory.open(path).manifest()
        assert manifest["outcome"] == "finished"
        assert manifest["steps"] == 1
    before = {path: (path / "style.safetensors").stat().st_mtime_ns for path in paths}
    again = measure(*words)
    assert again.code == 0, again
    assert {path: (path / "style.safetensors").stat().st_mtime_ns for path in paths} == before
    assert "Run 1 of" not in again.err
    assert again.out.splitlines()[0].split() == ["clip_img", "↑", "pixar", "joker", "mean"]


def test_a_stopped_run_of_the_table_goes_on(measure: Run) -> None:
    words = ("eval", "--methods", "stylehead", "--prompts", "Pixar character", "--iterations", "3", *FEW)
    plan = document(measure(*words, "--dry-run", "--json"))["rows"][0]
    config = StylizeConfig.from_dict({"prompt": "Pixar character", "iterations": 3})
    two_steps = ("--iterations", "2", "--keep-checkpoints", "1")
    started = measure("stylize", "--prompt", "Pixar character", *two_steps, "--out", plan["path"])
    assert started.code == 0, started
    run = RunDirectory.open(Path(plan["path"]))
    run.update({"outcome": "interrupted", "config": config.to_dict()})
    assert document(measure(*words, "--dry-run", "--json"))["rows"][0]["state"] == "stopped"
    outcome = measure(*words)
    assert outcome.code == 0, outcome
    assert "goes on from step 2" in outcome.err
    assert run.manifest()["steps"] == 3


def test_a_run_that_was_made_by_hand_is_not_trained_again(measure: Run, finished: Path) -> None:
    def plan(iterations: int) -> dict:
        words = (
            "eval",
            "--methods",
            "stylehead",
            "--prompts",
            "Pixar character",
            "--dry-run",
            "--json",
            *FEW,
        )
        (row,) = document(measure(*words, "--iterations", str(iterations), "--json"))["rows"]
        return row

    assert RunDirectory.open(finished).manifest()["config"]["iterations"] == 4
    assert (plan(4)["state"], plan(4)["path"]) == ("finished", str(finished))
    assert plan(5)["state"] == "missing"


def test_methods_have_equal_time_where_minutes_are_asked_for(measure: Run) -> None:
    words = ("eval", "--methods", "sds,stylehead,nada", "--prompts", "pixar", "--minutes", "2.4")
    outcome = measure(*words, "--dry-run", *FEW)
    assert outcome.code == 0, outcome
    for row in ("SDS, 450 steps", "stylehead (ours), 175 steps", "StyleGAN-NADA, 300 steps"):
        assert row in outcome.out


def test_editors_that_are_not_here_keep_their_rows(run: Run) -> None:
    outcome = run("eval", "--methods", "ip2p,stylehead", "--prompts", "Pixar character", *TINY, "--json")
    _, edited, ours, *_ = document(outcome)["rows"]
    assert edited["label"] == "InstructPix2Pix (2D)"
    assert all(cell["value"] is None for cell in edited["cells"].values())
    assert edited["problem"] == "The mini preset has no ip2p here."
    assert value(ours, "dd_geo") is not None


def test_what_edits_pictures_needs_no_training(measure: Run) -> None:
    words = ("eval", "--methods", "ip2p,instantid", "--prompts", "Pixar character", *TINY)
    assert {row["state"] for row in document(measure(*words, "--dry-run", "--json"))["rows"]} == {"edits"}
    outcome = measure(*words, "--json")
    _, *edited, _ = document(outcome)["rows"]
    assert [row["method"] for row in edited] == ["ip2p", "instantid"]
    for row in edited:
        assert value(row, "id") is not None
        assert row["cells"]["dd_geo"]["value"] is None
    assert not Path("runs").exists()


@pytest.mark.slow
def test_the_ablation_is_a_ladder_at_equal_budget(measure: Run) -> None:
    outcome = measure("eval", "--ablation", *TINY, "--json")
    rows = [row for row in document(outcome)["rows"] if row["kind"] == "method"]
    assert [row["label"] for row in rows] == list(ladder())
    assert {row["iterations"] for row in rows} == {1}
    assert len({row["path"] for row in rows}) == len(ladder())


def test_ctrl_c_while_training_says_how_to_go_on(measure: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The signal itself is tested with stylize, which trains in the same way."""
    ask = StopRequest.__enter__

    def stop_after_one_step(request: StopRequest) -> StopRequest:
        request.asked = True
        return ask(request)

    monkeypatch.setattr(StopRequest, "__enter__", stop_after_one_step)
    outcome = measure("eval", "--methods", "sds", "--prompts", "Pixar character", "--iterations", "5", *FEW)
    assert outcome.code == 130, outcome
    assert "Stopped after step 1 of 5" in outcome.err
    assert "hint: stylehead eval --methods sds" in outcome.err
    assert "goes on from here" in outcome.err
    assert outcome.out == ""


def test_the_fast_run_is_the_default_experiment(finished: Path) -> None:
    """What the tests above take for granted: the fixture differs from the defaults in its length only."""
    config = StylizeConfig.from_dict(RunDirectory.open(finished).manifest()["config"])
    changed = {
        k
        for k, v in config.to_dict().items()
        if v != StylizeConfig.from_dict({"prompt": "Pixar character"}).to_dict()[k]
    }
    assert changed <= {"iterations", "checkpoint_every", "preview_every"}
    assert "--iterations" in FAST
