"""A tiny random CLIP on disk."""

from pathlib import Path

import torch
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTokenizer, CLIPVisionConfig

from stylehead.mini.tokens import write_tokenizer


def write_tiny_clip(folder: Path) -> Path:
    """Write one with the embedded tokenizer; returns its folder."""
    write_tokenizer(folder)
    vocab = len(CLIPTokenizer.from_pretrained(folder))
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = CLIPTextConfig(**sizes, vocab_size=vocab, max_position_embeddings=77, eos_token_id=vocab - 1)
    vision = CLIPVisionConfig(**sizes, image_size=32, patch_size=8)
    config = CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=24)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        CLIPModel(config).save_pretrained(folder)
    return folder
