"""Files that people try as teachers: read, or refused with one sentence before gigabytes are read."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from ldm_layout import save, vae_state, write_checkpoint
from safetensors.torch import load_file, save_file
from torch import Tensor

from stylehead.errors import JobError, MissingError
from stylehead.teacher import Teacher, TeacherPaths, shapes
from stylehead.teacher.check import check_teacher
from stylehead.teacher.lora import Lora

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def copy(teacher_folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(teacher_folder, tmp_path / "copy")


@pytest.fixture
def known(teacher: Teacher, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sizes of single files are those of the tests' teacher."""
    parts = teacher.parts
    sizes = {
        "unet": dict(parts.unet.config),
        "vae": dict(parts.vae.config),
        "text_encoder": parts.text_encoder.config.to_dict(),
        "controlnet_canny": dict(parts.controlnets["canny"].config),
    }
    monkeypatch.setattr(shapes, "STABLE_DIFFUSION_15", sizes)
    monkeypatch.setattr("stylehead.weights.recognise._WIDTHS", {8: "Stable Diffusion 1.x"})
    single = {"in_channels": 4, "cross_attention_dim": 8, "block_out_channels": (8, 16)}
    monkeypatch.setattr("stylehead.teacher.check.SINGLE_FILE", single)


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def refused(paths: Path | TeacherPaths) -> JobError | MissingError:
    """The error of the check, which must be that of the run."""
    paths = paths if isinstance(paths, TeacherPaths) else TeacherPaths(paths)
    with pytest.raises((JobError, MissingError)) as checked:
        check_teacher(paths)
    with pytest.raises(type(checked.value)) as loaded:
        Teacher.load(paths)
    assert (loaded.value.message, loaded.value.hint) == (checked.value.message, checked.value.hint)
    return checked.value


@pytest.mark.parametrize(
    ("file", "values", "sentence"),
    [
        ("unet/config.json", {"in_channels": 9}, "is an inpainting model (its UNet sees a mask"),
        ("unet/config.json", {"in_channels": 8}, "is an editing model (its UNet sees a picture"),
        ("unet/config.json", {"addition_embed_type": "text_time"}, "is a Stable Diffusion XL model"),
        ("unet/config.json", {"time_cond_proj_dim": 256}, "is a distilled model (LCM)"),
        ("scheduler/scheduler_config.json", {"prediction_type": "v_prediction"}, "predicts `v_prediction`"),
        ("vae/config.json", {"_class_name": "VQModel"}, "holds a VQModel; a teacher takes AutoencoderKL or"),
        ("vae/config.json", {"latent_channels": 16}, "latent channels 16, where the UNet takes 4"),
        ("text_encoder/config.json", {"hidden_size": 16}, "numbers per word 16, where the UNet takes 8"),
    ],
)
def test_other_families_are_refused_in_one_sentence(
    file: str, values: dict[str, Any], sentence: str, copy: Path
) -> None:
    change(copy / file, **values)
    assert sentence in refused(copy).message


def test_a_controlnet_of_another_family_is_named(copy: Path) -> None:
    change(copy / "unet" / "config.json", cross_attention_dim=1024)
    change(copy / "text_encoder" / "config.json", hidden_size=1024)
    message = refused(copy).message
    assert f"{copy / 'controlnet_canny'}` does not fit the UNet" in message
    assert "widths (8, 16, 8), where the UNet takes (8, 16, 1024) (Stable Diffusion 2.x; only" in message
    change(copy / "scheduler" / "scheduler_config.json", timestep_spacing="trailing")
    assert "is a distilled model (turbo) that knows no guidance" in refused(copy).message


@pytest.mark.parametrize(
    "index",
    [
        {"_class_name": "StableDiffusionXLPipeline"},
        {"_class_name": "StableDiffusion3Pipeline"},
        {"_class_name": "FluxPipeline"},
        {"_class_name": "StableDiffusionPipeline", "text_encoder_2": ["transformers", "CLIPTextModel"]},
    ],
)
def test_other_pipelines_are_refused_by_their_index(index: dict[str, Any], copy: Path) -> None:
    (copy / "model_index.json").write_text(json.dumps(index))
    assert f"is a {index['_class_name']}; only Stable Diffusion 1.x models can teach" in refused(copy).message


