"""Diversity of identities: distances between faces of different people; near 0 after a mode collapse."""

from torch import Tensor

from stylehead.errors import MissingError
from stylehead.evaluation.columns import Column
from stylehead.evaluation.comparison import Comparison
from stylehead.evaluation.intervals import pair_statistic
from stylehead.evaluation.numbers import Number, Provenance, number


def identity_distances(embeddings: Tensor) -> Tensor:
    """1 minus the cosine of the face embeddings of every two people, a mean over views.

    Args:
        embeddings: Unit vectors [N, V, D].

    Returns:
        [N, N].
    """
    views = embeddings.transpose(0, 1)
    return (1 - views @ views.transpose(1, 2)).mean(dim=0)


def measure_diversity_id(comparison: Comparison) -> Number:
    """Distance of the stylised faces of different people."""
    faces, views = comparison.stylised.faces, comparison.stylised.near_front
    usable = faces.found.all(dim=1)
    if int(usable.sum()) < 2:
        raise MissingError("Fewer than two people show a face in every near-front view.")
    seeds = [seed for seed, there in zip(views.seeds, usable.tolist(), strict=True) if there]
    distances = identity_distances(faces.vectors[usable])
    return number(
        pair_statistic(distances),
        Provenance(seeds, views.yaws_deg, comparison.encoders.require("faces").name),
    )


COLUMN = Column(
    name="diversity_id",
    better="higher",
    group="people",
    digits=3,
    about="1 minus the cosine of the face embeddings of different people",
    measure=measure_diversity_id,
)
