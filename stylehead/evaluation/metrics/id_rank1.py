"""Rank-1 identification: share of heads whose nearest original is the right one.

Immune to the offset that a style adds to all embeddings: only the order of distances counts.
"""

import torch
from torch import Tensor

from stylehead.evaluation.columns import Column
from stylehead.evaluation.comparison import Comparison
from stylehead.evaluation.face_pairs import FacePairs, face_pairs
from stylehead.evaluation.numbers import Number, mean_over_people


def rank1(queries: Tensor, gallery: Tensor, people: Tensor | None = None) -> float:
    """Share of queries [N, D] whose nearest gallery vector [M, D] is of the same person (row by default)."""
    return float(rank1_hits(queries, gallery, people).float().mean())


def rank1_hits(queries: Tensor, gallery: Tensor, people: Tensor | None = None) -> Tensor:
    """Which queries find their person: bool [N].

    Args:
        queries: Unit embeddings [N, D].
        gallery: Unit embeddings [M, D], one a person.
        people: Row of each query's person in the gallery [N]; its own row when not given.
    """
    people = torch.arange(len(queries)) if people is None else people
    return (queries @ gallery.t()).argmax(dim=1) == people


def measure_id_rank1(comparison: Comparison) -> Number:
    """Share of stylised faces that are nearest to their own untouched face, view by view."""
    return rank1_of(face_pairs(comparison))


def rank1_of(pairs: FacePairs) -> Number:
    """Share of faces that are nearest to their own untouched face, view by view."""
    views = range(pairs.after.shape[1])
    hits = torch.stack([rank1_hits(pairs.after[:, v], pairs.before[:, v]) for v in views], dim=1)
    present = pairs.found.double()
    per_identity = (hits * present).sum(dim=1) / present.sum(dim=1)
    note = f"chance is {1 / len(pairs.provenance.seeds):.3f}"
    return mean_over_people(per_identity, pairs.provenance._replace(note=note))


COLUMN = Column(
    name="id_rank1",
    better="higher",
    group="people",
    digits=2,
    about="share of heads whose nearest untouched face is their own",
    measure=measure_id_rank1,
)
