"""Single files of the original program become the same networks as folders of diffusers."""

from pathlib import Path
from typing import Any

import pytest
import tiny_teacher
import torch
from diffusers import ControlNetModel
from ldm_layout import save, unet_state, vae_state, write_checkpoint
from torch import nn

from stylehead.errors import JobError, MissingError
from stylehead.teacher import Teacher, shapes
from stylehead.teacher.single_file import load_from_file
from stylehead.weights.model_files import ModelFile
from stylehead.weights.recognise import recognise

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def sizes(teacher: Teacher, monkeypatch: pytest.MonkeyPatch) -> None:
    """The known sizes are those of the tests' teacher."""
    parts = teacher.parts
    known = {
        "unet": dict(parts.unet.config),
        "vae": dict(parts.vae.config),
        "text_encoder": parts.text_encoder.config.to_dict(),
        "controlnet_canny": dict(controlnet().config),
    }
    monkeypatch.setattr(shapes, "STABLE_DIFFUSION_15", known)


def controlnet() -> ControlNetModel:
    """A ControlNet that looks at conditions in as many steps as the published ones."""
    config = dict(tiny_teacher.tiny_controlnet().config) | {
        "conditioning_embedding_out_channels": (4, 4, 8, 8)
    }
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = ControlNetModel.from_config(config)
        tiny_teacher.scramble(network)
    return network


def load(path: Path, role: str, dtype: torch.dtype = torch.float32) -> Any:
    return load_from_file(ModelFile(path), role, device=CPU, dtype=dtype)


def assert_same(actual: nn.Module, expected: nn.Module) -> None:
    state = actual.state_dict()
    assert state.keys() == expected.state_dict().keys()
    for name, tensor in expected.state_dict().items():
        assert torch.equal(state[name], tensor.to(state[name].dtype)), name


@pytest.mark.parametrize("role", ["unet", "vae", "text_encoder"])
@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
def test_every_network_of_a_checkpoint_is_found(
    role: str, suffix: str, teacher: Teacher, tmp_path: Path
) -> None:
    path = write_checkpoint(tmp_path / f"model{suffix}", teacher.parts)
    network = load(path, role)
    assert_same(network, getattr(teacher.parts, role))
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert not any(buffer.is_meta for buffer in network.buffers())


def test_the_text_encoder_embeds_the_same(teacher: Teacher, tmp_path: Path) -> None:
    network = load(write_checkpoint(tmp_path / "model.safetensors", teacher.parts), "text_encoder")
    tokens = torch.tensor([[0, 3, 4, 1, 1, 1, 1, 1, 1, 1]])
    expected = teacher.parts.text_encoder(tokens).last_hidden_state
    assert torch.equal(network(tokens).last_hidden_state, expected)


def test_half_precision_is_asked_for_not_taken_from_the_file(teacher: Teacher, tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "model.safetensors", teacher.parts)
    for role in ("unet", "vae", "text_encoder"):
        network = load(path, role, torch.float16)
        assert {tensor.dtype for tensor in network.parameters()} == {torch.float16}


def test_an_autoencoder_alone_is_read_in_either_layout(teacher: Teacher, tmp_path: Path) -> None:
    vae = teacher.parts.vae
    save(tmp_path / "old.safetensors", vae_state(vae))
    save(tmp_path / "new.safetensors", vae.state_dict())
    for name in ("old", "new"):
        assert_same(load(tmp_path / f"{name}.safetensors", "vae"), vae)


@pytest.mark.parametrize("prefix", ["control_model.", ""])
def test_a_controlnet_alone_is_read_in_either_layout(prefix: str, tmp_path: Path) -> None:
    network = controlnet()
    save(tmp_path / "old.pth", {prefix + name: tensor for name, tensor in unet_state(network).items()})
    save(tmp_path / "new.safetensors", network.state_dict())
    for name in ("old.pth", "new.safetensors"):
        assert_same(load(tmp_path / name, "controlnet_canny"), network)


def test_what_is_not_in_the_file_is_said(teacher: Teacher, tmp_path: Path) -> None:
    save(tmp_path / "vae.safetensors", vae_state(teacher.parts.vae))
    for role, title in (("unet", "UNet"), ("text_encoder", "text encoder")):
        with pytest.raises(MissingError, match=rf"vae\.safetensors` has no {title}"):
            load(tmp_path / "vae.safetensors", role)


def test_networks_of_other_sizes_are_refused(
    teacher: Teacher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_checkpoint(tmp_path / "model.safetensors", teacher.parts)
    other = {**shapes.STABLE_DIFFUSION_15["unet"], "block_out_channels": (8, 24)}
    monkeypatch.setitem(shapes.STABLE_DIFFUSION_15, "unet", other)
    with pytest.raises(JobError, match=r"model\.safetensors` cannot be read as unet"):
        load(path, "unet")
    text = {**shapes.STABLE_DIFFUSION_15["text_encoder"], "num_hidden_layers": 2}
    monkeypatch.setitem(shapes.STABLE_DIFFUSION_15, "text_encoder", text)
    with pytest.raises(JobError, match="cannot be read as text encoder"):
        load(path, "text_encoder")


def test_a_missing_tensor_is_named(teacher: Teacher, tmp_path: Path) -> None:
    state = vae_state(teacher.parts.vae)
    state.pop("decoder.mid.block_1.conv1.weight")
    save(tmp_path / "vae.safetensors", state)
    with pytest.raises(JobError, match=r"cannot be read as vae: it lacks some of the tensors"):
        load(tmp_path / "vae.safetensors", "vae")


def test_the_published_layout_has_the_published_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names and shapes that every checkpoint of Stable Diffusion 1.5 has, by the model's own description."""
    monkeypatch.undo()
    unet = shapes.teacher_skeleton({"unet": None})["unet"]
    state = {f"model.diffusion_model.{name}": tensor.shape for name, tensor in unet_state(unet).items()}
    assert len(state) == 686
    first = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
    assert state[first] == (320, 768)
    assert state["model.diffusion_model.output_blocks.11.1.proj_out.weight"] == (320, 320, 1, 1)
    assert state["model.diffusion_model.output_blocks.5.2.conv.weight"] == (1280, 1280, 3, 3)
    kind = recognise({name: tuple(shape) for name, shape in state.items()})
    assert kind is not None
    assert kind.usable
