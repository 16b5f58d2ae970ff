"""Is it still the same person? Cosine of face embeddings before and after, same view."""

from torch import Tensor


def identity_similarity(after: Tensor, before: Tensor, found: Tensor | None = None) -> Tensor:
    """Cosine of unit face embeddings, a mean over the views of each person.

    Args:
        after: Embeddings of the stylised pictures [N,V,D].
        before: Embeddings of the untouched ones [N,V,D].
        found: Where a face was found in both [N,V]; everywhere when not given.

    Returns:
        [N]; NaN for people without a face in any view.
    """
    cosine = (after * before).sum(dim=-1)
    present = cosine.new_ones(cosine.shape) if found is None else found.to(cosine)
    return (cosine * present).sum(dim=1) / present.sum(dim=1)
