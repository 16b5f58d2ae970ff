"""`--config` of every command, and the command line that makes a run again."""

import json
import shlex
from pathlib import Path

import pytest
from cli_helpers import FAST, Run
from hypothesis import given, settings
from hypothesis import strategies as st

from stylehead.cli.app import app
from stylehead.errors import JobError
from stylehead.jobs.command_of import command_of, stylize_words
from stylehead.methods.config import StylizeConfig, profile
from stylehead.methods.registry import BUILT_IN
from stylehead.runs import RunDirectory

RENDER = {
    "r.json": '{"render": {"seeds": [3, 4], "yaw_steps": 2, "format": ["sheet"], "out": "here"}}',
    "r.yaml": "seeds: 3-4\nyaw-steps: 2\nformat: sheet\nout: here\n",
    "r.toml": 'seeds = "3,4"\nyaw_steps = 2\nformat = "sheet"\nout = "here"\n',
}


@pytest.mark.parametrize("name", RENDER)
def test_options_come_from_files_of_three_kinds(run: Run, name: str) -> None:
    Path(name).write_text(RENDER[name])
    document = json.loads(run("render", "--config", name, "--json").out)
    assert (document["heads"], document["yaw_steps"]) == (["seed-3", "seed-4"], 2)
    assert sorted(path.name for path in Path("here").iterdir()) == ["contact_sheet.jpg", "render.json"]


def test_what_is_typed_wins(run: Run) -> None:
    Path("r.yaml").write_text(RENDER["r.yaml"])
    document = json.loads(run("render", "--config", "r.yaml", "--yaw-steps", "3", "--out", "b", "--json").out)
    assert document["yaw_steps"] == 3


def test_arguments_may_stand_in_the_file(run: Run, finished: Path) -> None:
    Path("i.yaml").write_text(f"path: {finished}\njson: true\n")
    assert json.loads(run("info", "--config", "i.yaml").out)["outcome"] == "finished"


WRONG = [
    (
        "seeds: 1\nyaw_stepz: 3\n",
        "r.yaml, line 2: there is no setting `yaw_stepz`.",
        "did you mean `yaw_steps`?",
    ),
    ("yaw_steps: many\n", "r.yaml, line 1: `yaw_steps` (=many) must be a whole number.", None),
    ("yaw_steps:\n  a: 1\n", "r.yaml, line 1: `yaw_steps` is an object, not a value.", None),
    ("help: true\n", "r.yaml, line 1: there is no setting `help`.", "it may hold seed"),
]


@pytest.mark.parametrize(("text", "said", "hint"), WRONG)
def test_a_mistake_names_the_file_and_the_line(run: Run, text: str, said: str, hint: str | None) -> None:
    Path("r.yaml").write_text(text)
    outcome = run("render", "--config", "r.yaml")
    assert outcome.code in (1, 2)
    assert f"error: {said}" in outcome.err
    assert hint is None or f"hint: {hint}" in outcome.err
    assert not Path("renders").exists()
    assert json.loads(run("render", "--config", "r.yaml", "--json").out)["error"]["message"].startswith(said)


def test_every_command_has_the_option(run: Run) -> None:
    commands = ("stylize", "render", "eval", "invert", "info", "doctor", "bank fill", "weights verify")
    for command in commands:
        assert "--config FILE" in run(*command.split(), "--help").out, command


def test_stylize_takes_arguments_of_the_run_from_its_file_too(run: Run) -> None:
    Path("s.yaml").write_text(
        "stylize:\n  prompt: joker\n  profile: paper\n  out: mine\n  learning-rate: 1.0e-3\n"
        "  perceptual_weight: 0\n"
    )
    document = json.loads(run("stylize", "--config", "s.yaml", "--dry-run", "--json").out)
    expected = profile("paper") | {"prompt": "joker", "learning_rate": 1e-3, "perceptual_weight": 0}
    assert document["config"] == StylizeConfig.from_dict(expected).to_dict()
    assert document["run"] == "mine"
    Path("s.yaml").write_text("prompt: joker\niteration: 3\n")
    outcome = run("stylize", "--config", "s.yaml")
    assert "s.yaml, line 2: there is no setting `iteration`." in outcome.err
    assert "did you mean `iterations`?" in outcome.err


