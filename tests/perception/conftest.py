"""A tiny CLIP; and the tiny depth estimator of the teacher tests, which is used here, too."""

import sys
from pathlib import Path

import pytest
import torch
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTokenizer, CLIPVisionConfig

from stylehead.mini.tokens import write_tokenizer

sys.path.append(str(Path(__file__).parents[1] / "teacher"))


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random CLIP with the embedded tokenizer; not to be changed."""
    folder = tmp_path_factory.mktemp("clip")
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
