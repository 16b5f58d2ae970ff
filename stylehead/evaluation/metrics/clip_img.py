"""How alike a stylised picture and the reference picture of the same head from the same side are to CLIP."""

from torch import Tensor


def clip_img(images: Tensor, references: Tensor) -> Tensor:
    """Cosine of unit embeddings [...,D] of pictures and of their references, one by one; [...] in -1..1."""
    return (images * references).sum(dim=-1)