def test_the_config_of_a_run_is_a_file_of_settings(run: Run, finished: Path) -> None:
    words = ("stylize", "--config", finished / "config.json", "--out", "again", "--dry-run", "--json")
    assert json.loads(run(*words).out)["config"] == RunDirectory(finished).manifest()["config"]


# ---------------------------------------------------------------------------------------------- as a command


def parsed(words: list[str]) -> dict[str, object]:
    """The settings that the words of a stylise job mean."""
    from stylehead.cli import stylize as command
    from stylehead.jobs.report import Silent
    from stylehead.jobs.stylize import configure

    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "_dry_run", lambda a, *_, **__: found.update(config=configure(a, Silent())))
        app([*words[1:], "--dry-run"], standalone_mode=False)
    return found["config"][0].to_dict()


def test_a_run_says_the_words_that_make_it_again(run: Run, finished: Path) -> None:
    words = shlex.split(run("info", finished, "--as-command").out)
    assert words[:4] == ["stylehead", "stylize", "--prompt", "Pixar character"]
    assert parsed(words) == RunDirectory(finished).manifest()["config"]
    assert json.loads(run("info", finished, "--as-command", "--json").out)["words"] == words


@pytest.mark.parametrize("preset", ["mini", "panohead"])
@pytest.mark.parametrize("name", ["default", "paper", "release"])
@pytest.mark.parametrize("method", BUILT_IN)
def test_words_of_every_profile_mean_its_settings(method: str, name: str, preset: str) -> None:
    values = profile(name, method=method, full_scale=preset == "panohead")
    config = StylizeConfig.from_dict({**values, "prompt": "a 'b' \"c\" --d", "preset": preset})
    words = stylize_words({"config": config.to_dict(), "keep_checkpoints": 2}, Path("run"))
    assert parsed(words) == config.to_dict()


CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "mirror": st.booleans(),
        "rank_weights": st.lists(st.sampled_from([0.0, 1, 0.25, 1e-7]), min_size=4, max_size=4),
        "step_range": st.sampled_from([[3, 9], [0, 49]]),
        "learning_rate": st.floats(1e-9, 0.1),
        "time_budget_minutes": st.floats(0.1, 1e6),
        "lora": st.lists(st.sampled_from(["a.safetensors:0.5", "b c.safetensors"]), max_size=2),
        "conditioning_pitch_deg": st.floats(-89, 89),
        "vae": st.sampled_from(["some/where", "-x"]),
    },
)


@settings(max_examples=40, deadline=None)
@given(CHANGES)
def test_words_of_any_settings_mean_them(changes: dict[str, object]) -> None:
    config = StylizeConfig.from_dict({"prompt": "joker", "preset": "mini", **changes})
    assert parsed(stylize_words({"config": config.to_dict()}, Path("run"))) == config.to_dict()


def test_what_no_words_can_say_names_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    config = StylizeConfig.from_dict({"prompt": "joker", "preset": "mini"}).to_dict()
    monkeypatch.setattr("stylehead.jobs.command_of.start_settings", lambda *_, **__: {"psi_cutoff": 3})
    with pytest.raises(JobError, match="cannot be said in words") as caught:
        stylize_words({"config": config}, Path("run"))
    assert caught.value.hint == "stylehead stylize --config run/config.json"


def test_an_inversion_says_what_was_typed(tmp_path: Path) -> None:
    typed = "stylehead invert 'my photo.jpg' --pti"
    RunDirectory.create(tmp_path / "a", {"job": "invert", "command": typed, "config": {}})
    assert command_of(tmp_path / "a") == typed
    RunDirectory.create(tmp_path / "b", {"job": "invert", "command": "stylehead.invert(photo='x')"})
    with pytest.raises(JobError, match="was not made by one command line"):
        command_of(tmp_path / "b")


def test_other_files_have_no_command(run: Run) -> None:
    assert run("info", "nothing", "--as-command").code == 2
    run("stylize", *FAST, "--config", "x.json")
    assert not Path("runs").exists()
