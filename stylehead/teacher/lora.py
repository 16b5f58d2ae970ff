"""LoRA: small low-rank changes of a diffusion model, handed around in files, added to its weights once.

Every layer in the file has W + s (alpha / rank) up @ down in the place of its weight W, with the strength s
(Hu et al. 2021, equation 3). The names of layers come in four dialects: kohya's (`lora_unet_...`), PEFT's
(`lora_A`), and two of diffusers (`lora.down`, `to_q_lora.down`).
"""

import contextlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from stylehead.errors import JobError, UsageError
from stylehead.weights.model_files import ModelFile
from stylehead.weights.recognise import recognise

MOST_STRENGTH = 4.0
_TENSOR = re.compile(
    r"(?P<layer>.+?)(?:\.processor)?"
    r"(?:\.lora_(?P<kohya>down|up)|\.lora_(?P<peft>[AB])(?:\.\w+)?|\.lora(?:_linear_layer)?\.(?P<plain>down|up)"
    r"|(?P<attention>\.to_[qkv]|\.to_out)_lora\.(?P<old>down|up))\.weight"
)
_SIDES = {"down": "down", "up": "up", "A": "down", "B": "up"}
_OTHERS = {
    "hada_w": "a LoHa",
    "lokr_w": "a LoKr",
    "dora_scale": "a DoRA",
    "lora_mid": "a Tucker LoCon",
}
_HEADER = "lora_adapter_metadata"


class Lora(NamedTuple):
    """A LoRA file and how strongly it acts: 0 is not at all, 1 as trained."""

    path: Path
    strength: float = 1.0


class _Layer(NamedTuple):
    """What a LoRA adds to one layer: up [out, rank, ...] times down [rank, in, ...], times scale."""

    down: Tensor
    up: Tensor
    scale: float

    @property
    def shape(self) -> list[int]:
        """Of the weight, with all but its first axis flattened."""
        return [len(self.up), self.down[0].numel()]

    def change(self) -> Tensor:
        """The sum to add to the weight, [out, in * height * width]."""
        return self.scale * (self.up.flatten(1).float() @ self.down.flatten(1).float())


def parse_lora(text: str) -> Lora:
    """Read "FILE" or "FILE:STRENGTH".

    Raises:
        UsageError: There is no such file, or the strength is out of range.
    """
    head, colon, tail = text.rpartition(":")
    path, strength = Path(text).expanduser(), 1.0
    if colon and not path.exists():
        with contextlib.suppress(ValueError):  # else the colon is part of the name
            path, strength = Path(head).expanduser(), float(tail)
    if not path.is_file():
        raise UsageError(f"`--lora` (={text}) is no file.", "--lora FILE, or --lora FILE:0.8")
    if not abs(strength) <= MOST_STRENGTH:
        raise UsageError(f"`--lora` (={text}): the strength must be within {MOST_STRENGTH:g}.")
    return Lora(path, strength)


def check_lora(path: Path) -> ModelFile:
    """Open a LoRA file, without reading its numbers.

    Raises:
        UsageError: There is no such file.
        JobError: It is damaged, something else, or made for another model.
    """
    file = ModelFile(path)
    kind = recognise(file.shapes)
    if kind is None or kind.name != "lora":
        what = "no LoRA" if kind is None else f"{kind.title}, not a LoRA"
        hint = "--diffusion takes whole models" if kind is not None and kind.usable else None
        raise JobError(f"`{path}` is {what}.", hint)
    if not kind.usable:
        raise JobError(f"`{path}` is {kind.title}; the teacher is a Stable Diffusion 1.x model.")
    for mark, title in _OTHERS.items():
        if any(mark in name for name in file.shapes):
            raise JobError(f"`{path}` is {title}, which is not read.", "fuse it into its model first")
    return file


