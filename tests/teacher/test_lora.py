"""A LoRA changes a teacher as if its two small layers stood beside every layer that it names."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from stylehead.errors import JobError, UsageError
from stylehead.teacher import Teacher
from stylehead.teacher.lora import Lora, add_lora, parse_lora

BLOCK = "down_blocks.0.attentions.0.transformer_blocks.0"
LAYERS = (f"{BLOCK}.attn1.to_q", f"{BLOCK}.attn2.to_k", f"{BLOCK}.attn2.to_out.0", f"{BLOCK}.ff.net.0.proj")
CONVOLUTIONS = ("conv_in", "down_blocks.0.resnets.0.conv1", "down_blocks.0.attentions.0.proj_in")
WORDS = "encoder.layers.0.self_attn.q_proj"
RANK = 2


class Networks:
    """Copies of the teacher's networks, to be changed."""

    def __init__(self, teacher: Teacher) -> None:
        self.unet = copy.deepcopy(teacher.parts.unet)
        self.text_encoder = copy.deepcopy(teacher.parts.text_encoder)

    def add(self, *loras: Lora) -> "Networks":
        for lora in loras:
            add_lora(lora, unet=self.unet, text_encoder=self.text_encoder)
        return self

    def layer(self, name: str) -> nn.Module:
        text = self.text_encoder
        if name == WORDS:
            deep = any(path.startswith("text_model.") for path, _ in text.named_modules())
            return text.get_submodule(f"text_model.{name}" if deep else name)
        return self.unet.get_submodule(name)

    def predict(self) -> Tensor:
        rng = torch.Generator().manual_seed(1)
        latents, words = torch.randn(1, 4, 8, 8, generator=rng), torch.randn(1, 10, 8, generator=rng)
        return self.unet(latents, 7, encoder_hidden_states=words).sample


@pytest.fixture
def networks(teacher: Teacher) -> Networks:
    return Networks(teacher)


def halves(networks: Networks, names: tuple[str, ...]) -> dict[str, tuple[Tensor, Tensor]]:
    """Random small layers for some layers: down [rank,in,...] and up [out,rank,...]."""
    rng = torch.Generator().manual_seed(5)
    found = {}
    for name in names:
        weight = networks.layer(name).weight
        down = torch.randn(RANK, *weight.shape[1:], generator=rng) * 0.3
        up = torch.randn(len(weight), RANK, *[1] * (weight.ndim - 2), generator=rng) * 0.3
        found[name] = (down, up)
    return found


def kohya(pairs: dict[str, tuple[Tensor, Tensor]], alpha: float | None = 1.0) -> dict[str, Tensor]:
    state = {}
    for name, (down, up) in pairs.items():
        path = f"lora_te_text_model_{name}" if name == WORDS else f"lora_unet_{name}"
        path = path.replace(".", "_")
        state |= {f"{path}.lora_down.weight": down, f"{path}.lora_up.weight": up}
        if alpha is not None:
            state[f"{path}.alpha"] = torch.tensor(alpha)
    return state


def wrapped(name: str) -> str:
    return f"text_encoder.text_model.{name}" if name == WORDS else f"unet.{name}"


def peft(pairs: dict[str, tuple[Tensor, Tensor]], adapter: str = "") -> dict[str, Tensor]:
    state = {}
    for name, (down, up) in pairs.items():
        state |= {
            f"{wrapped(name)}.lora_A{adapter}.weight": down,
            f"{wrapped(name)}.lora_B{adapter}.weight": up,
        }
    return state