def test_a_model_without_an_autoencoder_says_how_to_add_one(copy: Path) -> None:
    elsewhere = Path(shutil.move(copy / "vae", copy.parent / "elsewhere"))
    assert str(refused(copy).hint).startswith("--vae")
    check_teacher(TeacherPaths(copy, vae=elsewhere))


def test_pickles_are_not_read_and_the_command_of_the_hint_converts_them(copy: Path, teacher: Teacher) -> None:
    weights = copy / "unet" / WEIGHTS
    torch.save(load_file(weights), weights.with_suffix(".bin"))
    weights.unlink()
    error = refused(copy)
    assert f"{copy / 'unet'}` has its weights only as a pickle (diffusion_pytorch_model.bin)" in error.message
    assert str(error.hint).startswith("python -c ")
    command = str(error.hint).replace("python", sys.executable, 1)
    subprocess.run(command, shell=True, check=True)
    assert_same(Teacher.load(copy), teacher)


@pytest.mark.parametrize(
    ("name", "program"),
    [
        ("diffusion_flax_model.msgpack", "Flax"),
        ("model.onnx", "ONNX"),
        ("tf_model.h5", "TensorFlow"),
        ("openvino_model.xml", "OpenVINO"),
        ("unet-Q4_0.gguf", "llama.cpp"),
    ],
)
def test_weights_of_other_programs_are_called_by_name(name: str, program: str, copy: Path) -> None:
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_name(name))
    error = refused(copy)
    assert f"has its weights only for {program} ({name})" in error.message
    assert error.hint == "ask for the .safetensors files of the same model"


