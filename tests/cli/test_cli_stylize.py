"""A stylise job from the command line: what it leaves, and how it goes on."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from cli_helpers import FAST, LIGHT, STEADY, Outcome, Run
from PIL import Image
from safetensors.torch import load_file

from stylehead.export import showcase
from stylehead.export.recipe import read_recipe
from stylehead.export.showcase import Showcase
from stylehead.generator import PanoHead, load_style
from stylehead.jobs import training
from stylehead.jobs.training import preview_due
from stylehead.methods import Stylizer
from stylehead.methods.qualities import quality_settings
from stylehead.methods.registry import choose_method
from stylehead.runs import RunDirectory

Script = Callable[..., list[str]]


def same_style(first: Path, second: Path) -> bool:
    """Whether two style files hold the same numbers, bit for bit."""
    left, right = load_file(first / "style.safetensors"), load_file(second / "style.safetensors")
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


# ------------------------------------------------------------------------------------------ what a run leaves


def test_a_run_leaves_everything_it_promises(finished: Path) -> None:
    names = {path.relative_to(finished).as_posix() for path in finished.rglob("*") if path.is_file()}
    checkpoint = {"state.json", "state.safetensors", "weights.safetensors"}
    assert names == {
        "README.md",
        "config.json",
        "contact_sheet.jpg",
        "events.jsonl",
        "index.html",
        "run.json",
        "style.safetensors",
        "training.mp4",
        "turntable.mp4",
        *(f"previews/step_00000{step}.jpg" for step in (0, 2, 4)),
        *(f"checkpoints/step_00000{step}/{name}" for step in (2, 4) for name in checkpoint),
    }


def test_the_manifest_says_what_was_done(finished: Path, world: Path) -> None:
    manifest = json.loads((finished / "run.json").read_text())
    assert manifest["outcome"] == "finished"
    assert manifest["prompt"] == "Pixar character"
    assert manifest["steps"] == 4
    assert manifest["config"]["iterations"] == 4
    assert manifest["preset"] == "mini"
    assert manifest["generator"] == PanoHead.load(world / "generator.safetensors").fingerprint()
    assert manifest["versions"]["torch"] == torch.__version__
    assert manifest["seconds"] > 0
    assert manifest["peak_memory_bytes"]["process"] > 1e7
    assert {weight["id"] for weight in manifest["weights"]} >= {"mini/generator.safetensors"}
    assert all(len(weight["sha256"]) == 64 for weight in manifest["weights"])
    assert str(world) not in json.dumps(manifest["weights"])


def test_events_are_one_line_a_step(finished: Path) -> None:
    events = [json.loads(line) for line in (finished / "events.jsonl").read_text().splitlines()]
    assert [event["step"] for event in events] == [1, 2, 3, 4]
    assert {"losses", "gradient_rms", "time"} <= events[0].keys()


def test_the_style_file_holds_only_what_changed_and_says_how(finished: Path, world: Path) -> None:
    generator = PanoHead.load(world / "generator.safetensors")
    style = load_style(finished / "style.safetensors")
    metadata, names = style.metadata, style.changed
    expected = {"prompt": "Pixar character", "method": "ld", "iterations": "4", "seed": "0", "preset": "mini"}
    assert {key: metadata[f"stylehead.{key}"] for key in expected} == expected
    assert "licence" in " ".join(metadata)
    assert 0 < len(names) < len(generator.state_dict())
    assert not any(name.endswith(".bias") or name.startswith("backbone.mapping") for name in names)
    style.apply(generator)


def test_the_network_can_be_rebuilt_from_the_run(finished: Path, world: Path) -> None:
    from stylehead.generator import GeneratorConfig
    from stylehead.methods.config import StylizeConfig

    document = json.loads((finished / "config.json").read_text())
    loaded = PanoHead.load(world / "generator.safetensors")
    assert GeneratorConfig.from_dict(document["generator"]) == loaded.config
    assert StylizeConfig.from_dict(document["stylize"]).iterations == 4


def test_previews_show_source_and_stylised_and_start_alike(finished: Path) -> None:
    first = np.asarray(Image.open(finished / "previews" / "step_000000.jpg")).astype(int)
    last = np.asarray(Image.open(finished / "previews" / "step_000004.jpg")).astype(int)
    assert first.shape == last.shape
    half = first.shape[1] // 2 + 40  # labels are on the left
    change = np.abs(first - last)[70:]
    assert change[:, half:].mean() > 0.2  # the stylised half has moved
    assert change[:, :half].mean() < 0.1 * change[:, half:].mean()  # the source stays
    assert read_recipe(finished / "previews" / "step_000002.jpg")["step"] == 2


def test_the_turntable_has_both_halves(finished: Path) -> None:
    with av.open(str(finished / "turntable.mp4")) as film:
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert len(frames) == 36
    assert frames[0].shape == (64, 2 * 64 + 4, 3)
    assert read_recipe(finished / "turntable.mp4")["prompt"] == "Pixar character"
    assert read_recipe(finished / "contact_sheet.jpg")["iterations"] == 4


def test_the_card_names_prompt_command_and_terms(finished: Path) -> None:
    card = (finished / "README.md").read_text()
    assert card.startswith("# Pixar character\n")
    assert "stylehead render --seed 42 --yaw-steps 36 --style runs/pixar/style.safetensors" in card
    assert "Apache-2.0" in card


# ----------------------------------------------------------------------------------------------- what is said


def test_people_get_paths_progress_and_a_next_command(run: Run) -> None:
    outcome = run("stylize", *FAST, "--out", "r")
    assert outcome.code == 0
    assert outcome.out.splitlines() == [
        "run            r",
        "style          r/style.safetensors",
        "contact sheet  r/contact_sheet.jpg",
        "turntable      r/turntable.mp4",
        "model card     r/README.md",
        "page           r/index.html",
    ]
    lines = outcome.err.splitlines()
    assert lines[0].startswith("method ")
    assert lines[1].startswith("preset mini: ")
    assert any(line.startswith("step 1/4  25.0%  loss ") for line in lines)
    assert any(line.startswith("step 4/4  100.0%") and line.endswith("step_000004.jpg") for line in lines)
    assert lines[-1] == "next: stylehead render --seed 42 --yaw-steps 36 --style r/style.safetensors"


def test_the_next_command_works(run: Run, finished: Path) -> None:
    style = finished / "style.safetensors"
    assert run("render", "--seed", "42", "--yaw-steps", "4", "--style", style).code == 0


def test_json_is_one_document(run: Run) -> None:
    outcome = run("stylize", *LIGHT, "--json")
    document = json.loads(outcome.out)
    assert Path(document["style"]).is_file()
    assert document["manifest"]["outcome"] == "finished"


def test_quiet_is_the_style_path_alone_and_the_same_job_again_makes_another_run(run: Run) -> None:
    first, second = (run("stylize", *LIGHT, "--prompt", "pixar", "-q") for _ in range(2))
    assert first.err == second.err == ""
    styles = [Path(outcome.out.rstrip("\n")) for outcome in (first, second)]
    assert styles[0] != styles[1]
    for style in styles:
        assert style.is_file()
        assert style.parts[0] == "runs"
        assert style.parts[1].startswith("pixar-")
    assert same_style(styles[0].parent, styles[1].parent)


@pytest.mark.parametrize("method", ["sds", "csd"])
def test_other_methods_run_and_are_recorded(run: Run, method: str) -> None:
    outcome = run("stylize", *LIGHT, "--method", method, "--out", "r")
    assert outcome.code == 0, outcome
    assert json.loads(Path("r/run.json").read_text())["config"]["method"] == method


def test_a_profile_fills_in_and_typed_options_win(run: Run) -> None:
    typed = ("--profile", "release", "--perceptual-weight", "0", "--tweedie-weight", "0.2", "--no-mirror")
    outcome = run("stylize", *LIGHT, *typed, "--learning-rate", "0.09", "--dry-run", "--json")
    assert "--profile release was published for 10,000 steps: 4 of them hardly change a head." in outcome.err
    assert "`--learning-rate` (=0.09) is unusual: it is from 1e-06 to 0.02 as a rule." in outcome.err
    config = json.loads(outcome.out)["config"]
    assert config["alpha_lookup"] == "step_index"
    assert config["tweedie_weight"] == 0.2
    assert config["mirror"] is False
    assert config["iterations"] == 4


def test_options_with_several_values(run: Run) -> None:
    typed = ("--step-range", "10", "20", "--rank-weights", "1,0.5,0.25,0")
    config = json.loads(run("stylize", *LIGHT, *typed, "--dry-run", "--json").out)["config"]
    assert config["step_range"] == [10, 20]
    assert config["rank_weights"] == [1, 0.5, 0.25, 0]


def test_a_dry_run_measures_and_writes_nothing(run: Run, tmp_path: Path) -> None:
    outcome = run("stylize", *LIGHT, "--dry-run")
    assert outcome.code == 0
    assert list(tmp_path.iterdir()) == []
    for word in ("would write", "training time", "peak memory", "style.safetensors", "checkpoints of"):
        assert word in outcome.out
    document = json.loads(run("stylize", *LIGHT, "--dry-run", "--json").out)
    assert document["training_seconds"] == pytest.approx(4 * document["seconds_per_step"])
    assert document["style_bytes"] > 1000


# ------------------------------------------------------------------------------------------------- going on


def stopping(number: int, stop: Callable[[], Any]) -> Callable[[Stylizer], Any]:
    """A `Stylizer.step` that calls `stop` after its n-th call."""
    original, calls = Stylizer.step, [0]

    def step(self: Stylizer) -> Any:
        record = original(self)
        calls[0] += 1
        if calls[0] == number:
            stop()
        return record

    return step


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_saves_a_checkpoint_and_resuming_equals_the_straight_run(
    run: Run, straight: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Stylizer, "step", stopping(3, press_ctrl_c))
        outcome = run("stylize", *STEADY, "--iterations", "6", "--out", "stopped")
    assert outcome.code == 130
    assert outcome.out == ""
    assert "error: Stopped after step 3 of 6; the checkpoint is saved." in outcome.err
    assert " hint: stylehead stylize --resume stopped" in outcome.err
    assert [item.step for item in RunDirectory(Path("stopped")).checkpoints()] == [2, 3]
    assert json.loads(Path("stopped/run.json").read_text())["outcome"] == "interrupted"
    assert not Path("stopped/style.safetensors").exists()

    again = run("stylize", "--resume", "stopped")
    assert again.code == 0, again
    assert "goes on from step 3" in again.err
    assert same_style(Path("stopped"), straight)
    events = RunDirectory(Path("stopped")).events()
    assert [event["step"] for event in events] == [1, 2, 3, 4, 5, 6]
    previews = {path.name for path in Path("stopped/previews").iterdir()}
    assert previews >= {f"step_{step:06d}.jpg" for step in (0, 2, 4, 6)}


def test_a_second_ctrl_c_stops_at_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def press_twice() -> None:
        press_ctrl_c()
        press_ctrl_c()

    monkeypatch.setattr(Stylizer, "step", stopping(3, press_twice))
    outcome = run("stylize", *LIGHT, "--out", "stopped")
    assert outcome.code == 130
    assert "error: Interrupted; the checkpoint of step 2 is there." in outcome.err
    assert "hint: stylehead stylize --resume stopped" in outcome.err
    assert [item.step for item in RunDirectory(Path("stopped")).checkpoints()] == [2]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="POSIX signals")
def test_kill_9_in_the_middle_then_resume_equals_the_straight_run(
    run: Run, straight: Path, script: Script, script_env: dict[str, str]
) -> None:
    words = script("stylize", *STEADY, "--iterations", "100000", "--out", "killed")
    with subprocess.Popen(words, env=script_env, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as job:
        wait_for(lambda: bool(RunDirectory(Path("killed")).checkpoints()), job)
        busy = run("stylize", "--resume", "killed")  # while it still works
        job.kill()
    assert busy.code == 1
    assert "Another process is working on killed." in busy.err
    # A kill can come at any moment: pretend that it also cut the newest checkpoint and the log short.
    checkpoints = RunDirectory(Path("killed")).checkpoints()
    keep_only_first(Path("killed"), checkpoints[0].step)
    with Path("killed/events.jsonl").open("a") as file:
        file.write('{"step": 99, "lo')

    info = run("info", "killed")
    assert "outcome      killed" in info.out
    done = checkpoints[0].step
    total = max(6, done + 2)
    again = run("stylize", "--resume", "killed", "--iterations", str(total))
    assert again.code == 0, again
    assert f"goes on from step {done}." in again.err
    if total != 6:
        straight = Path("again")
        assert run("stylize", *STEADY, "--iterations", str(total), "--out", straight).code == 0
    assert same_style(Path("killed"), straight)


def wait_for(happened: Callable[[], bool], job: subprocess.Popen[bytes], seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert job.poll() is None, "the job ended by itself"
        assert time.monotonic() < end, "the job did not get so far"
        time.sleep(0.05)


def keep_only_first(path: Path, step: int) -> None:
    """Damage all checkpoints but one."""
    for item in RunDirectory(path).checkpoints():
        if item.step != step:
            (item.path / "state.safetensors").write_bytes(b"cut")


def test_a_run_killed_before_its_first_checkpoint_starts_again(run: Run, straight: Path) -> None:
    shutil.copytree(straight, "again")
    shutil.rmtree("again/checkpoints", ignore_errors=True)
    RunDirectory.open(Path("again")).update({"outcome": "running", "steps": 0})
    outcome = run("stylize", "--resume", "again")
    assert outcome.code == 0, outcome
    assert "goes on from step 0" in outcome.err
    assert same_style(Path("again"), straight)
    assert [event["step"] for event in RunDirectory(Path("again")).events()] == [1, 2, 3, 4, 5, 6]


def test_a_finished_run_that_kept_its_optimiser_is_made_longer_as_if_it_never_stopped(
    run: Run, straight: Path
) -> None:
    assert run("stylize", *STEADY, "--out", "longer", "--keep-checkpoints", "1").code == 0
    outcome = run("stylize", "--resume", "longer", "--iterations", "6")
    assert outcome.code == 0, outcome
    assert same_style(Path("longer"), straight)


def test_what_a_run_left_that_was_stopped_at_its_last_moment_goes_when_it_is_asked_for(run: Run) -> None:
    assert run("stylize", *STEADY, "--out", "kept", "--keep-checkpoints", "1").code == 0
    shutil.copytree("kept", "stopped")
    manifest = json.loads(Path("stopped/run.json").read_text())
    Path("stopped/run.json").write_text(json.dumps({**manifest, "keep_checkpoints": 0}))
    for name in ("kept", "stopped"):
        assert run("stylize", "--resume", name).code == 2
    assert len(list(Path("kept/checkpoints").iterdir())) == 1
    assert not Path("stopped/checkpoints").exists()


def test_a_finished_run_keeps_no_optimiser_and_goes_on_from_its_style_with_a_new_one(
    run: Run, world: Path, straight: Path
) -> None:
    assert run("stylize", *STEADY, "--out", "longer").code == 0
    assert not Path("longer/checkpoints").exists()
    generator = PanoHead.load(world / "generator.safetensors")
    load_style(Path("longer/style.safetensors")).apply(generator)
    outcome = run("stylize", "--resume", "longer", "--iterations", "4")
    assert (outcome.code, "is finished: 4 of 4 steps are done" in outcome.err) == (2, True)
    outcome = run("stylize", "--resume", "longer", "--iterations", "6", "--learning-rate-end", "1")
    assert outcome.code == 0, outcome
    assert "goes on from its style file, with a new one" in outcome.err
    assert "goes on from step 4." in outcome.err
    events = RunDirectory(Path("longer")).events()
    assert [event["step"] for event in events] == [1, 2, 3, 4, 5, 6]
    whole = RunDirectory(straight).events()
    assert events[4]["step_index"] != whole[4]["step_index"] or events[4]["losses"] != whole[4]["losses"]
    assert json.loads(Path("longer/run.json").read_text())["steps"] == 6
    assert load_style(Path("longer/style.safetensors")).metadata["stylehead.iterations"] == "6"


def test_a_finished_run_whose_style_is_gone_cannot_go_on(run: Run, finished: Path) -> None:
    shutil.rmtree(finished / "checkpoints")
    (finished / "style.safetensors").unlink()
    outcome = run("stylize", "--resume", finished, "--iterations", "6")
    assert (outcome.code, "There is no file runs/pixar/style.safetensors" in outcome.err) == (3, True)


def test_a_full_style_holds_the_weights_as_trained(run: Run, finished: Path, world: Path) -> None:
    assert run("stylize", *FAST, "--out", "full", "--full-style").code == 0
    small, full = (load_style(path / "style.safetensors") for path in (finished, Path("full")))
    assert full.tensors.keys() == small.changed
    assert not full.changes
    state = PanoHead.load(world / "generator.safetensors").state_dict()
    for name in small.changed:
        away, size = small.trained(name, state[name]) - full.tensors[name], full.tensors[name] - state[name]
        assert away.norm() < 0.9 * size.norm() + 1e-6, name


def test_pictures_of_a_run_show_the_style_as_saved(
    run: Run, finished: Path, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last preview shows what was trained, the contact sheet what the file says."""
    monkeypatch.setattr(showcase, "SHEET_SEEDS", (1, 2, 3, 4))  # as where the run was made
    monkeypatch.setattr(showcase, "SHEET_YAWS_DEG", (0.0, 60.0, 120.0, 180.0, 240.0, 300.0))
    generator = PanoHead.load(world / "generator.safetensors")
    reference = PanoHead.load(world / "generator.safetensors")
    load_style(finished / "style.safetensors").apply(generator)
    expected = Showcase(reference, psi=0.75, title="Pixar character").contact_sheet(generator)
    drawn = np.asarray(Image.open(finished / "contact_sheet.jpg")).astype(int)
    assert np.abs(drawn - expected.astype(int)).mean() < 2, "JPEG"


