"""A teacher of a few thousand random weights, written to disk in diffusers layout. Random, but real maths."""

import json
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    ControlNetModel,
    DDIMScheduler,
    UNet2DConditionModel,
)
from torch import nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    Dinov2Config,
)

from stylehead.files import save_tensors
from stylehead.world.recipes.train_face_adapter import adapter_state, add_adapter

HIDDEN = 8
VOCABULARY = 16


def write_tiny_teacher(folder: Path, *, image_size: int = 32) -> Path:
    """Write vae, unet, text_encoder, tokenizer, scheduler and two ControlNets; latents are image_size/4."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        unet = tiny_unet(image_size // 4)
        networks = {
            "vae": tiny_vae(image_size),
            "unet": unet,
            "text_encoder": tiny_text_encoder(),
            "controlnet_canny": tiny_controlnet(),
            "controlnet_depth": tiny_controlnet(),
        }
        for name, network in networks.items():
            scramble(network)
            network.save_pretrained(folder / name, safe_serialization=True)
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    scheduler.save_pretrained(folder / "scheduler")
    write_tokenizer(folder / "tokenizer")
    return folder


def write_tiny_editors(root: Path) -> None:
    """Write ip2p and instantid for the teacher in `root/teacher`, as the recipes write them."""
    base = UNet2DConditionModel.from_pretrained(root / "teacher" / "unet", local_files_only=True)
    with torch.random.fork_rng():
        torch.manual_seed(9)
        wide = UNet2DConditionModel.from_config({**base.config, "in_channels": 8})
        scramble(wide)
        wide.save_pretrained(root / "ip2p" / "unet", safe_serialization=True)
        adapter = add_adapter(base)
    (root / "instantid").mkdir()
    save_tensors(root / "instantid" / "face_adapter.safetensors", adapter_state(adapter))


def tiny_vae(image_size: int) -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(8, 8, 8),
        norm_num_groups=4,
        sample_size=image_size,
        scaling_factor=0.5,
    )


def tiny_autoencoder() -> AutoencoderTiny:
    """A distilled autoencoder for the same latents: 32 pixels to 8, like `tiny_vae`."""
    with torch.random.fork_rng():
        torch.manual_seed(8)
        network = AutoencoderTiny(
            encoder_block_out_channels=(8, 8, 8),
            decoder_block_out_channels=(8, 8, 8),
            num_encoder_blocks=(1, 1, 1),
            num_decoder_blocks=(1, 1, 1),
        )
        scramble(network)
    return network.eval().requires_grad_(False)


def tiny_unet(latent_size: int) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=latent_size,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(8, 16),
        layers_per_block=1,
        cross_attention_dim=HIDDEN,
        attention_head_dim=2,
        norm_num_groups=4,
    )


def tiny_controlnet() -> ControlNetModel:
    return ControlNetModel(
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        block_out_channels=(8, 16),
        layers_per_block=1,
        cross_attention_dim=HIDDEN,
        attention_head_dim=2,
        norm_num_groups=4,
        conditioning_embedding_out_channels=(4, 4, 8),
    )


def tiny_text_encoder() -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=VOCABULARY,
            hidden_size=HIDDEN,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=10,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=1,
        )
    )


def write_tiny_depth_estimator(folder: Path) -> Path:
    """Write a Depth-Anything network of two narrow layers."""
    backbone = Dinov2Config(
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
        out_features=["stage1", "stage2"],
        reshape_hidden_states=False,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=8,
        reassemble_factors=[2, 1],
        neck_hidden_sizes=[4, 8],
        fusion_hidden_size=4,
        head_in_index=-1,
        head_hidden_size=4,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        DepthAnythingForDepthEstimation(config).save_pretrained(folder)
    return folder


def scramble(network: nn.Module) -> None:
    """Fill the layers that networks start with at zero, so that every path carries a signal."""
    for parameter in network.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.2)


def write_tokenizer(folder: Path) -> None:
    folder.mkdir(parents=True)
    letters = ["a", "o", "r", "s"]
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    (folder / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "CLIPTokenizer", "model_max_length": 10})
    )