def test_a_folder_that_lacks_a_part_says_how_to_get_the_whole(copy: Path) -> None:
    (copy / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    assert "no safetensors file" in refused(copy).message
    assert str(refused(copy).hint).startswith("fetch the whole model again: hf download")


@pytest.mark.parametrize("variant", ["fp16", "bf16", "non_ema"])
def test_a_folder_with_one_variant_only_is_read(variant: str, copy: Path, teacher: Teacher) -> None:
    for folder in ("unet", "vae"):
        (copy / folder / WEIGHTS).rename(copy / folder / f"diffusion_pytorch_model.{variant}.safetensors")
    assert_same(Teacher.load(copy), teacher)
    (copy / "unet" / "diffusion_pytorch_model.non_ema.safetensors").write_bytes(b"not read")
    if variant == "fp16":
        assert_same(Teacher.load(copy), teacher)


def test_weights_in_several_pieces_are_one_network(copy: Path, teacher: Teacher) -> None:
    whole = copy / "unet" / WEIGHTS
    whole.unlink()
    teacher.parts.unet.save_pretrained(copy / "unet", max_shard_size="20KB")
    assert len(list((copy / "unet").glob("*-of-*.safetensors"))) > 1
    assert_same(Teacher.load(copy), teacher)


def assert_same(actual: Teacher, expected: Teacher) -> None:
    """Compare every number of two teachers' networks."""
    for name in ("unet", "vae", "text_encoder"):
        state = getattr(actual.parts, name).state_dict()
        for key, tensor in getattr(expected.parts, name).state_dict().items():
            assert torch.equal(state[key], tensor), f"{name}.{key}"


# ------------------------------------------------------------------------------------------- single files


def checkpoint(folder: Path, teacher: Teacher, **options: Any) -> TeacherPaths:
    path = write_checkpoint(folder / "model.safetensors", teacher.parts, **options)
    return TeacherPaths(path, tokenizer=folder / "copy" / "tokenizer")


@pytest.mark.usefixtures("known")
def test_a_single_file_teaches_as_its_folder_does(copy: Path, teacher: Teacher) -> None:
    paths = checkpoint(copy.parent, teacher)
    loaded = Teacher.load(paths)
    assert_same(loaded, teacher)
    assert loaded.schedule.timesteps.tolist() == teacher.schedule.timesteps.tolist()
    assert torch.equal(loaded.schedule.alphas_cumprod, teacher.schedule.alphas_cumprod)
    assert torch.equal(loaded.encode_prompt("a s").cond, teacher.encode_prompt("a s").cond)
    assert loaded.kinds == ()
    assert paths.weight_files() == {"checkpoint/model.safetensors": paths.base}


@pytest.mark.usefixtures("known")
def test_a_single_file_takes_controlnets_and_an_autoencoder_from_elsewhere(
    copy: Path, teacher: Teacher
) -> None:
    bare = checkpoint(copy.parent, teacher, vae=False)
    error = refused(bare)
    assert f"`{bare.base}` has no autoencoder" in error.message
    assert str(error.hint).startswith("--vae")
    save(copy.parent / "vae.safetensors", vae_state(teacher.parts.vae))
    for vae in (copy / "vae", copy.parent / "vae.safetensors"):
        paths = TeacherPaths(bare.base, copy / "controlnet_canny", None, vae, bare.tokenizer)
        loaded = Teacher.load(paths)
        assert_same(loaded, teacher)
        assert loaded.kinds == ("canny",)
    assert set(paths.weight_files()) == {
        "checkpoint/model.safetensors",
        "vae/vae.safetensors",
        f"controlnet_canny/{WEIGHTS}",
    }


@pytest.mark.usefixtures("known")
def test_single_files_that_cannot_teach_say_why(copy: Path, teacher: Teacher) -> None:
    velocity = checkpoint(copy.parent, teacher, v_pred=torch.ones(1))
    assert "predicts velocities" in refused(velocity).message
    without = TeacherPaths(checkpoint(copy.parent, teacher).base)
    error = refused(without)
    assert "needs a tokenizer beside it" in error.message
    assert error.hint == "stylehead weights fetch clip-tokenizer"
    swapped = TeacherPaths(without.base, vae=without.base, tokenizer=copy / "tokenizer")
    assert refused(TeacherPaths(copy, controlnet_canny=without.base)).message.endswith("not a ControlNet.")
    check_teacher(swapped)  # an autoencoder may come from another whole file


@pytest.mark.parametrize(
    ("state", "title"),
    [
        ({"conditioner.embedders.0.x": (2,)}, "a Stable Diffusion XL checkpoint"),
        ({"model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (2, 1024)}, "2.x"),
        ({"double_blocks.0.img_attn.qkv.weight": (4, 4)}, "a Flux model"),
        ({"lora_unet_x.lora_down.weight": (4, 768)}, "a LoRA for Stable Diffusion 1.x"),
        ({"something": (2,)}, "no diffusion model"),
    ],
)
def test_other_single_files_are_called_by_name(
    state: dict[str, tuple[int, ...]], title: str, tmp_path: Path
) -> None:
    first = {"model.diffusion_model.input_blocks.0.0.weight": (2, 4, 3, 3)}
    shape = (
        state if title in ("a Flux model", "no diffusion model") or "lora" in str(state) else state | first
    )
    tensors: dict[str, Tensor] = {name: torch.zeros(size) for name, size in shape.items()}
    save_file(tensors, tmp_path / "a.safetensors")
    error = refused(tmp_path / "a.safetensors")
    assert title in error.message
    assert error.message.endswith("only Stable Diffusion 1.x models can teach.")
    assert ("--lora" in str(error.hint)) == ("LoRA" in title)


# -------------------------------------------------------------------------------------------------- LoRAs


def test_a_teacher_is_loaded_with_its_loras(copy: Path, teacher: Teacher, tmp_path: Path) -> None:
    name = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"
    before = teacher.parts.unet.get_submodule(name).weight
    down, up = torch.randn(2, before.shape[1]), torch.randn(before.shape[0], 2)
    file = tmp_path / "a.safetensors"
    save_file({f"unet.{name}.lora_A.weight": down, f"unet.{name}.lora_B.weight": up}, file)
    paths = TeacherPaths(copy, loras=(Lora(file, 0.5), Lora(file, 1.0)))
    weight = Teacher.load(paths).parts.unet.get_submodule(name).weight
    assert torch.allclose(weight, before + 1.5 * up @ down, atol=1e-5)
    assert {"lora_1/a.safetensors", "lora_2/a.safetensors"} <= paths.weight_files().keys()
    save_file({"emb_params": down}, tmp_path / "b.safetensors")
    assert "not a LoRA" in refused(TeacherPaths(copy, loras=(Lora(tmp_path / "b.safetensors"),))).message
