"""What `info` says about models, checkpoints and parts of a run."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from cli_helpers import Run
from safetensors.numpy import save_file
from tiny_teacher import tiny_autoencoder, write_tiny_depth_estimator

from stylehead.generator import PanoHead, load_style
from stylehead.geometry import camera_from_angles


def said(run: Run, *words: str | Path) -> dict[str, str]:
    """Labels and values of the lines for people."""
    outcome = run("info", *words)
    assert outcome.code == 0, outcome
    return {a.strip(): b.strip() for a, _, b in (line.partition("  ") for line in outcome.out.splitlines())}


def test_a_diffusion_model(run: Run, world: Path) -> None:
    outcome = run("info", world / "teacher")
    facts = said(run, world / "teacher")
    assert facts["kind"] == "diffusion model"
    assert facts["predicts"] == "epsilon"
    assert facts["latents"] == "4 x 8 x 8"
    assert facts["controlnet_canny"].startswith("ControlNetModel, ")
    assert "lacks" not in facts
    assert f"--diffusion {world / 'teacher'}" in outcome.err
    shutil.copytree(world / "teacher", "bare")
    shutil.rmtree("bare/vae")
    assert said(run, "bare")["lacks"] == "vae"
    assert run("info", "bare").err == ""
    Path("bare/unet/config.json").write_text("{")
    assert run("info", "bare").code == 1


def test_single_networks(run: Run, world: Path) -> None:
    facts = said(run, world / "teacher" / "controlnet_depth")
    assert (facts["kind"], facts["class"]) == ("ControlNet", "ControlNetModel")
    assert "--controlnet-depth" in facts["use"]
    tiny_autoencoder().save_pretrained("tiny")
    assert said(run, "tiny")["kind"] == "tiny autoencoder"
    write_tiny_depth_estimator(Path("depths"))
    document = json.loads(run("info", "depths", "--json").out)
    assert document["role"] == "depth estimator"
    assert document["files"] == ["model.safetensors"]
    Path("depths/config.json").write_text("[]")
    assert run("info", "depths").code == 1


def test_a_checkpoint(run: Run, finished: Path) -> None:
    path = finished / "checkpoints" / "step_000002"
    facts = said(run, path)
    assert (facts["kind"], facts["step"], facts["state"]) == ("checkpoint", "2", "whole")
    assert run("info", path).err == "next: stylehead stylize --resume runs/pixar\n"
    (path / "weights.safetensors").write_bytes(b"cut")
    assert said(run, path)["state"] == "damaged"


@pytest.mark.parametrize("name", ["run.json", "config.json", "events.jsonl", "README.md"])
def test_a_file_of_a_run_is_the_run(run: Run, finished: Path, name: str) -> None:
    facts = said(run, finished / name)
    assert (facts["kind"], facts["prompt"]) == ("run", "Pixar character")
    assert facts["teacher"] == "mini/teacher"
    assert facts["precision"] == "float32"
    assert "process" in facts["peak memory"]


def test_a_generator_and_a_style_name_the_same_base(run: Run, world: Path, finished: Path) -> None:
    document = json.loads(run("info", world / "generator.safetensors", "--json").out)
    assert document["fingerprint"] == PanoHead.load(world / "generator.safetensors").fingerprint()
    assert document["fingerprint"] == load_style(finished / "style.safetensors").base
    assert (
        json.loads(run("info", finished / "style.safetensors", "--json").out)["base"]
        == document["fingerprint"]
    )


@pytest.mark.parametrize("config", ["{", '{"z_dim": "many"}', '{"magic": 1}', "[]"])
def test_a_header_that_makes_no_sense_is_one_sentence(run: Run, config: str) -> None:
    metadata = {"stylehead.format": "generator-1", "stylehead.config": config}
    save_file({"x": np.zeros(3, np.float32)}, "odd.safetensors", metadata=metadata)
    outcome = run("info", "odd.safetensors")
    assert outcome.code == 1
    assert "configuration in the header of odd.safetensors is wrong" in outcome.err


UNET = "model.diffusion_model.input_blocks"
FOREIGN = {
    "a Stable Diffusion 1.x checkpoint": (
        {f"{UNET}.0.0.weight": (2, 4, 3, 3), f"{UNET}.1.1.transformer_blocks.0.attn2.to_k.weight": (2, 768)},
        "--diffusion",
    ),
    "a LoRA for Stable Diffusion 1.x": ({"lora_unet_down_attn2_to_k.lora_down.weight": (4, 768)}, "--lora"),
    "an autoencoder (VAE)": ({"encoder.conv_in.weight": (1,), "decoder.conv_in.weight": (1,)}, "--vae"),
    "an IP-Adapter": ({"image_proj.proj.weight": (2, 2)}, None),
    "a Flux model": ({"double_blocks.0.img_attn.qkv.weight": (3, 3)}, None),
}


@pytest.mark.parametrize("title", FOREIGN)
def test_models_of_others_are_called_by_name(run: Run, title: str) -> None:
    shapes, option = FOREIGN[title]
    save_file({name: np.zeros(shape, np.float32) for name, shape in shapes.items()}, "other.safetensors")
    assert said(run, "other.safetensors")["kind"] == title
    use = f"next: stylehead stylize {option} other.safetensors\n"
    assert run("info", "other.safetensors").err == (use if option else "")


@pytest.mark.parametrize("shape", [(25,), (1, 25)])
def test_a_camera_alone_is_no_latent(run: Run, shape: tuple[int, ...]) -> None:
    np.save("cam.npy", camera_from_angles(math.radians(20), math.radians(-5)).numpy().reshape(shape))
    facts = said(run, "cam.npy")
    assert (facts["kind"], facts["yaw"], facts["pitch"]) == ("camera", "20.0 degrees", "-5.0 degrees")
    assert "invert PICTURE --aligned --camera cam.npy" in run("info", "cam.npy").err


def test_tensors_of_others_are_listed(run: Run) -> None:
    save_file({"x": np.zeros((3, 2), np.float32)}, "other.safetensors")
    facts = said(run, "other.safetensors")
    assert facts["kind"] == "safetensors file"
    assert facts["tensors"].startswith("1 with 6 numbers")
