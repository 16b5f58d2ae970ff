"""What `doctor` finds, and what it says when something is broken."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from cli_helpers import Outcome, Run

from stylehead import cost
from stylehead.cost import Blueprint, Estimate, estimate
from stylehead.export import video
from stylehead.generator import PanoHead
from stylehead.generator.checkpoint import read_config
from stylehead.jobs import blueprint as blueprint_module
from stylehead.jobs import doctor as checks
from stylehead.jobs.forecast import LIBRARIES
from stylehead.jobs.inventory import Inventory
from stylehead.memory import MemoryTier
from stylehead.methods.config import StylizeConfig
from stylehead.teacher import TeacherPaths
from stylehead.teacher.on_paper import teacher_on_paper
from stylehead.weights import presets


def found(outcome: Outcome) -> dict[str, dict]:
    """The checks of a JSON report, by name."""
    return {check["name"]: check for check in json.loads(outcome.out)["checks"]}


def test_a_healthy_machine(run: Run, tmp_path: Path) -> None:
    outcome = run("doctor", "--json")
    assert outcome.code == 0, outcome
    report = found(outcome)
    assert {
        "stylehead",
        "python",
        "packages",
        "memory",
        "disk",
        "gpu",
        "preset mini",
        "film",
        "smoke",
    } <= set(report)
    assert report["film"]["state"] == "ok"
    assert "h264" in report["film"]["said"]
    assert report["smoke"]["state"] == "ok"
    assert "trained, saved, applied and rendered" in report["smoke"]["said"]
    assert report["weights panohead"]["state"] == "note"
    assert "not accepted" in report["weights panohead"]["said"]
    assert report["network"]["state"] == "note"  # the tests are offline
    assert json.loads(outcome.out)["ok"] is True
    assert list(tmp_path.iterdir()) == []


def test_a_device_that_is_not_there_fails_the_report(run: Run) -> None:
    outcome = run("doctor", "--no-smoke", "--device", "cuda:3", "--json")
    assert outcome.code == 1
    report = found(outcome)
    assert report["gpu"]["state"] == "failed"
    assert "no CUDA device" in report["gpu"]["said"]
    assert report["computes"]["said"].startswith("cpu:")


def test_what_it_trains_on_is_what_was_asked_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(checks, "gpu", lambda device: checks.Check("gpu", "ok", f"{device} is there"))
    monkeypatch.setattr("stylehead.jobs.environment.choose_device", lambda name: name)
    for name in ("computes", "smoke"):
        said = lambda device, name=name: asked.append(device) or checks.Check(name, "ok", device)  # noqa: E731
        monkeypatch.setattr(checks, name, said)
    assert run("doctor", "--device", "cuda:1").code == 0
    assert asked == ["cuda:1", "cuda:1"]


def test_a_device_that_computes_something_else_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.computes("cpu").state == "ok"
    calls: list[int] = []
    real = torch.nn.functional.conv2d

    def crooked(*arguments: object, **options: object) -> torch.Tensor:
        calls.append(1)
        return real(*arguments, **options) * (2 if len(calls) == 1 else 1)  # type: ignore[arg-type]

    monkeypatch.setattr(torch.nn.functional, "conv2d", crooked)
    assert checks.computes("cpu").state == "failed"


def test_what_is_not_tested_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(checks.system()) == []
    monkeypatch.setattr(checks.sys, "platform", "win32")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert [(check.name, check.state) for check in checks.system()] == [("windows", "note"), ("mps", "note")]


def test_a_torchvision_that_does_not_fit_is_named_with_what_mends_it(tmp_path: Path) -> None:
    """In a process of its own: a package of that name which cannot be imported beside this torch."""
    package = tmp_path / "site" / "torchvision"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('raise RuntimeError("operator torchvision::nms does not exist")\n')
    facts = tmp_path / "site" / "torchvision-0.99.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: torchvision\nVersion: 0.99.0\n")
    root = str(Path(checks.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-m", "stylehead", "doctor", "--no-smoke"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), root])},
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "The torchvision 0.99.0 does not fit the torch" in done.stdout
    assert "next: pip uninstall torchvision" in done.stderr


def test_the_report_for_people_and_for_scripts(run: Run) -> None:
    outcome = run("doctor", "--no-smoke")
    assert outcome.code == 0, outcome
    lines = {line.split("  ")[0]: line for line in outcome.out.splitlines()}
    assert "written and read back" in lines["film"]
    assert "smoke" not in lines
    assert run("doctor", "--no-smoke", "-q").out == "works\n"


@pytest.mark.parametrize("how", ["raises", "blank"])
def test_a_film_that_cannot_be_written_fails_the_report(
    run: Run, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    real = video.write_mp4

    def broken(path: Path, frames: object, recipe: object) -> None:
        if how == "raises":
            raise OSError(28, "No space left on device", str(path))
        real(path, frames * 0, recipe)  # type: ignore[operator]

    monkeypatch.setattr(video, "write_mp4", broken)
    outcome = run("doctor", "--no-smoke", "--json")
    assert outcome.code == 1
    film = found(outcome)["film"]
    assert film["state"] == "failed"
    assert ("disk is full" if how == "raises" else "other pictures") in film["said"]
    assert json.loads(outcome.out)["ok"] is False


def test_broken_embedded_weights_name_the_repair(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(presets, "MINI_WEIGHTS", tmp_path / "nowhere")
    outcome = run("doctor")
    assert outcome.code == 1
    assert "FAILED" in outcome.out
    assert "next: pip install --force-reinstall stylehead" in outcome.err


def test_a_style_that_changes_nothing_fails_the_smoke(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from stylehead.generator import Style

    monkeypatch.setattr(Style, "apply", lambda *_, **__: None)
    assert found(run("doctor", "--json"))["smoke"]["said"] == "a trained style changed nothing"


def test_missing_extras_say_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    real = checks.importlib.util.find_spec
    monkeypatch.setattr(
        checks.importlib.util, "find_spec", lambda name: None if name == "skimage" else real(name)
    )
    extras = {check.name: check for check in checks.machine()}
    assert extras["extra mesh"].hint == 'pip install "stylehead[mesh]"'
    assert extras["extra mesh"].state == "note"


def panohead_report(run: Run) -> dict:
    """What the report says about the full preset, none of whose weights are here."""
    outcome = run("doctor", "--preset", "panohead", "--no-smoke", "--json")
    assert outcome.code == 3, outcome
    assert "next:" not in outcome.err  # --json prints no advice
    preset = json.loads(outcome.out)["preset"]
    assert all(need["fetch"].startswith("stylehead weights fetch") for need in preset["weights"])
    for guess in preset["estimates"]:
        parts = guess["parts_bytes"]
        libraries = LIBRARIES if guess["device"] == "cpu" else 0
        summed = sum(parts["weights"].values()) + parts["optimizer"] + parts["activations"] + libraries
        assert summed == guess["total_bytes"]
        assert (guess["seconds_per_iteration"] is None) == (guess["device"] == "cuda")
        if guess["device"] == "cuda":
            assert guess["measured_peak"] == "not measured"
    return preset


ESTIMATES: dict[tuple[str, str], Estimate] = {}
"""What the fixture `small` lets be estimated, once."""


@pytest.fixture
def small(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the networks that are missing be estimated at a size where that takes no time."""

    def blueprint(_needs: Inventory, device: str) -> Blueprint:
        config = read_config(world / "generator.safetensors")
        with torch.device("meta"):
            generator = PanoHead(config)
        folders = TeacherPaths(world / "teacher").networks()
        return Blueprint(generator, teacher_on_paper(folders, torch.float32), device=device)

    def once(networks: Blueprint, config: StylizeConfig, tier: MemoryTier) -> Estimate:
        key = networks.device, tier.name
        if key not in ESTIMATES:
            ESTIMATES[key] = estimate(networks, config, tier)
        return ESTIMATES[key]

    monkeypatch.setattr(blueprint_module, "blueprint", blueprint)
    monkeypatch.setattr(cost, "estimate", once)


