"""How alike a stylised picture and the reference picture of the same head from the same side are to CLIP."""

from torch import Tensor

from stylehead.errors import MissingError
from stylehead.evaluation.case import Case
from stylehead.evaluation.columns import Column
from stylehead.evaluation.numbers import Number, Provenance, mean_over_people, shared


def clip_img(images: Tensor, references: Tensor) -> Tensor:
    """Cosine of unit embeddings [..., D] of pictures and of their references, one by one; [...] in -1..1."""
    return (images * references).sum(dim=-1)


def measure_clip_img(case: Case) -> Number:
    """Cosine to the reference picture of the same head from the same side."""
    reference = case.target.need_reference()
    if not reference.paired:
        raise MissingError(f"The reference ({reference.name}) does not show the same heads.")
    both = shared(case.stylised.portraits, reference.looks.portraits, "The reference pictures")
    network = case.encoders.require("image_text")
    values = clip_img(both.first(case.stylised.meanings), both.second(reference.looks.meanings))
    return mean_over_people(values, Provenance.of(both, network.name, f"to {reference.name}"))


COLUMN = Column(
    name="clip_img",
    better="higher",
    group="paper",
    digits=3,
    about="cosine of image embeddings to the reference picture of the same head and side",
    measure=measure_clip_img,
)
