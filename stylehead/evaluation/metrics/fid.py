"""Frechet Inception distance: only over the Inception network, only with enough pictures.

Over any other features the distance must have another name.
"""

from torch import Tensor

from stylehead.errors import JobError
from stylehead.evaluation.metrics.frechet import frechet_distance

SANE_PICTURES = 2000


def fid(features: Tensor, reference: Tensor, *, force: bool = False) -> float:
    """Measure FID from Inception features [n,2048] and [m,2048].

    Raises:
        JobError: One side has fewer than `SANE_PICTURES`, and `force` was not given.
    """
    check_count(min(len(features), len(reference)), SANE_PICTURES, "fid", force=force)
    return frechet_distance(features, reference)


def check_count(pictures: int, sane: int, name: str, *, force: bool) -> None:
    """Refuse a Frechet distance over too few pictures.

    Raises:
        JobError: There are fewer pictures a side than are sane, and `force` was not given.
    """
    if pictures < sane and not force:
        raise JobError(
            f"{name} over {pictures} pictures a side says more about the number than about the pictures; "
            f"it needs {sane}.",
            "raise --identities, or insist with --force-fid",
        )
