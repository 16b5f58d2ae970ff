"""Models that people have beside heads are told apart by the names and shapes in their files."""

import pytest
from snapshot_writer import random_generator

from stylehead.generator import GeneratorConfig
from stylehead.weights.recognise import recognise

UNET = "model.diffusion_model."
WORDS = f"{UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
FIRST = f"{UNET}input_blocks.0.0.weight"


def checkpoint(width: int, channels: int = 4, **others: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    return {FIRST: (320, channels, 3, 3), WORDS: (320, width), **others}


@pytest.mark.parametrize(
    ("shapes", "title", "usable"),
    [
        (checkpoint(768), "a Stable Diffusion 1.x checkpoint", True),
        (checkpoint(1024), "a Stable Diffusion 2.x checkpoint", False),
        (checkpoint(768, 9), "an inpainting checkpoint (Stable Diffusion 1.x)", False),
        (checkpoint(1024, 9), "an inpainting checkpoint (Stable Diffusion 2.x)", False),
        (checkpoint(768, 8), "an InstructPix2Pix checkpoint", False),
        ({FIRST: (320, 4, 3, 3), f"{UNET}label_emb.0.0.weight": (1280, 2816)}, "Diffusion XL", False),
        ({FIRST: (320, 4, 3, 3), "conditioner.embedders.0.x": (1,)}, "Diffusion XL", False),
        ({"double_blocks.0.img_attn.qkv.weight": (9216, 3072)}, "a Flux model", False),
        ({f"{UNET}double_blocks.0.img_attn.qkv.weight": (9216, 3072)}, "a Flux model", False),
        ({f"{UNET}joint_blocks.0.x": (1,)}, "a Stable Diffusion 3 checkpoint", False),
        ({"control_model.input_blocks.0.0.weight": (320, 4, 3, 3)}, "a ControlNet", False),
        ({"controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3)}, "a ControlNet", False),
        ({"encoder.conv_in.weight": (1,), "decoder.conv_in.weight": (1,)}, "an autoencoder (VAE)", False),
        ({"conv_in.weight": (1,), "time_embedding.linear_1.weight": (1,)}, "the UNet", False),
        ({"emb_params": (4, 768)}, "a textual inversion", False),
        ({"image_proj.proj.weight": (2, 2), "ip_adapter.1.to_k_ip.weight": (2,)}, "an IP-Adapter", False),
        ({"body.0.in_conv.weight": (2, 2, 1, 1)}, "a T2I-Adapter", False),
    ],
)
def test_models_are_called_by_name(shapes: dict[str, tuple[int, ...]], title: str, usable: bool) -> None:
    kind = recognise(shapes)
    assert kind is not None
    assert title in kind.title
    assert kind.usable is usable


LAYER = "down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
PEFT = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight"


@pytest.mark.parametrize(
    ("shapes", "title", "usable"),
    [
        ({f"lora_unet_{LAYER}.lora_down.weight": (8, 768)}, "a LoRA for Stable Diffusion 1.x", True),
        ({PEFT: (8, 768)}, "a LoRA for Stable Diffusion 1.x", True),
        ({f"lora_unet_{LAYER}.lora_down.weight": (8, 1024)}, "a LoRA for Stable Diffusion 2.x", False),
        ({PEFT: (8, 2048)}, "a LoRA for Stable Diffusion XL", False),
        ({"lora_te2_text_model_x.lora_down.weight": (8, 1280)}, "a LoRA for Stable Diffusion XL", False),
        ({f"lora_unet_{LAYER}.hada_w1_a": (8, 8)}, "a LoRA for Stable Diffusion 1.x", True),
    ],
)
def test_loras_are_told_by_the_width_of_their_words(
    shapes: dict[str, tuple[int, ...]], title: str, usable: bool
) -> None:
    kind = recognise(shapes)
    assert kind is not None
    assert (kind.name, kind.title, kind.usable) == ("lora", title, usable)


def test_a_generator_is_none_of_them_and_a_tri_plane_one_is() -> None:
    state = random_generator(GeneratorConfig.tiny()).state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    assert recognise(shapes) is None
    assert recognise({"decoder.net.0.bias": (3,)}) is None
    kind = recognise({name: shape for name, shape in shapes.items() if not name.startswith("t_mapping.")})
    assert kind is not None
    assert kind.name == "eg3d"