@pytest.mark.usefixtures("small")
def test_what_full_scale_needs_without_any_of_its_weights(run: Run) -> None:
    """Bytes, memory by part and tier, time on this machine."""
    preset = panohead_report(run)
    sizes = {need["role"]: need["bytes"] for need in preset["weights"]}
    assert sizes["generator"] == 4 * (53_741_548 + 874_963)
    assert sizes["diffusion"] > 4e9
    tiers = [(guess["device"], guess["memory"]) for guess in preset["estimates"]]
    assert tiers == [("cuda", "24"), ("cuda", "12"), ("cuda", "8"), ("cpu", "24")]


@pytest.mark.usefixtures("small")
def test_the_same_for_people(run: Run) -> None:
    outcome = run("doctor", "--preset", "panohead", "--no-smoke")
    assert outcome.code == 3
    for words in (
        "panohead: generator",
        "to get by hand: stylehead weights fetch panohead (says where to get them)",
        "--memory 8, cuda",
    ):
        assert words in outcome.out
    assert "next: stylehead weights fetch controlnet-depth" in outcome.err


@pytest.mark.slow
def test_every_tier_at_the_published_size_fits_its_gigabytes(run: Run) -> None:
    guesses = [guess for guess in panohead_report(run)["estimates"] if guess["device"] == "cuda"]
    totals = [guess["total_bytes"] for guess in guesses]
    assert totals == sorted(totals, reverse=True)
    assert all(total < 0.9e9 * int(g["memory"]) for total, g in zip(totals, guesses, strict=True))
