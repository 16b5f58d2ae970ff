"""Pipelines of diffusers around the networks of the embedded teacher."""

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler
from transformers import CLIPTextModel, CLIPTokenizer

from stylehead.teacher.paths import part_of
from stylehead.weights.pretrained import load_local, load_network, quiet_libraries


def build_pipeline(kind: Any, teacher: Path, device: str, **networks: tuple[Any, Path]) -> Any:
    """Put a pipeline of diffusers together, in single precision.

    Args:
        kind: Its class.
        teacher: Folder of the teacher, of which it gets autoencoder, text encoder and noise schedule.
        device: Where it goes.
        networks: The others by their names in the pipeline, each a class and a folder.

    Raises:
        MissingError: A network is not there.
        JobError: A network is damaged.
    """
    place: dict[str, Any] = {"device": torch.device(device), "dtype": torch.float32}
    parts = {
        "vae": (AutoencoderKL, part_of(teacher, "vae")),
        "text_encoder": (CLIPTextModel, part_of(teacher, "text_encoder")),
        **networks,
    }
    loaded = {name: load_network(network, folder, **place) for name, (network, folder) in parts.items()}
    with quiet_libraries():
        return kind(
            **loaded,
            tokenizer=load_local(CLIPTokenizer.from_pretrained, part_of(teacher, "tokenizer")),
            scheduler=load_local(DDIMScheduler.from_pretrained, teacher / "scheduler"),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
