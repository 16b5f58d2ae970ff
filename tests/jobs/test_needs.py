"""One tree of needs: run, `--dry-run`, `info` and `doctor` see the same weights and say the same words."""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from stylehead.cli import doctor as doctor_command
from stylehead.cli.app import app
from stylehead.errors import JobError, StyleheadError
from stylehead.jobs import dry_run, environment, needs, stylize
from stylehead.jobs.needs import list_needs
from stylehead.methods.config import StylizeConfig, profile
from stylehead.methods.registry import BUILT_IN, settings_class
from stylehead.settings import flag
from stylehead.units import now
from stylehead.weights import catalogue, presets, store
from stylehead.weights.presets import find_preset

QUICK = settings(
    max_examples=60,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # to shrink a case takes minutes and shows little
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
COMMIT = "0123456789abcdef0123456789abcdef01234567"
STARTED = "Everything that the job needs is here."
OWN = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
PARTS = (*OWN, "controlnet_canny", "controlnet_depth")
ENTRIES = (
    *(presets.TEACHER, "controlnet-canny", "controlnet-depth", "clip-vit-b32"),
    *(needs.IP2P, *needs.ESTIMATORS),
)
WEIGHTS = ("generator.safetensors", "image_text.safetensors", "identity.safetensors")
NAMES = ("mine", "no/where", presets.TEACHER, "controlnet-canny", needs.ESTIMATORS[1], "clip-vit-b32")
NAMED = (
    "diffusion",
    "controlnet_canny",
    "controlnet_depth",
    "vae",
    "depth_estimator",
    "clip",
    "editor",
    "bank",
)


class Machine(NamedTuple):
    """What is on a machine: files of the embedded preset, the catalogue's weights, licences, a folder."""

    embedded: frozenset[str]
    teacher: frozenset[str]
    editor: frozenset[str] | None
    fetched: frozenset[str]
    registered: bool
    accepted: frozenset[str]
    mine: frozenset[str] | None

    def lay_out(self, root: Path) -> None:
        """Write files that look like these weights."""
        for name in self.embedded:
            (root / "mini" / name).parent.mkdir(parents=True, exist_ok=True)
            (root / "mini" / name).write_bytes(b"x")
        folders = {"mini/teacher": self.teacher, "mini/ip2p": self.editor, "mine": self.mine}
        for folder, parts in folders.items():
            if parts is not None:
                write_model(root / folder, parts)
        for entry_id in self.fetched:
            write_snapshot(root / "home" / "hub", catalogue.find(entry_id))
        if self.registered:
            generator = root / "home" / "weights" / "panohead" / "generator.safetensors"
            generator.parent.mkdir(parents=True)
            generator.write_bytes(b"x")
            facts = store.hash_file(generator)
            store.write_record(store.Record("panohead", generator, {generator.name: facts}, "x", None, now()))
        for entry_id in self.accepted:
            store.record_licence(entry_id)


def write_model(folder: Path, parts: frozenset[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for part in parts:
        name = "scheduler_config.json" if part == "scheduler" else "config.json"
        write_file(folder / part / name)
        write_file(folder / part / "model.safetensors")


def write_file(path: Path) -> None:
    """A file of a model: weights of one byte, or a configuration that fits those of the others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"hidden_size": 1280}) if path.suffix == ".json" else "x")


def write_snapshot(hub: Path, entry: catalogue.Entry) -> None:
    """A model in the Hub's cache, as another program would have left it."""
    assert entry.repo_id is not None
    repo = hub / ("models--" + entry.repo_id.replace("/", "--"))
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(COMMIT)
    for pattern in entry.files:
        name = pattern.replace("scheduler/*", "scheduler/scheduler_config").replace("*", "x")
        write_file(repo / "snapshots" / COMMIT / name)


def some(*names: str) -> st.SearchStrategy[frozenset[str]]:
    """Mostly all of them, sometimes a part."""
    return st.just(frozenset(names)) | st.frozensets(st.sampled_from(names))


MACHINES = st.builds(
    Machine,
    embedded=some(*WEIGHTS),
    teacher=some(*PARTS),
    editor=st.none() | some(*OWN),
    fetched=some(*ENTRIES),
    registered=st.booleans(),
    accepted=some("panohead", "depth-anything-v2-base"),
    mine=st.none() | some(*PARTS) | some(*OWN),
)


@st.composite
def wishes(draw: st.DrawFn) -> dict[str, Any]:
    """Settings that the method looks at."""
    method = draw(st.sampled_from(sorted(BUILT_IN)))
    drawn = {
        "preset": draw(st.sampled_from(("auto", "mini", "panohead"))),
        "teacher": draw(st.sampled_from(("text", "text", "edit"))),
        "canny": draw(st.booleans()),
        "grid": draw(st.booleans()),
        "depth": draw(st.sampled_from(("auto", "rendered", "estimated", "none"))),
        "perceptual_weight": draw(st.sampled_from((0.0, 0.5))),
        "identity_weight": draw(st.sampled_from((0.0, 0.5))),
        "prompt": draw(st.sampled_from(("a werewolf",) * 5 + ("a hamster",))),
    }
    for name in NAMED:
        if draw(st.integers(0, 3)) == 0:
            drawn[name] = draw(st.sampled_from(NAMES))
    known = settings_class(method).names()
    return {"method": method, **{name: value for name, value in drawn.items() if name in known}}


class Said(NamedTuple):
    """What a command said: the exit code, its error, and the JSON document."""

    code: int
    error: str | None
    hint: str | None
    document: dict[str, Any]


def say(*words: str | Path) -> Said:
    arguments = [str(word) for word in words]
    result = CliRunner().invoke(app, [*arguments, "--json"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    document = json.loads(result.stdout)
    error = document.get("error")
    failed = error if isinstance(error, dict) else {}
    return Said(result.exit_code, failed.get("message"), failed.get("hint"), document)


def options(settings_: dict[str, Any]) -> list[str]:
    words = []
    for name, value in settings_.items():
        if isinstance(value, bool):
            words.append(flag(name) if value else "--no-" + flag(name)[2:])
        else:
            words += [flag(name), str(value)]
    return words


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that stop where a job would begin to read its weights, and that estimate nothing."""

    def start(job: stylize.Job) -> None:
        job.needs.require()
        raise JobError(STARTED)

    def plan(found: needs.Inventory, device: str, path: Path, keep: int) -> Any:
        del keep
        return dry_run._result(found, device, path, (), {})

    monkeypatch.setattr(stylize, "stylizer_of", start)
    monkeypatch.setattr(dry_run, "estimate_job", plan)
    monkeypatch.setattr(dry_run, "measure_job", lambda job, path, _: plan(job.needs, job.device, path, 1))
    monkeypatch.setattr(environment, "choose_device", lambda name: "cpu")
    monkeypatch.setattr(doctor_command, "_examine", lambda *_, **__: [])
    monkeypatch.setattr(doctor_command, "_forecasts", lambda *_: [])
    monkeypatch.setattr(sys, "argv", ["stylehead"])
    monkeypatch.delenv("STYLEHEAD_ACCEPT_LICENSES", raising=False)


def check_agreement(machine: Machine, wish: dict[str, Any], root: Path) -> None:
    machine.lay_out(root)
    run = say("stylize", *options(wish), "--out", root / "run")
    planned = say("stylize", *options(wish), "--out", root / "run", "--dry-run")
    lacking = [need for need in planned.document.get("weights", ()) if not need["here"]]
    if planned.code != 0:  # refused: a prompt, or a preset whose own files are damaged
        assert (planned.code, planned.error, planned.hint) == (run.code, run.error, run.hint)
    elif lacking:
        assert (run.error, run.hint) == (lacking[0]["problem"], lacking[0]["fetch"])
        assert run.code in (1, 3, 4)
    else:
        assert run.error == STARTED
    assert not (root / "run").exists()
    stopped(root / "stopped", wish)
    told = say("info", root / "stopped").document["lacks"]
    if planned.code == 0:
        assert told == [need["problem"] for need in lacking]
    else:
        assert told[0] == run.error


def stopped(path: Path, wish: dict[str, Any]) -> None:
    """A run that stopped before its first step."""
    path.mkdir()
    config = StylizeConfig.from_dict(profile("default", method=wish["method"]) | wish).to_dict()
    manifest = {"format": 1, "outcome": "interrupted", "config": config}
    (path / "run.json").write_text(json.dumps(manifest))


@pytest.mark.usefixtures("commands")
@QUICK
@given(machine=MACHINES, wish=wishes())
def test_the_run_and_everything_that_foretells_it_agree(machine: Machine, wish: dict[str, Any]) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        move_to(Path(folder), patch)
        check_agreement(machine, wish, Path(folder))


@pytest.mark.slow
@pytest.mark.usefixtures("commands")
@settings(QUICK, max_examples=500)
@given(machine=MACHINES, wish=wishes())
def test_the_run_and_its_forecasts_agree_in_hundreds_of_cases(machine: Machine, wish: dict[str, Any]) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        move_to(Path(folder), patch)
        check_agreement(machine, wish, Path(folder))


@pytest.mark.usefixtures("commands")
@settings(QUICK, max_examples=30)
@given(machine=MACHINES, preset=st.sampled_from(("mini", "panohead")))
def test_doctor_lists_what_a_run_of_the_preset_would_lack(machine: Machine, preset: str) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        move_to(Path(folder), patch)
        machine.lay_out(Path(folder))
        report = say("doctor", "--preset", preset, "--no-smoke")
        run = say("stylize", "--prompt", doctor_command.PROMPT, "--preset", preset, "--out", "run")
        lacking = [need["problem"] for need in report.document["preset"]["weights"] if not need["here"]]
        assert (lacking or [STARTED])[0] == run.error
        assert report.code == (3 if lacking else 0)


def move_to(root: Path, patch: pytest.MonkeyPatch) -> None:
    patch.chdir(root)
    patch.setenv("STYLEHEAD_HOME", str(root / "home"))
    patch.setattr(presets, "MINI_WEIGHTS", root / "mini")


def test_what_is_named_is_asked_for_even_where_the_preset_has_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    move_to(tmp_path, monkeypatch)
    config = StylizeConfig.from_dict({"prompt": "joker", "vae": "some/vae"})
    found = list_needs(config, find_preset("mini").preset).find("vae")
    assert found is not None
    with pytest.raises(StyleheadError, match="some/vae"):
        _ = found.path
