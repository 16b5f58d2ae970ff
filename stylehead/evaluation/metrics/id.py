"""Preservation of identity: cosine of face embeddings before and after, same view."""

from torch import Tensor

from stylehead.evaluation.columns import Column
from stylehead.evaluation.comparison import Comparison
from stylehead.evaluation.face_pairs import face_pairs
from stylehead.evaluation.numbers import Number, mean_over_people


def identity_similarity(after: Tensor, before: Tensor, found: Tensor | None = None) -> Tensor:
    """Cosine of unit face embeddings, a mean over the views of each person.

    Args:
        after: Embeddings of the stylised pictures [N, V, D].
        before: Embeddings of the untouched ones [N, V, D].
        found: Where a face was found in both [N, V]; everywhere when not given.

    Returns:
        [N]; NaN for people without a face in any view.
    """
    cosine = (after * before).sum(dim=-1)
    present = cosine.new_ones(cosine.shape) if found is None else found.to(cosine)
    return (cosine * present).sum(dim=1) / present.sum(dim=1)


def measure_id(comparison: Comparison) -> Number:
    """Cosine of face embeddings, stylised and untouched, a mean over near-front views."""
    pairs = face_pairs(comparison)
    missing = 1 - float(pairs.found.double().mean())
    note = f"no face in {missing:.1%} of the pairs" if missing else ""
    values = identity_similarity(pairs.after, pairs.before, pairs.found)
    return mean_over_people(values, pairs.provenance._replace(note=note))


COLUMN = Column(
    name="id",
    better="higher",
    group="paper",
    digits=3,
    about="cosine of face embeddings to the untouched head, near-front views",
    measure=measure_id,
)
