"""Teachers from anywhere: folders, cached hub ids, parts from other places, precision and memory."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from cli_helpers import Outcome, Run
from ldm_layout import write_checkpoint
from lpips_seeded import seeded_heads, seeded_trunk
from recogniser_file import write_recogniser
from safetensors.torch import save_file
from tiny_teacher import tiny_autoencoder, write_tiny_depth_estimator
from typer.testing import CliRunner

from stylehead.cli.app import app
from stylehead.errors import LicenseError
from stylehead.export import showcase
from stylehead.jobs import blueprint, models
from stylehead.jobs.needs import list_needs
from stylehead.methods.config import StylizeConfig
from stylehead.perception.face_network import FaceNetwork
from stylehead.perception.lpips import Lpips
from stylehead.teacher import Teacher, shapes
from stylehead.teacher.parts import TeacherParts
from stylehead.units import now
from stylehead.weights import presets, store

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
    (("--diffusion", "file.safetensors"), 1, "is empty"),
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


def test_runs_of_older_settings_can_be_read() -> None:
    older = {"prompt": "x", "depth": True, "depth_source": "rendered", "save_memory": True}
    config = StylizeConfig.from_dict(older)
    assert (config.depth, config.memory) == ("rendered", "12")
    assert StylizeConfig.from_dict({**older, "depth": False, "save_memory": False}).depth == "none"


# --------------------------------------------------------------------------------- files that people have


@pytest.fixture
def parts(world: Path, monkeypatch: pytest.MonkeyPatch) -> TeacherParts:
    """The networks of the embedded teacher; single files have their sizes."""
    found = Teacher.load(world / "teacher").parts
    sizes = {
        "unet": dict(found.unet.config),
        "vae": dict(found.vae.config),
        "text_encoder": found.text_encoder.config.to_dict(),
        "controlnet_canny": dict(found.controlnets["canny"].config),
        "controlnet_depth": dict(found.controlnets["depth"].config),
    }
    monkeypatch.setattr(shapes, "STABLE_DIFFUSION_15", sizes)
    monkeypatch.setattr("stylehead.weights.recognise._WIDTHS", {8: "Stable Diffusion 1.x", 9: "the future"})
    names = ("in_channels", "cross_attention_dim")
    single = {name: sizes["unet"][name] for name in names}
    single["block_out_channels"] = tuple(sizes["unet"]["block_out_channels"])
    monkeypatch.setattr("stylehead.teacher.check.SINGLE_FILE", single)
    return found


ALONE = ("--no-canny", "--depth", "none")


def test_a_single_file_with_a_lora_teaches(
    loading: Run, world: Path, home: Path, parts: TeacherParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_checkpoint(Path("my model.safetensors"), parts)
    named = ("--diffusion", "my model.safetensors", *ALONE)
    for more in ((), ("--dry-run",)):
        without = loading(*HAMSTER, *named, *more)
        assert (without.code, "needs a tokenizer beside it" in without.err) == (3, True), without
        assert "stylehead weights fetch clip-tokenizer" in without.err
    monkeypatch.setattr("stylehead.jobs.inventory.local_tokenizer", lambda: world / "teacher" / "tokenizer")
    assert loading(*HAMSTER, *named, "--dry-run").code == 0
    layer = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"
    down = torch.ones(2, parts.unet.get_submodule(layer).weight.shape[1])
    up = torch.ones(len(parts.unet.get_submodule(layer).weight), 2)
    save_file({f"unet.{layer}.lora_A.weight": down, f"unet.{layer}.lora_B.weight": up}, "ink.safetensors")
    outcome = loading(*HAMSTER, *named, "--lora", "ink.safetensors:0.5", "--lora", "ink.safetensors")
    assert outcome.code == 0, outcome
    facts = manifest()
    assert facts["teacher"] == {
        "diffusion": "my model.safetensors",
        "lora_1": "ink.safetensors:0.5",
        "lora_2": "ink.safetensors",
    }
    assert facts["config"]["lora"] == ["ink.safetensors:0.5", "ink.safetensors"]
    ids = [weight["id"] for weight in facts["weights"]]
    assert "my model.safetensors/checkpoint/my model.safetensors" in ids
    assert "ink.safetensors/ink.safetensors" in ids
    assert loading("stylize", "--resume", "r", "--iterations", "2").code == 0


def test_a_lora_that_is_none_is_refused_before_anything_is_loaded(loading: Run, world: Path) -> None:
    shutil.copytree(world / "teacher", "my-model")
    save_file({"emb_params": torch.ones(2, 768)}, "word.safetensors")
    for more in ((), ("--dry-run",)):
        outcome = loading(*HAMSTER, "--diffusion", "my-model", "--lora", "word.safetensors", *more)
        assert (outcome.code, "is a textual inversion, not a LoRA" in outcome.err) == (1, True)
    missing = loading(*HAMSTER, "--diffusion", "my-model", "--lora", "none.safetensors")
    assert (missing.code, "`--lora` (=none.safetensors) is no file" in missing.err) == (2, True)
    assert not Path("r").exists()


INDEX, SCHEDULE = "model_index.json", "scheduler/scheduler_config.json"
UNET, TEXT, CANNY = (f"{part}/config.json" for part in ("unet", "text_encoder", "controlnet_canny"))
SD2 = {UNET: {"cross_attention_dim": 1024}, TEXT: {"hidden_size": 1024}}
CANNOT_TEACH: dict[str, tuple[dict[str, dict], str]] = {
    "inpainting": ({UNET: {"in_channels": 9}}, "is an inpainting model"),
    "SDXL": ({INDEX: {"_class_name": "StableDiffusionXLPipeline"}}, "is a StableDiffusionXLPipeline"),
    "SDXL without its index": (
        {UNET: {"addition_embed_type": "text_time"}},
        "is a Stable Diffusion XL model",
    ),
    "SD 3": ({INDEX: {"_class_name": "StableDiffusion3Pipeline"}}, "is a StableDiffusion3Pipeline"),
    "Flux": ({INDEX: {"_class_name": "FluxPipeline"}}, "is a FluxPipeline"),
    "SD 2 v": ({SCHEDULE: {"prediction_type": "v_prediction"}}, "predicts `v_prediction`"),
    "SD 2": ({UNET: {"cross_attention_dim": 1024}}, "where the UNet takes 1024"),
    "SD 2 with ControlNets of SD 1.5": (SD2, "(Stable Diffusion 2.x; only Stable Diffusion 1.x models can"),
    "ControlNet of SD 2": ({CANNY: {"cross_attention_dim": 1024}}, "my-model/controlnet_canny` does not fit"),
    "turbo": ({**SD2, SCHEDULE: {"timestep_spacing": "trailing"}}, "is a distilled model (turbo)"),
    "distilled": ({UNET: {"time_cond_proj_dim": 256}}, "is a distilled model (LCM)"),
}


def refusals(loading: Run, *words: str | Path, code: int) -> list[list[str]]:
    """What a run and a dry run say, which both refuse."""
    said = []
    for more in ((), ("--dry-run",)):
        outcome = loading(*HAMSTER, *words, *more)
        assert outcome.code == code, outcome
        said.append([line for line in outcome.err.splitlines() if "error" in line or "hint" in line])
    assert not Path("r").exists()
    return said


@pytest.mark.parametrize("name", CANNOT_TEACH)
def test_run_and_dry_run_refuse_with_the_same_sentence(loading: Run, world: Path, name: str) -> None:
    shutil.copytree(world / "teacher", "my-model")
    files, sentence = CANNOT_TEACH[name]
    for file, values in files.items():
        path = Path("my-model") / file
        before = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(before | values))
    run, dry_run = refusals(loading, "--diffusion", "my-model", code=1)
    assert run == dry_run
    assert sentence in run[0]


@pytest.mark.parametrize("kind", ["canny", "depth"])
def test_a_folder_without_a_controlnet_says_how_to_get_or_do_without_it(
    loading: Run, world: Path, kind: str
) -> None:
    shutil.copytree(world / "teacher", "my-model")
    shutil.rmtree(f"my-model/controlnet_{kind}")
    without = {"canny": "--no-canny", "depth": "--depth none"}[kind]
    run = loading(*HAMSTER, "--diffusion", "my-model")
    assert (run.code, f"This teacher has no `{kind}` ControlNet" in run.err) == (3, True), run
    plan = loading(*HAMSTER, "--diffusion", "my-model", "--dry-run")
    for said in (run.err, plan.out + plan.err):
        assert f"stylehead weights fetch controlnet-{kind}" in said
        assert without in said


@pytest.mark.parametrize("how", ["no autoencoder", "pickles only"])
def test_what_is_missing_inside_of_a_folder_is_said_by_both(loading: Run, world: Path, how: str) -> None:
    shutil.copytree(world / "teacher", "my-model")
    if how == "no autoencoder":
        shutil.rmtree("my-model/vae")
    else:
        weights = Path("my-model/unet/diffusion_pytorch_model.safetensors")
        weights.rename(weights.with_suffix(".bin"))
    run, dry_run = refusals(loading, "--diffusion", "my-model", code=3)
    assert run == dry_run
    assert ("--vae" in run[1]) == (how == "no autoencoder")


def test_the_end_of_a_prompt_that_is_not_read_is_named(loading: Run, world: Path) -> None:
    shutil.copytree(world / "teacher", "my-model")
    length = int(Teacher.load("my-model").parts.tokenizer.model_max_length)
    prompt = " ".join(["a"] * length + ["so", "Sad"])
    for more in ((), ("--dry-run",)):
        again = (*ONE_STEP, "--overwrite")
        outcome = loading("stylize", "--prompt", prompt, *again, "--diffusion", "my-model", *more)
        assert outcome.code == 0, outcome
        assert "does not read the end of the prompt" in outcome.err
        assert "so Sad' is lost" in " ".join(outcome.err.split())
    short = loading("stylize", "--prompt", "a rosa", "--diffusion", "my-model", "--dry-run", "--out", "q")
    assert "lost" not in short.err


def test_at_full_scale_keeping_a_person_asks_for_arcface(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preset = presets.panohead_preset()
    without = StylizeConfig.from_dict({"prompt": "a", "method": "styleclip", "identity_weight": 0.0})
    assert list_needs(without, preset).find("faces") is None
    for method in ("styleclip", "edit"):
        config = StylizeConfig.from_dict({"prompt": "a", "method": method, "identity_weight": 0.5})
        need = list_needs(config, preset).find("faces")
        assert need is not None
        assert isinstance(need.problem, LicenseError)
        assert str(need.problem.hint) == (
            "stylehead weights fetch insightface-buffalo_l --accept-license insightface-buffalo_l, "
            "or --identity-weight 0"
        )
    folder = store.weights_folder("insightface-buffalo_l")
    folder.mkdir(parents=True)
    pack = write_recogniser(folder / "w600k_r50.onnx").parent
    store.write_record(store.Record("insightface-buffalo_l", pack, {}, "a test", None, now()))
    monkeypatch.setenv(store.ACCEPT_VARIABLE, "insightface-buffalo_l")
    needs = list_needs(config, preset)
    need = needs.find("faces")
    assert need is not None
    assert (need.problem, need.size) == (None, (pack / "w600k_r50.onnx").stat().st_size)
    network = models._load_faces(needs, "cpu")
    assert isinstance(network, FaceNetwork)
    on_paper = blueprint._looking(needs)["faces"]
    assert on_paper(torch.empty(2, 3, 64, 64, device="meta")).shape == (2, 8)


def test_at_full_scale_a_perceptual_distance_asks_for_lpips(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for method, trunk in (("ld", "alex"), ("styleganfusion", "vgg")):
        config = StylizeConfig.from_dict({"prompt": "a", "method": method, "perceptual_weight": 0.05})
        need = list_needs(config, presets.panohead_preset()).find("features")
        assert need is not None
        assert need.name == f"lpips-{trunk}"
        assert need.problem is not None
        assert need.problem.hint == f"stylehead weights fetch lpips-{trunk}, or --perceptual-weight 0"
    folder = store.weights_folder("lpips-alex")
    folder.mkdir(parents=True)
    torch.save(seeded_trunk("alex"), folder / "alexnet-owt-7be5be79.pth")
    torch.save(seeded_heads("alex"), folder / "alex.pth")
    store.write_record(store.Record("lpips-alex", folder, {}, "a test", None, now()))
    config = StylizeConfig.from_dict({"prompt": "a", "perceptual_weight": 0.05})
    needs = list_needs(config, presets.panohead_preset())
    network = models._load_features(needs, "cpu")
    assert isinstance(network, Lpips)
    assert network.name == "alex"
