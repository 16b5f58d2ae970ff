"""Networks that compare pictures with texts: CLIP, and the embedded one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional

from stylehead.errors import JobError, MissingError
from stylehead.images import as_01, as_pm1
from stylehead.mini.captions import SHAPES
from stylehead.perception.embedded import EMBEDDING, ImageTextEncoder
from stylehead.perception.roles import file_name
from stylehead.perception.templates import IMAGENET_TEMPLATES
from stylehead.precision import like
from stylehead.weights.pretrained import quiet_libraries

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
_SIZES = {768: "B", 1024: "L", 1280: "H"}


class Clip:
    """A frozen CLIP; see the protocol `ImageText`.

    Args:
        network: A `CLIPModel`.
        tokenizer: Its `CLIPTokenizer`.
    """

    is_clip = True
    templates: tuple[str, ...] = IMAGENET_TEMPLATES

    def __init__(self, network: Any, tokenizer: Any) -> None:
        self.network, self.tokenizer = network.eval().requires_grad_(False), tokenizer
        vision = network.config.vision_config
        self.size: int = vision.image_size
        letter = _SIZES.get(vision.hidden_size, str(vision.hidden_size))
        self.name = f"CLIP ViT-{letter}/{vision.patch_size}" + (f"-{self.size}" if self.size != 224 else "")

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """Load from a folder in transformers layout (safetensors only, never the network).

        Raises:
            MissingError: The folder is not there.
            JobError: It holds no CLIP.
        """
        from transformers import CLIPModel, CLIPTokenizer

        if not folder.is_dir():
            raise MissingError(f"There is no CLIP folder {folder}.", "stylehead weights fetch clip-vit-b32")
        try:
            with quiet_libraries():
                network = CLIPModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
                tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise JobError(f"{folder} does not hold a CLIP model: {str(error).splitlines()[0]}") from error
        return cls(network.to(device), tokenizer)

    @classmethod
    def on_paper(cls, folder: Path | None) -> Self:
        """Build one without numbers, for estimates.

        Args:
            folder: Whose `config.json` says its sizes; None for those of ViT-B/32.

        Raises:
            JobError: The configuration cannot be read.
        """
        from transformers import CLIPConfig, CLIPModel

        try:
            config = CLIPConfig() if folder is None else CLIPConfig.from_pretrained(folder)
        except (OSError, ValueError) as error:
            raise JobError(f"{folder} does not hold a CLIP model: {str(error).splitlines()[0]}") from error
        with torch.device("meta"):
            return cls(CLIPModel(config), None)

    def images(self, images: Tensor) -> Tensor:
        """Embed pictures as unit vectors [B, D]; resized and normalised as CLIP was trained, not cropped."""
        image_01 = as_01(images.to(self.network.device))
        pixels = functional.interpolate(image_01, size=self.size, mode="bicubic", antialias=True).clamp(0, 1)
        mean, std = (like(c, pixels).reshape(1, 3, 1, 1) for c in (MEAN, STD))
        pooled = self.network.vision_model(pixel_values=(pixels - mean) / std).pooler_output
        return functional.normalize(self.network.visual_projection(pooled), dim=1)

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> Tensor:
        """Embed texts as unit vectors [N, D]."""
        if self.network.device.type == "meta":  # no tokenizer on paper
            return torch.empty(len(texts), self.network.config.projection_dim, device="meta")
        tokens = self.tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
        pooled = self.network.text_model(**tokens.to(self.network.device)).pooler_output
        return functional.normalize(self.network.text_projection(pooled), dim=1)


IMAGE_TEXT_TOKENIZER = "image_text_tokenizer"
"""Folder beside the embedded encoder's file."""


class EmbeddedImageText:
    """The image-text encoder of the embedded world; see the protocols `ImageText` and `Features`.

    Its templates are the shapes of the captions that it learned from: CLIP's speak of photographs, sketches
    and cartoons of things, which in this world are styles.

    Args:
        network: Frozen.
        tokenizer: The embedded tokenizer.
        name: Goes beside its numbers.
    """

    is_clip = False
    templates: tuple[str, ...] = SHAPES

    def __init__(self, network: ImageTextEncoder, tokenizer: Any, name: str = "mini image-text") -> None:
        self.network, self.tokenizer, self.name = network.eval().requires_grad_(False), tokenizer, name

    @classmethod
    def load(cls, path: Path, tokenizer: Path | None = None, device: str = "cpu") -> Self:
        """Load the encoder's file and the folder of its tokenizer; where none is named, the one beside it.

        Raises:
            MissingError: There is no such file, or no tokenizer.
            JobError: It is damaged or of another network.
        """
        from transformers import CLIPTokenizer

        network = ImageTextEncoder.load(path).to(device)
        folder = path.with_name(IMAGE_TEXT_TOKENIZER) if tokenizer is None else tokenizer
        if not folder.is_dir():
            raise MissingError(f"`{folder}` is not there.", "python -m stylehead.world image_text")
        words = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
        return cls(network, words, file_name("mini image-text", path))

    @classmethod
    def on_paper(cls) -> Self:
        """Build one without numbers, for estimates."""
        with torch.device("meta"):
            return cls(ImageTextEncoder(), None)

    def images(self, images: Tensor) -> Tensor:
        """Embed pictures as unit vectors [B, D]."""
        return self.network.encode_image(as_pm1(images.to(self.network.device)))

    def maps(self, images: Tensor) -> Sequence[Tensor]:
        """Feature maps of the picture branch."""
        return self.network.trunk.maps(as_pm1(images.to(self.network.device)))

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> Tensor:
        """Embed texts as unit vectors [N, D]; words count, their order does not."""
        device = self.network.device
        if device.type == "meta":  # no tokenizer on paper
            return torch.empty(len(texts), EMBEDDING, device="meta")
        tokens = self.tokenizer(list(texts), padding="max_length", truncation=True, return_tensors="pt")
        return self.network.encode_tokens(tokens.input_ids.to(device), tokens.attention_mask.to(device))