@torch.no_grad()
def add_lora(lora: Lora, *, unet: nn.Module, text_encoder: nn.Module) -> int:
    """Add a LoRA to the weights of a diffusion model, in place.

    Args:
        lora: File and strength.
        unet: The UNet.
        text_encoder: The text encoder, which many leave alone.

    Returns:
        How many layers were changed.

    Raises:
        JobError: The file is no LoRA for such a model; names what does not fit.
    """
    file = check_lora(lora.path)
    found = _layers(file)
    weights = _layer_weights(unet, ("lora_unet_", "unet."))
    weights |= _layer_weights(text_encoder, ("lora_te_", "lora_te1_", "text_encoder."))
    for name, layer in found.items():
        if name not in weights:
            raise JobError(f"`{lora.path}` changes `{name}`, which this teacher does not have.")
        if (own := list(weights[name].flatten(1).shape)) != layer.shape:
            raise JobError(
                f"`{lora.path}` does not fit `{name}`: {layer.shape} numbers, where the teacher has {own}."
            )
    for name, layer in found.items():
        weight = weights[name]
        change = layer.change().to(weight.device).reshape(weight.shape)
        weight.copy_(weight.float() + lora.strength * change)
    return len(found)


def _layers(file: ModelFile) -> dict[str, _Layer]:
    """Pair up the tensors of a file, by the name of the layer as the file has it."""
    sides: dict[str, dict[str, Tensor]] = {}
    alphas: dict[str, float] = {}
    for name, tensor in file.read().items():
        match = _TENSOR.fullmatch(name)
        if match is not None:
            side = next(_SIDES[match[group]] for group in ("kohya", "peft", "plain", "old") if match[group])
            sides.setdefault(_plain(match["layer"] + (match["attention"] or "")), {})[side] = tensor
        elif name.endswith(".alpha"):
            alphas[_plain(name.removesuffix(".alpha"))] = float(tensor)
        else:
            raise JobError(f"`{file.path}` has a tensor `{name[:80]}` that no LoRA has.")
    told = _alphas_in_header(file.metadata)
    return {name: _layer(file.path, name, pair, alphas.get(name, told(name))) for name, pair in sides.items()}


def _layer(path: Path, name: str, pair: Mapping[str, Tensor], alpha: float | None) -> _Layer:
    if pair.keys() != {"down", "up"}:
        raise JobError(f"`{path}` has only one half of what it adds to `{name}`.")
    down, up = pair["down"], pair["up"]
    if down.ndim < 2 or up.ndim < 2 or up[0].numel() != len(down):
        raise JobError(f"`{path}` has two halves of different ranks for `{name}`.")
    return _Layer(down, up, 1.0 if alpha is None else alpha / len(down))


def _plain(layer: str) -> str:
    """The name of a layer without wrappers, and of an attention's last one as it is called now."""
    layer = layer.removeprefix("base_model.model.")
    layer = f"{layer}.0" if layer.endswith(".to_out") else layer
    return layer if layer.startswith(("unet.", "text_encoder.", "lora_")) else f"unet.{layer}"


def _alphas_in_header(metadata: Mapping[str, str]) -> Any:
    """What PEFT wrote of alpha: a function from a layer's name to it, or to None."""
    try:
        told = json.loads(metadata.get(_HEADER, "{}"))
    except ValueError:
        told = {}

    def alpha(name: str) -> float | None:
        network, _, layer = name.partition(".")
        patterns = told.get(f"{network}.alpha_pattern") or {}
        value = patterns.get(layer, told.get(f"{network}.lora_alpha"))
        return None if value is None else float(value)

    return alpha if isinstance(told, dict) else lambda _: None


def _layer_weights(network: nn.Module, prefixes: Iterable[str]) -> dict[str, Tensor]:
    """Weights of a network's layers by every name that a LoRA may call them."""
    found = {}
    for path, module in network.named_modules():
        weight = getattr(module, "weight", None)
        if not isinstance(module, nn.Linear | nn.Conv2d) or weight is None:
            continue
        text = path.startswith(("encoder.", "text_model."))
        paths = {path, f"text_model.{path.removeprefix('text_model.')}"} if text else {path}
        for prefix in prefixes:
            for each in paths:
                found[prefix + (each.replace(".", "_") if prefix.endswith("_") else each)] = weight
    return found
