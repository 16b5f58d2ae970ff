"""Faces of the same people before and after stylising, view by view."""

from typing import NamedTuple

from torch import Tensor

from stylehead.errors import MissingError
from stylehead.evaluation.comparison import Comparison
from stylehead.evaluation.numbers import Provenance, shared


class FacePairs(NamedTuple):
    """Face embeddings of near-front views."""

    after: Tensor
    """Of the stylised heads, unit vectors [N, F, D]."""
    before: Tensor
    """Of the untouched heads, [N, F, D]."""
    found: Tensor
    """Where a face was found in both, bool [N, F]."""
    provenance: Provenance
    """What they were taken from."""


def face_pairs(comparison: Comparison, *, judged: bool = False) -> FacePairs:
    """Face embeddings of the near-front views that both sides of a row have.

    Args:
        comparison: The row.
        judged: By the second identity encoder, which no training and no fit uses.

    Raises:
        MissingError: There are none, or no face was found in any pair.
    """
    both = shared(comparison.stylised.near_front, comparison.untouched.near_front, "Near-front views")
    pictures = (comparison.stylised, comparison.untouched)
    after, before = (side.judged_faces if judged else side.faces for side in pictures)
    found = both.first(after.found) & both.second(before.found)
    if not found.any():
        raise MissingError("No face was found in any pair of pictures.")
    provenance = Provenance.of(
        both, comparison.encoders.require("identity_judge" if judged else "faces").name
    )
    return FacePairs(both.first(after.vectors), both.second(before.vectors), found, provenance)