def peft_named(pairs: dict[str, tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    return peft(pairs, ".default")


def plain(pairs: dict[str, tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    state = {}
    for name, (down, up) in pairs.items():
        middle = ".lora_linear_layer" if name == WORDS else ".lora"
        state |= {f"{wrapped(name)}{middle}.down.weight": down, f"{wrapped(name)}{middle}.up.weight": up}
    return state


def processors(pairs: dict[str, tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """As the first diffusers wrote them: attention alone, named after its processors."""
    state = {}
    for name, (down, up) in pairs.items():
        parent, layer = name.removesuffix(".0").rsplit(".", 1)
        state |= {f"unet.{parent}.processor.{layer}_lora.down.weight": down}
        state |= {f"unet.{parent}.processor.{layer}_lora.up.weight": up}
    return state


def bare(pairs: dict[str, tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    return {f"base_model.model.{name.removeprefix('unet.')}": tensor for name, tensor in peft(pairs).items()}


def slowly(networks: Networks, pairs: dict[str, tuple[Tensor, Tensor]], scale: float) -> Tensor:
    """What the UNet predicts when every layer adds what its small layers say: the definition."""

    def beside(down: Tensor, up: Tensor) -> Callable[[nn.Module, Any, Tensor], Tensor]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            if isinstance(module, nn.Conv2d):
                options = {"stride": module.stride, "padding": module.padding}
                small = nn.functional.conv2d(inputs[0], down, **options)
                return output + scale * nn.functional.conv2d(small, up)
            return output + scale * inputs[0] @ down.t() @ up.t()

        return hook

    handles = [networks.layer(name).register_forward_hook(beside(*pair)) for name, pair in pairs.items()]
    predicted = networks.predict()
    for handle in handles:
        handle.remove()
    return predicted


@pytest.mark.parametrize("layout", [kohya, peft, peft_named, plain, bare])
@pytest.mark.parametrize("strength", [1.0, -0.7, 0.0])
def test_it_equals_small_layers_beside_the_layers(
    layout: Callable[[Any], dict[str, Tensor]], strength: float, networks: Networks, tmp_path: Path
) -> None:
    names = (*LAYERS, *CONVOLUTIONS, *(() if layout is bare else (WORDS,)))
    pairs = halves(networks, names)
    save_file(layout(pairs), tmp_path / "a.safetensors")
    scale = strength / RANK if layout is kohya else strength  # alpha 1, else alpha is the rank
    seen = {name: pair for name, pair in pairs.items() if name != WORDS}
    expected = slowly(networks, seen, scale)
    before = networks.predict()
    words = networks.layer(WORDS).weight.clone()
    count = add_lora(
        Lora(tmp_path / "a.safetensors", strength), unet=networks.unet, text_encoder=networks.text_encoder
    )
    assert count == len(names)
    assert torch.allclose(networks.predict(), expected, atol=2e-5)
    assert torch.equal(networks.predict(), before) == (strength == 0)
    if WORDS in pairs:
        down, up = pairs[WORDS]
        assert torch.allclose(networks.layer(WORDS).weight, words + scale * up @ down, atol=1e-6)


def test_the_names_of_processors_mean_the_same_layers(networks: Networks, tmp_path: Path) -> None:
    pairs = halves(networks, LAYERS[:3])
    save_file(processors(pairs), tmp_path / "a.safetensors")
    expected = slowly(networks, pairs, 1.0)
    assert torch.allclose(networks.add(Lora(tmp_path / "a.safetensors")).predict(), expected, atol=2e-5)


def test_alpha_in_the_header_counts(networks: Networks, tmp_path: Path) -> None:
    pairs = halves(networks, LAYERS[:2])
    told = {"unet.lora_alpha": 6, "unet.r": RANK, "unet.alpha_pattern": {LAYERS[1]: 6.0}}
    save_file(peft(pairs), tmp_path / "a.safetensors", {"lora_adapter_metadata": json.dumps(told)})
    expected = slowly(networks, pairs, 6 / RANK)
    assert torch.allclose(networks.add(Lora(tmp_path / "a.safetensors")).predict(), expected, atol=2e-5)


def test_several_add_up_in_any_order(teacher: Teacher, tmp_path: Path) -> None:
    pairs = halves(Networks(teacher), LAYERS)
    save_file(kohya(pairs), tmp_path / "a.safetensors")
    torch.save(kohya({LAYERS[0]: pairs[LAYERS[0]]}), tmp_path / "b.pt")
    a, b = Lora(tmp_path / "a.safetensors", 0.5), Lora(tmp_path / "b.pt", 2.0)
    ways = [Networks(teacher).add(*order).predict() for order in ((a, b), (b, a))]
    assert torch.allclose(*ways, atol=1e-5)
    assert not torch.allclose(ways[0], Networks(teacher).add(a).predict(), atol=1e-4)


def test_half_precision_weights_stay_so(teacher: Teacher, networks: Networks, tmp_path: Path) -> None:
    pairs = halves(networks, LAYERS[:1])
    save_file({name: tensor.half() for name, tensor in kohya(pairs).items()}, tmp_path / "a.safetensors")
    networks.unet.half()
    networks.add(Lora(tmp_path / "a.safetensors"))
    weight = networks.layer(LAYERS[0]).weight
    down, up = (half.half().float() for half in pairs[LAYERS[0]])
    exact = teacher.parts.unet.get_submodule(LAYERS[0]).weight.half().float() + up @ down / RANK
    assert weight.dtype == torch.float16
    assert torch.equal(weight, exact.half())


def broken(networks: Networks, change: Callable[[dict[str, Tensor]], None]) -> dict[str, Tensor]:
    state = kohya(halves(networks, LAYERS[1:2]))
    change(state)
    return state


FIRST = f"lora_unet_{LAYERS[1].replace('.', '_')}"
REFUSED: dict[str, tuple[Callable[[dict[str, Tensor]], Any], str]] = {
    "half": (lambda state: state.pop(f"{FIRST}.lora_up.weight"), "only one half of what it adds"),
    "layer": (
        lambda state: state.update({k.replace("0_att", "9_att"): v.clone() for k, v in list(state.items())}),
        "changes `lora_unet_down_blocks_9_att.*`, which this teacher does not have",
    ),
    "ranks": (lambda state: state.update({f"{FIRST}.lora_up.weight": torch.ones(8, 3)}), "different ranks"),
    "shape": (
        lambda state: state.update({f"{FIRST}.lora_down.weight": torch.ones(RANK, 7)}),
        r"does not fit .*: \[8, 7\] numbers, where the teacher has \[8, 8\]",
    ),
    "other tensors": (
        lambda state: state.update(extra=torch.ones(2)),
        "has a tensor `extra` that",
    ),
    "LoHa": (
        lambda state: state.update({f"{FIRST}.hada_w1_a": torch.ones(2)}),
        "is a LoHa, which",
    ),
    "LoKr": (lambda state: state.update({f"{FIRST}.lokr_w1": torch.ones(2)}), "is a LoKr, which"),
    "DoRA": (
        lambda state: state.update({f"{FIRST}.dora_scale": torch.ones(2)}),
        "is a DoRA, which",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_named_and_changes_nothing(
    name: str, networks: Networks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "stylehead.weights.recognise._WIDTHS", {8: "Stable Diffusion 1.x", 7: "Stable Diffusion 1.x"}
    )
    change, sentence = REFUSED[name]
    save_file(broken(networks, change), tmp_path / "a.safetensors")
    before = networks.predict()
    with pytest.raises(JobError, match=sentence):
        networks.add(Lora(tmp_path / "a.safetensors"))
    assert torch.equal(networks.predict(), before)


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (
            {f"{FIRST}.lora_down.weight": torch.ones(4, 2048)},
            "is a LoRA for Stable Diffusion XL; the",
        ),
        (
            {f"{FIRST}.lora_down.weight": torch.ones(4, 1024)},
            "is a LoRA for Stable Diffusion 2.x; the",
        ),
        ({"a": torch.ones(2)}, "is no LoRA"),
        ({"emb_params": torch.ones(2, 768)}, "is a textual inversion, not a LoRA"),
    ],
)
def test_other_files_are_called_by_name(
    state: dict[str, Tensor], sentence: str, networks: Networks, tmp_path: Path
) -> None:
    save_file(state, tmp_path / "a.safetensors")
    with pytest.raises(JobError, match=sentence):
        networks.add(Lora(tmp_path / "a.safetensors"))


def test_a_strength_stands_behind_a_colon(tmp_path: Path) -> None:
    file, colon = tmp_path / "a.safetensors", tmp_path / "b:1"
    for path in (file, colon):
        path.write_bytes(b"x")
    assert parse_lora(f"{file}") == (file, 1.0)
    assert parse_lora(f"{file}:0.6") == (file, 0.6)
    assert parse_lora(f"{file}:-1") == (file, -1.0)
    assert parse_lora(f"{colon}") == (colon, 1.0)
    assert parse_lora(f"{colon}:2") == (colon, 2.0)
    for text in (f"{file}:5", f"{file}:nan", f"{file}:x", "none.safetensors", f"{tmp_path}"):
        with pytest.raises(UsageError, match="--lora"):
            parse_lora(text)
