"""How alike a stylised picture and the reference picture of the same head from the same side are to CLIP."""

from torch import Tensor

from stylehead.errors import MissingError
from stylehead.evaluation.columns import Column
from stylehead.evaluation.comparison import Comparison
from stylehead.evaluation.numbers import Number, Provenance, mean_over_people, shared


def clip_img(images: Tensor, references: Tensor) -> Tensor:
    """Cosine of unit embeddings [..., D] of pictures and of their references, one by one; [...] in -1..1."""
    return (images * references).sum(dim=-1)


def measure_clip_img(comparison: Comparison) -> Number:
    """Cosine to the reference picture of the same head from the same side."""
    reference = comparison.target.need_reference()
    if not reference.paired:
        raise MissingError(f"The reference ({reference.name}) does not show the same heads.")
    both = shared(comparison.stylised.portraits, reference.encoded.portraits, "The reference pictures")
    network = comparison.encoders.require("image_text")
    values = clip_img(both.first(comparison.stylised.image_text), both.second(reference.encoded.image_text))
    return mean_over_people(values, Provenance.of(both, network.name, f"to {reference.name}"))


COLUMN = Column(
    name="clip_img",
    better="higher",
    group="paper",
    digits=3,
    about="cosine of image embeddings to the reference picture of the same head and side",
    measure=measure_clip_img,
)
