"""Teachers from anywhere: folders, cached hub ids, parts from other places, precision and memory."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from cli_helpers import Outcome, Run
from tiny_teacher import tiny_autoencoder, write_tiny_depth_estimator
from typer.testing import CliRunner

from stylehead.cli.app import app
from stylehead.export import showcase
from stylehead.jobs import models
from stylehead.jobs.needs import list_needs
from stylehead.methods.config import StylizeConfig
from stylehead.weights import presets

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ONE_STEP = ("--iterations", "1", "--preview-every", "0", "--checkpoint-every", "0", "--out", "r")
HAMSTER = ("stylize", "--prompt", "a hamster", *ONE_STEP)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STYLEHEAD_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("STYLEHEAD_ACCEPT_LICENSES", raising=False)
    return tmp_path / "home"


@pytest.fixture
def loading(world: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command that loads every model from its folder."""
    monkeypatch.setattr(presets, "MINI_WEIGHTS", world)
    monkeypatch.setattr(showcase, "SHEET_SEEDS", (1,))
    monkeypatch.setattr(showcase, "SHEET_YAWS_DEG", (0.0,))
    monkeypatch.setattr(showcase, "TURNTABLE_STEPS", 2)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path) -> Outcome:
        words = [str(word) for word in arguments]
        monkeypatch.setattr(sys, "argv", ["stylehead", *words])
        result = CliRunner().invoke(app, words)
        return Outcome(result.exit_code, result.stdout, result.stderr)

    return call


def manifest() -> dict:
    return json.loads(Path("r/run.json").read_text())


def into_cache(home: Path, repo_id: str, source: Path) -> Path:
    """Lay a folder into the Hub's cache as a download would."""
    repo = home / "hub" / ("models--" + repo_id.replace("/", "--"))
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(COMMIT)
    return shutil.copytree(source, repo / "snapshots" / COMMIT)


def test_a_folder_of_the_users_own_teaches_any_prompt(loading: Run, world: Path) -> None:
    shutil.copytree(world / "teacher", "my-model")
    Path("my-model/README.md").write_text("---\nlicense: creativeml-openrail-m\ntags: [x]\n---\n# Mine\n")
    outcome = loading(*HAMSTER, "--diffusion", "my-model")
    assert outcome.code == 0, outcome
    facts = manifest()
    assert facts["teacher"] == {"diffusion": "my-model"}
    assert facts["licence"].endswith("; my-model: creativeml-openrail-m")
    assert "creativeml-openrail-m" in Path("r/README.md").read_text()
    ids = {weight["id"] for weight in facts["weights"]}
    assert {"mini/generator.safetensors", "my-model/unet/diffusion_pytorch_model.safetensors"} < ids
    assert (facts["precision"], facts["memory"]) == ("float32", "24")


def test_parts_from_the_hubs_cache_and_elsewhere(
    loading: Run, world: Path, home: Path, tmp_path: Path
) -> None:
    bare = shutil.copytree(world / "teacher", tmp_path / "bare")
    for part in ("controlnet_canny", "controlnet_depth", "vae"):
        shutil.rmtree(bare / part)
    into_cache(home, "some/model", bare)
    into_cache(home, "other/canny", world / "teacher" / "controlnet_canny")
    tiny_autoencoder().save_pretrained("small-vae")
    write_tiny_depth_estimator(Path("depths"))
    outcome = loading(
        *HAMSTER, "--diffusion", "some/model", "--controlnet-canny", "other/canny",
        "--controlnet-depth", world / "teacher" / "controlnet_depth", "--vae", "small-vae",
        "--depth", "estimated", "--depth-estimator", "depths", "--precision", "bf16", "--memory", "8",
    )  # fmt: skip
    assert outcome.code == 0, outcome
    facts = manifest()
    assert facts["teacher"] == {
        "diffusion": "some/model",
        "controlnet_canny": "other/canny",
        "controlnet_depth": "controlnet_depth",
        "vae": "small-vae",
        "depth_estimator": "depths",
    }
    assert (facts["precision"], facts["memory"]) == ("bfloat16", "8")
    ids = {weight["id"] for weight in facts["weights"]}
    assert ids == {
        "mini/generator.safetensors",
        "some/model/unet/diffusion_pytorch_model.safetensors",
        "some/model/text_encoder/model.safetensors",
        "small-vae/diffusion_pytorch_model.safetensors",
        "other/canny/diffusion_pytorch_model.safetensors",
        "controlnet_depth/diffusion_pytorch_model.safetensors",
        "depths/model.safetensors",
    }
    assert str(tmp_path) not in json.dumps(facts["weights"])


