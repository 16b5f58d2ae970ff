"""How well pictures fit the prompt: cosine of image and text embeddings."""

from torch import Tensor

from stylehead.evaluation.columns import Column
from stylehead.evaluation.comparison import Comparison
from stylehead.evaluation.numbers import Number, Provenance, mean_over_people


def clip_text(images: Tensor, text: Tensor) -> Tensor:
    """Cosine of unit image embeddings [..., D] with a unit text embedding [D]; [...] in -1..1."""
    return images @ text


def prompt_cosines(comparison: Comparison) -> tuple[Tensor, Provenance]:
    """Cosines [N, V] of a row's pictures with its prompt, and what they were taken from."""
    network = comparison.encoders.require("image_text")
    cosines = clip_text(comparison.stylised.image_text, network.texts([comparison.target.prompt])[0].cpu())
    return cosines, Provenance.of(comparison.stylised.portraits, network.name)


def measure_clip_text(comparison: Comparison) -> Number:
    """Cosine to the prompt."""
    return mean_over_people(*prompt_cosines(comparison))


COLUMN = Column(
    name="clip_text",
    better="higher",
    group="style",
    digits=3,
    about="cosine of image and prompt embeddings",
    measure=measure_clip_text,
)
