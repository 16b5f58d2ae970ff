"""CLIPScore (arXiv 2104.08718): the cosine of picture and prompt, never negative, stretched by 2.5."""

from torch import Tensor

from stylehead.evaluation.metrics.clip_text import clip_text

STRETCH = 2.5


def clip_score(images: Tensor, text: Tensor) -> Tensor:
    """``2.5 max(cos, 0)`` of unit image embeddings [...,D] and a unit text embedding [D]; [...] in 0..2.5."""
    return STRETCH * clip_text(images, text).clamp(min=0)
