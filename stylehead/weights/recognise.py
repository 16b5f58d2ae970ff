"""What a file of tensors is, told by the names and shapes in it: models that people have beside heads.

Nothing is read but names and shapes, so that several gigabytes are told apart in a moment.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from stylehead.errors import quoted

Shape = tuple[int, ...]

SD1 = "Stable Diffusion 1.x"
_UNET = "model.diffusion_model."
_LORA_DOWN = (".lora_down.", ".lora_A.", "_lora.down.", ".lora.down.", ".lora_linear_layer.down.")
_LORA_MARKS = (*_LORA_DOWN, ".lora_up.", ".lora_B.", ".hada_w", ".lokr_w")
_WIDTHS = {768: SD1, 1024: "Stable Diffusion 2.x", 2048: "Stable Diffusion XL", 1280: "Stable Diffusion XL"}
_LATENTS = {8: "an InstructPix2Pix checkpoint (Stable Diffusion 1.x that takes a picture beside the noise)"}


class Kind(NamedTuple):
    """What a file is.

    Attributes:
        name: For programs: `checkpoint`, `lora`, `adapter`, `controlnet`, `vae`, `unet`, `embedding`, `eg3d`.
        title: For people, with its article: "an SDXL checkpoint".
        usable: It is of the Stable Diffusion 1.x family, and whole.
    """

    name: str
    title: str
    usable: bool = False


_OPTIONS = {
    "checkpoint": "--diffusion",
    "lora": "--lora",
    "controlnet": "--controlnet-canny",
    "vae": "--vae",
}
_OF_ANY_FAMILY = ("controlnet", "vae")
"""Told apart by their sizes, when a teacher is made of them."""


def use_of(kind: Kind, file: Path) -> str | None:
    """Return the command that takes a file of a kind; None where none does."""
    if kind.name not in _OPTIONS or not (kind.usable or kind.name in _OF_ANY_FAMILY):
        return None
    return f"stylehead stylize {_OPTIONS[kind.name]} {quoted(file)}"


def recognise(shapes: Mapping[str, Shape]) -> Kind | None:
    """Say what tensors belong to.

    Args:
        shapes: By the names in the file.

    Returns:
        What it is, or None when it is like nothing that is known.
    """
    for look in (_lora, _checkpoint, _transformer, _adapter, _controlnet, _networks, _generator):
        found = look(shapes)
        if found is not None:
            return found
    return None


def _lora(shapes: Mapping[str, Shape]) -> Kind | None:
    if not any(mark in name for name in shapes for mark in _LORA_MARKS):
        return None
    attention = [shape for name, shape in shapes.items() if _reads_text(name)]
    family = _WIDTHS.get(attention[0][1], SD1) if attention else SD1
    if any(name.startswith(("lora_te1_", "lora_te2_")) for name in shapes):
        family = "Stable Diffusion XL"
    return Kind("lora", f"a LoRA for {family}", usable=family == SD1)


def _reads_text(name: str) -> bool:
    """Whether a tensor is what a LoRA adds where a cross attention reads words: [rank, width] of them."""
    reads = "attn2_to_k." in name or "attn2.to_k" in name
    return reads and any(mark in name for mark in _LORA_DOWN)


def _checkpoint(shapes: Mapping[str, Shape]) -> Kind | None:
    first = shapes.get(f"{_UNET}input_blocks.0.0.weight")
    if first is None:
        return None
    if any(name.startswith("conditioner.") for name in shapes) or f"{_UNET}label_emb.0.0.weight" in shapes:
        return Kind("checkpoint", "a Stable Diffusion XL checkpoint")
    words = shapes.get(f"{_UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight", (0, 0))
    family = _WIDTHS.get(words[1], "another diffusion model's")
    if first[1] == 9:
        return Kind("checkpoint", f"an inpainting checkpoint ({family})")
    if first[1] in _LATENTS:
        return Kind("checkpoint", _LATENTS[first[1]])
    return Kind("checkpoint", f"a {family} checkpoint", usable=family == SD1 and first[1] == 4)


def _transformer(shapes: Mapping[str, Shape]) -> Kind | None:
    """Models whose denoiser is a transformer; none of them can teach."""
    names = {name.removeprefix(_UNET) for name in shapes}
    if any(name.startswith("double_blocks.") for name in names):
        return Kind("checkpoint", "a Flux model")
    if any(name.startswith("joint_blocks.") for name in names):
        return Kind("checkpoint", "a Stable Diffusion 3 checkpoint")
    return None


def _adapter(shapes: Mapping[str, Shape]) -> Kind | None:
    """Small networks beside a diffusion model that are neither LoRA nor ControlNet."""
    marks = {"an IP-Adapter": ("ip_adapter.", "image_proj."), "a T2I-Adapter": ("adapter.body.", "body.0.")}
    for title, starts in marks.items():
        if any(name.startswith(starts) for name in shapes):
            return Kind("adapter", title)
    return None


def _controlnet(shapes: Mapping[str, Shape]) -> Kind | None:
    marks = ("control_model.", "input_hint_block.", "controlnet_cond_embedding.")
    return Kind("controlnet", "a ControlNet") if any(name.startswith(marks) for name in shapes) else None


def _networks(shapes: Mapping[str, Shape]) -> Kind | None:
    """Single networks of a diffusion model."""
    if "string_to_param" in shapes or "emb_params" in shapes:
        return Kind("embedding", "a textual inversion")
    if {"encoder.conv_in.weight", "decoder.conv_in.weight"} <= shapes.keys():
        return Kind("vae", "an autoencoder (VAE)")
    if {"conv_in.weight", "time_embedding.linear_1.weight"} <= shapes.keys():
        return Kind("unet", "the UNet of a diffusion model")
    return None


def _generator(shapes: Mapping[str, Shape]) -> Kind | None:
    """A tri-plane generator: like PanoHead's, without the second mapping of cameras."""
    backbone = any(name.startswith("backbone.synthesis.") for name in shapes)
    if backbone and not any(name.startswith("t_mapping.") for name in shapes):
        return Kind("eg3d", "an EG3D network (tri-plane)")
    return None
