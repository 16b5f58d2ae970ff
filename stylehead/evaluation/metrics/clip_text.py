"""How well pictures fit the prompt: cosine of image and text embeddings."""

from torch import Tensor


def clip_text(images: Tensor, text: Tensor) -> Tensor:
    """Cosine of unit image embeddings [...,D] with a unit text embedding [D]; [...] in -1..1."""
    return images @ text
