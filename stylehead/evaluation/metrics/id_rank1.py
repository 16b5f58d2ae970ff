"""Whose face is it? Share of heads whose nearest original is the right one.

Immune to the offset that a style gives to everybody: only who is nearest counts.
"""

import torch
from torch import Tensor


def rank1(queries: Tensor, gallery: Tensor, people: Tensor | None = None) -> float:
    """Part of the queries [N,D] whose nearest gallery vector [M,D] is of the same person (row by default)."""
    return float(rank1_hits(queries, gallery, people).float().mean())


def rank1_hits(queries: Tensor, gallery: Tensor, people: Tensor | None = None) -> Tensor:
    """Which queries find their person: bool [N].

    Args:
        queries: Unit embeddings [N,D].
        gallery: Unit embeddings [M,D], one a person.
        people: Row of each query's person in the gallery [N]; its own row when not given.
    """
    people = torch.arange(len(queries)) if people is None else people
    return (queries @ gallery.t()).argmax(dim=1) == people
