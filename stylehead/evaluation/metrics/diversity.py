"""Does everybody get the same face? Distances between different people: after a collapse they are near 0."""

from torch import Tensor


def identity_distances(embeddings: Tensor) -> Tensor:
    """1 minus the cosine of the face embeddings of every two people, a mean over views.

    Args:
        embeddings: Unit vectors [N,V,D].

    Returns:
        [N,N].
    """
    views = embeddings.transpose(0, 1)
    return (1 - views @ views.transpose(1, 2)).mean(dim=0)


def squared_distances(vectors: Tensor) -> Tensor:
    """Squared Euclidean distances [N,N] of every two vectors [N,F], as of `perceptual_vectors`."""
    gram = (vectors @ vectors.t()).double()
    lengths = gram.diagonal()
    return (lengths[:, None] + lengths[None, :] - 2 * gram).clamp(min=0)


def mean_pair_distance(distances: Tensor) -> float:
    """Mean over all pairs of different people of symmetric distances [N,N], N at least 2."""
    count = len(distances)
    return float((distances.sum() - distances.diagonal().sum()) / (count * (count - 1)))