def test_what_is_in_the_catalogue_completes_a_teacher(
    world: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presets, "MINI_WEIGHTS", world)
    into_cache(home, "lllyasviel/sd-controlnet-canny", world / "teacher" / "controlnet_canny")
    estimator = write_tiny_depth_estimator(tmp_path / "depths")
    (estimator / "preprocessor_config.json").write_text("{}")
    into_cache(home, "depth-anything/Depth-Anything-V2-Base-hf", estimator)
    bare = shutil.copytree(world / "teacher", tmp_path / "bare")
    shutil.rmtree(bare / "controlnet_canny")
    mini = presets.mini_preset()

    def found(**settings: object) -> dict[str, str]:
        config = StylizeConfig.from_dict({"prompt": "joker", "diffusion": str(bare), **settings})
        return {need.role: need.name for need in list_needs(config, mini).require().networks}

    assert found() == {"diffusion": "bare", "controlnet_canny": "controlnet-canny"}
    assert found(canny=False) == {"diffusion": "bare"}
    assert found(diffusion=None) == {"diffusion": "mini/teacher"}
    monkeypatch.setenv("STYLEHEAD_ACCEPT_LICENSES", "depth-anything-v2-base")
    assert found()["depth_estimator"] == "depth-anything-v2-base"
    for settings in ({"depth": "rendered"}, {"depth": "none"}, {"grid": False}, {"diffusion": None}):
        assert "depth_estimator" not in found(**settings)


WRONG = [
    (("--diffusion", "no/where"), 3, "hf download no/where"),
    (("--diffusion", "realistic-vision-v5.1"), 3, "stylehead weights fetch realistic-vision-v5.1"),
    (("--diffusion", "file.safetensors"), 2, "diffusers layout"),
    (("--diffusion", "xl"), 1, "only Stable Diffusion 1.x models can teach"),
    (("--diffusion", "empty"), 3, "lacks the folder"),
    (("--vae", "no/where"), 3, "`--vae` (=no/where)"),
    (("--depth", "estimated"), 3, "--depth rendered"),
    (("--depth-estimator", "depth-anything-v2-base"), 4, "--accept-license depth-anything-v2-base"),
]


@pytest.mark.parametrize(("options", "code", "said"), WRONG)
def test_what_cannot_teach_says_why_and_leaves_nothing(
    loading: Run, options: tuple[str, ...], code: int, said: str
) -> None:
    Path("file.safetensors").write_bytes(b"")
    for name in ("xl", "empty"):
        Path(name).mkdir()
    Path("xl/model_index.json").write_text('{"_class_name": "StableDiffusionXLPipeline"}')
    prompt = "a hamster" if options[0] == "--diffusion" else "pixar"
    outcome = loading("stylize", "--prompt", prompt, *ONE_STEP, *options)
    assert outcome.code == code, outcome
    assert said in outcome.err
    assert not Path("r").exists()


def test_precision_names_become_numbers() -> None:
    assert models.choose_dtype("auto", "cpu") == torch.float32
    assert models.choose_dtype("auto", "cuda") == torch.float16
    assert models.choose_dtype("bf16", "cuda") == torch.bfloat16


def test_runs_of_older_settings_can_be_read() -> None:
    older = {"prompt": "x", "depth": True, "depth_source": "rendered", "save_memory": True}
    config = StylizeConfig.from_dict(older)
    assert (config.depth, config.memory) == ("rendered", "12")
    assert StylizeConfig.from_dict({**older, "depth": False, "save_memory": False}).depth == "none"