def test_a_kill_while_the_results_are_drawn_costs_only_the_drawing(
    run: Run, finished_once: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training, "save_style", killed)
        assert run("stylize", *FAST, "--out", "cut").code == 130
    assert json.loads(Path("cut/run.json").read_text())["outcome"] == "interrupted"
    trained = []
    monkeypatch.setattr(Stylizer, "step", lambda self: trained.append(1))
    assert run("stylize", "--resume", "cut").code == 0
    assert trained == []
    assert same_style(Path("cut"), finished_once)


def test_a_failed_run_says_so_and_keeps_its_checkpoints(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode() -> None:
        raise RuntimeError("can't allocate memory: you tried to allocate 9 GB")

    with monkeypatch.context() as patch:
        patch.setattr(Stylizer, "step", stopping(3, explode))
        outcome = run("stylize", *LIGHT, "--out", "r")
    assert outcome.code == 5
    manifest = json.loads(Path("r/run.json").read_text())
    assert (manifest["outcome"], manifest["error"]) == ("failed", "Out of memory.")
    assert [item.step for item in RunDirectory(Path("r")).checkpoints()] == [2]
    assert run("stylize", "--resume", "r").code == 0  # the old error leaves a run that went on
    manifest = json.loads(Path("r/run.json").read_text())
    assert (manifest["outcome"], manifest["error"]) == ("finished", None)


def test_only_the_asked_number_of_checkpoints_stays(run: Run) -> None:
    command = ("stylize", *LIGHT, "--checkpoint-every", "1", "--keep-checkpoints", "3")
    assert run(*command, "--out", "r").code == 0
    assert [item.step for item in RunDirectory(Path("r")).checkpoints()] == [2, 3, 4]


def test_overwrite_starts_anew_and_leaves_foreign_files(run: Run, finished: Path) -> None:
    (finished / "notes.txt").write_text("mine")
    outcome = run("stylize", *LIGHT, "--seed", "5", "--out", finished, "--overwrite")
    assert outcome.code == 0
    assert json.loads((finished / "run.json").read_text())["seed"] == 5
    assert [event["step"] for event in RunDirectory(finished).events()] == [1, 2, 3, 4]
    assert (finished / "notes.txt").read_text() == "mine"


def test_a_time_budget_ends_a_run_in_good_order(run: Run) -> None:
    command = ("stylize", *LIGHT, "--iterations", "100000", "--time-budget-minutes", "0.005")
    outcome: Outcome = run(*command, "--out", "r", "--checkpoint-every", "0")
    assert outcome.code == 0, outcome
    manifest = json.loads(Path("r/run.json").read_text())
    assert manifest["outcome"] == "finished"
    assert 0 < manifest["steps"] < 100000
    assert Path("r/turntable.mp4").is_file()


# ------------------------------------------------------------------------------------------ seen from outside


def test_the_page_of_a_run_shows_curves_previews_and_settings(finished: Path) -> None:
    text = (finished / "index.html").read_text()
    assert text.count("<img ") == 3
    assert text.count("<polyline ") >= 1
    assert "step 4 of 4" in text
    assert "finished" in text
    assert "Pixar character" in text
    assert 'http-equiv="refresh"' not in text  # it is over
    assert not re.findall(r"(?:src|href)=\"(?!data:)", text)  # nothing is asked for


def test_the_film_of_a_training_shows_its_previews(finished: Path) -> None:
    with av.open(str(finished / "training.mp4")) as film:
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert len(frames) == 3 + 4
    for frame, step in zip(frames, (0, 2, 4), strict=False):
        with Image.open(finished / "previews" / f"step_00000{step}.jpg") as picture:
            shown = np.asarray(picture)
        assert np.abs(frame[: len(shown), : shown.shape[1]].astype(int) - shown).mean() < 4


@pytest.mark.parametrize(
    ("step", "due"), [(1, False), (5, True), (7, False), (20, True), (50, True), (60, True)]
)
def test_previews_come_early_and_then_at_every_so_many_steps(step: int, due: bool) -> None:
    assert preview_due(step, 50, 60) is due
    assert not preview_due(step, 0, 60)


def test_a_tracker_that_is_not_installed_is_refused_before_the_work(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accelerate.utils.is_wandb_available", lambda: False)
    outcome = run("stylize", *FAST, "--log-with", "wandb", "--out", "r")
    assert outcome.code == 3
    assert "`--log-with wandb` needs the package wandb" in outcome.err
    assert not Path("r").exists()


def test_a_tracker_gets_the_numbers_of_every_step(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []

    class Board:
        def __init__(self, name: str, folder: Path) -> None:
            told.append(("begin", name, folder))

        def start(self) -> None: ...

        def store_init_configuration(self, values: dict[str, Any]) -> None:
            told.append(("settings", values["prompt"]))

        def log(self, values: dict[str, float], step: int) -> None:
            told.append((step, values))

        def finish(self) -> None:
            told.append("end")

    monkeypatch.setattr("accelerate.utils.is_tensorboard_available", lambda: True)
    monkeypatch.setattr("accelerate.tracking.TensorBoardTracker", Board)
    assert run("stylize", *FAST, "--log-with", "tensorboard", "--out", "r").code == 0
    assert told[:2] == [("begin", "r", Path("r/logs")), ("settings", "Pixar character")]
    assert [step for step, _ in told[2:-1]] == [1, 2, 3, 4]
    assert all(isinstance(value, float) for _, values in told[2:-1] for value in values.values())
    assert told[-1] == "end"


# ------------------------------------------------------------------------------------ presets of quality


def test_the_first_line_names_the_method_and_why(run: Run) -> None:
    usual, named, banked = (
        run("stylize", "--prompt", "Pixar character", "--dry-run", *words).err.splitlines()[0]
        for words in ((), ("--method", "csd"), ("--bank", "b"))
    )
    assert usual == "method ld: the default of the embedded models"
    assert named == "method csd: as asked"
    assert banked == "method edit: which learns from a bank"


def test_the_embedded_models_edit_then_regress_and_full_scale_distils(usual_method: None) -> None:
    assert choose_method({}, full_scale=False).method == "edit"
    assert choose_method({}, full_scale=True).method == "ld"
    assert choose_method({"people": 3, "iterations": 4}, full_scale=False).method == "edit"


def test_options_and_profiles_of_the_paper_mean_its_method(usual_method: None) -> None:
    assert choose_method({"grid": False}, full_scale=False) == ("ld", "which has --grid")
    assert choose_method({"lora": ("x",)}, full_scale=False) == ("ld", "which has --lora")
    assert choose_method({}, full_scale=False, profile="paper") == ("ld", "which has the profile paper")
    assert choose_method({"method": "edit"}, full_scale=False, profile="paper").method == "edit"


def test_a_prompt_that_the_editor_does_not_know_is_refused_in_words(measure: Run, usual_method: None) -> None:
    outcome = measure("stylize", "--prompt", "a hamster", "--out", "r")
    assert outcome.code == 2, outcome
    assert "hamster" in outcome.err
    assert "werewolf" in outcome.err
    assert not Path("r").exists()


def test_a_preset_sets_numbers_and_options_override_them(measure: Run) -> None:
    words = ("--method", "edit", "--prompt", "Pixar character", "--quality", "quick", "--people", "3")
    config = json.loads(measure("stylize", *words, "--dry-run", "--json").out)["config"]
    quick = quality_settings("quick", "edit", full_scale=False)
    assert (config["people"], config["iterations"]) == (3, quick["iterations"])


def test_a_dry_run_says_what_each_preset_would_cost(measure: Run) -> None:
    outcome = measure("stylize", "--method", "edit", "--prompt", "Pixar character", "--dry-run")
    line = next(line for line in outcome.out.splitlines() if line.startswith("--quality"))
    assert re.search(r"quick .+, good .+, best .+", line), outcome


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--quality", "best", "--profile", "paper"), "`--quality` does not go with `--profile`"),
        (("--quality", "best", "--method", "nada"), "`--method nada` has no presets of quality"),
        (("--quality", "finest"), "finest"),
    ],
)
def test_presets_that_mean_nothing_are_refused(run: Run, words: tuple[str, ...], sentence: str) -> None:
    outcome = run("stylize", "--prompt", "Pixar character", *words)
    assert (outcome.code, sentence in outcome.err) == (2, True), outcome
    assert not Path("runs").exists()


def test_a_long_run_says_so_before_its_first_step(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stylizer, "step", stopping(1, press_ctrl_c))
    outcome = run("stylize", *LIGHT, "--iterations", "100000", "--out", "r")
    said, stopped = outcome.err.find("on two idle cores"), outcome.err.find("Stopping")
    assert 0 < said < stopped, outcome
    assert "on two idle cores" not in run("stylize", *LIGHT, "--iterations", "2", "--out", "s").err
