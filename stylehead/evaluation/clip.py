"""CLIP from a local folder in transformers layout."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import CLIPModel, CLIPTokenizer

from stylehead.errors import JobError, MissingError
from stylehead.evaluation.portraits import image_01

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
_SIZES = {768: "B", 1024: "L", 1280: "H"}


class Clip:
    """A frozen CLIP.

    Args:
        network: A `CLIPModel`.
        tokenizer: Its `CLIPTokenizer`.
    """

    is_clip = True

    def __init__(self, network: Any, tokenizer: Any) -> None:
        self.network, self.tokenizer = network.eval().requires_grad_(False), tokenizer
        vision = network.config.vision_config
        letter = _SIZES.get(vision.hidden_size, str(vision.hidden_size))
        self.size: int = vision.image_size
        self.name = f"CLIP ViT-{letter}/{vision.patch_size}" + (f"-{self.size}" if self.size != 224 else "")

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> "Clip":
        """Load from a folder (safetensors only, never the network).

        Raises:
            MissingError: The folder is not there.
            JobError: It holds no CLIP.
        """
        if not folder.is_dir():
            raise MissingError(f"There is no CLIP folder {folder}.", "stylehead weights fetch clip-vit-b32")
        try:
            network = CLIPModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
            tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise JobError(f"{folder} does not hold a CLIP model: {str(error).splitlines()[0]}") from error
        return cls(network.to(device), tokenizer)

    @torch.no_grad()
    def pictures(self, images: Tensor) -> Tensor:
        """Embed uint8 pictures [B,3,R,R] as unit vectors [B,D]; square ones are seen whole."""
        pixels = functional.interpolate(
            image_01(images.to(self.network.device)), size=self.size, mode="bicubic", antialias=True
        ).clamp(0, 1)
        mean, std = (pixels.new_tensor(c).reshape(1, 3, 1, 1) for c in (MEAN, STD))
        pooled = self.network.vision_model(pixel_values=(pixels - mean) / std).pooler_output
        return functional.normalize(self.network.visual_projection(pooled), dim=1).cpu()

    @torch.no_grad()
    def text(self, prompt: str) -> Tensor:
        """Embed a text as a unit vector [D]."""
        tokens = self.tokenizer(prompt, padding=True, truncation=True, return_tensors="pt")
        seen = self.network.text_model(**tokens.to(self.network.device))
        return functional.normalize(self.network.text_projection(seen.pooler_output), dim=1)[0].cpu()
