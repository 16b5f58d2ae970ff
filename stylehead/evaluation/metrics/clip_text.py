"""How well pictures fit the prompt: cosine of image and text embeddings."""

from torch import Tensor

from stylehead.evaluation.case import Case
from stylehead.evaluation.columns import Column
from stylehead.evaluation.numbers import Number, Provenance, mean_over_people


def clip_text(images: Tensor, text: Tensor) -> Tensor:
    """Cosine of unit image embeddings [..., D] with a unit text embedding [D]; [...] in -1..1."""
    return images @ text


def prompt_cosines(case: Case) -> tuple[Tensor, Provenance]:
    """Cosines [N, V] of a row's pictures with its prompt, and what they were taken from."""
    network = case.encoders.require("image_text")
    cosines = clip_text(case.stylised.meanings, network.texts([case.target.prompt])[0].cpu())
    return cosines, Provenance.of(case.stylised.portraits, network.name)


def measure_clip_text(case: Case) -> Number:
    """Cosine to the prompt."""
    return mean_over_people(*prompt_cosines(case))


COLUMN = Column(
    name="clip_text",
    better="higher",
    group="style",
    digits=3,
    about="cosine of image and prompt embeddings",
    measure=measure_clip_text,
)
