"""CLIP from a local folder in transformers layout, as metrics ask it."""

from typing import Any

import torch
from torch import Tensor

from stylehead.images import bytes_to_01
from stylehead.perception.image_text import ClipSpace

_SIZES = {768: "B", 1024: "L", 1280: "H"}


class Clip(ClipSpace):
    """A frozen CLIP that says what it is.

    Args:
        network: A `CLIPModel`.
        tokenizer: Its `CLIPTokenizer`.
    """

    is_clip = True

    def __init__(self, network: Any, tokenizer: Any) -> None:
        super().__init__(network, tokenizer)
        vision = network.config.vision_config
        letter = _SIZES.get(vision.hidden_size, str(vision.hidden_size))
        self.name = f"CLIP ViT-{letter}/{vision.patch_size}" + (f"-{self.size}" if self.size != 224 else "")

    @torch.no_grad()
    def pictures(self, images: Tensor) -> Tensor:
        """Embed uint8 pictures [B,3,R,R] as unit vectors [B,D]; square ones are seen whole."""
        return self.images_01(bytes_to_01(images.to(self.network.device))).cpu()

    def text(self, prompt: str) -> Tensor:
        """Embed a text as a unit vector [D]."""
        return self.texts([prompt])[0].cpu()
