"""What a job would cost: measured where it is small, estimated where it is not, and never written."""

import json
import types
from pathlib import Path

import pytest
from cli_helpers import LIGHT, Run
from full_scale import stylehead_alone

from stylehead.jobs import needs
from stylehead.teacher import Teacher
from stylehead.weights import presets

HAMSTER = ("stylize", "--prompt", "a hamster", "--iterations", "10")


def test_full_scale_without_weights_is_planned_not_refused(run: Run, tmp_path: Path) -> None:
    outcome = run(*HAMSTER, "--preset", "panohead", "--dry-run", "--no-grid", "--memory", "24")
    assert outcome.code == 0, outcome
    assert list(tmp_path.iterdir()) == []
    for words in (
        "218 MB to get by hand: stylehead weights fetch panohead",
        "4.3 GB to fetch: stylehead weights fetch realistic-vision-v5.1",
        "1.4 GB to fetch: stylehead weights fetch controlnet-canny",
        "estimated: weights",
        "not measured",
        "everything stays in memory",
    ):
        assert words in outcome.out
    assert "controlnet-depth" not in outcome.out
    assert "next: stylehead weights fetch panohead" in outcome.err


def test_a_folder_of_ones_own_is_planned_by_its_sizes(run: Run, world: Path) -> None:
    command = (*HAMSTER, "--diffusion", world / "teacher", "--dry-run", "--json")
    document = json.loads(run(*command).out)
    assert document["measured"] is False
    guess = document["estimate"]
    assert guess["parts_bytes"]["weights"]["unet"] > 0
    assert guess["memory"] == "24"  # small networks need no savings
    assert guess["seconds_per_iteration"] > 0
    assert document["checkpoint_bytes"] == 4 * document["style_bytes"]
    needs = {need["role"]: need for need in document["weights"]}
    assert needs["diffusion"]["here"] is True
    assert "controlnet_canny" not in needs  # the folder brings its own


def test_probing_measures_what_would_be_estimated(run: Run, world: Path, teacher: Teacher) -> None:
    command = (*LIGHT, "--prompt", "a hamster", "--diffusion", world / "teacher", "--dry-run", "--json")
    document = json.loads(run("stylize", *command, "--probe").out)
    assert document["measured"] is True
    assert document["training_seconds"] == pytest.approx(4 * document["seconds_per_step"])
    assert document["peak_memory_bytes"]["process"] > 1e7


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_estimate_is_near_what_a_process_really_takes(tmp_path: Path) -> None:
    """The embedded models, once measured in a process of their own and once estimated: within a factor."""

    def report(*options: str) -> dict:
        words = ("stylize", "--prompt", "Pixar character", "--dry-run", "--json", *options)
        done = stylehead_alone(tmp_path / "home", tmp_path, *words, seconds=900)
        assert done.code == 0, done
        return json.loads(done.out)

    measured = report("--memory", "24")["peak_memory_bytes"]["process"]
    guess = report("--memory", "24", "--diffusion", str(presets.MINI_WEIGHTS / "teacher"))["estimate"]
    assert measured / 1.6 < guess["total_bytes"] < measured * 1.6


def test_probing_without_a_dry_run_is_refused(run: Run) -> None:
    outcome = run(*HAMSTER, "--probe")
    assert outcome.code == 2
    assert "--dry-run" in outcome.err


def test_missing_weights_cannot_be_probed(run: Run) -> None:
    assert run(*HAMSTER, "--preset", "panohead", "--dry-run", "--probe").code == 3


def test_a_depth_estimator_counts_when_it_is_asked_for(run: Run) -> None:
    from stylehead.methods.config import StylizeConfig
    from stylehead.weights.presets import find_preset

    def roles(**settings: object) -> list[str]:
        config = StylizeConfig.from_dict({"prompt": "x", "preset": "panohead", **settings})
        return [
            need.name
            for need in needs.list_needs(config, find_preset("panohead").preset).every
            if need.problem is not None
        ]

    assert needs.ESTIMATORS[0] not in roles()
    assert needs.ESTIMATORS[0] in roles(depth="estimated")
    assert "some/where" in roles(depth_estimator="some/where")
    assert "controlnet-depth" not in roles(depth="none")
    assert roles(vae="some/vae")[-1] == "some/vae"


def test_what_does_not_fit_on_the_disk_is_refused_by_the_run_and_its_dry_run(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: types.SimpleNamespace(total=10**9, free=1000))
    said = []
    for dry in (("--dry-run",), ()):
        outcome = run("stylize", *LIGHT, "--prompt", "zombie", "--out", "r", *dry)
        assert outcome.code == 1, outcome
        said.append([line for line in outcome.err.splitlines() if line.startswith("error: ")])
    assert said[0] == said[1]
    assert "on the disk of r, where 1.0 kB are free" in said[0][0]
    assert not Path("r").exists()
