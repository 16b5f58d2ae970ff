"""Comparing a row with reference pictures as distributions: features of both, and numbers with intervals."""

from typing import Literal, NamedTuple

from torch import Tensor

from stylehead.errors import JobError, MissingError
from stylehead.evaluation.comparison import Comparison
from stylehead.evaluation.frechet import frechet_distances
from stylehead.evaluation.mmd import Kernels, unbiased_mmd2
from stylehead.evaluation.numbers import Number, Provenance, number, shared

FRECHET_RESAMPLES, LARGE_FRECHET_RESAMPLES, LARGE = 200, 50, 512
"""Fewer than elsewhere, fewer still above so many features: each takes the eigenvalues of a covariance."""


class FeatureSets(NamedTuple):
    """Features to compare as distributions."""

    features: Tensor
    """Of the row, [N, V, D]."""
    reference: Tensor
    """Of the reference pictures, [m, D]."""
    provenance: Provenance
    """What they were taken from."""


def feature_sets(
    comparison: Comparison, kind: Literal["image_text", "inception"], encoder: str
) -> FeatureSets:
    """Features of a row and of its reference; of what they have in common where both show the same people.

    Args:
        comparison: The row.
        kind: Attribute of `EncodedPortraits`.
        encoder: Name of the network.

    Raises:
        MissingError: There is no reference, or it shows none of these people from these views.
    """
    reference = comparison.target.need_reference()
    features, others = getattr(comparison.stylised, kind), getattr(reference.encoded, kind)
    note = f"against {reference.name}"
    if not reference.paired:
        provenance = Provenance.of(comparison.stylised.portraits, encoder, note)
        return FeatureSets(features, others.flatten(0, 1), provenance)
    both = shared(comparison.stylised.portraits, reference.encoded.portraits, "The reference pictures")
    provenance = Provenance.of(both, encoder, note)
    return FeatureSets(both.first(features), both.second(others).flatten(0, 1), provenance)


def embedded_sets(comparison: Comparison) -> FeatureSets:
    """Image-text features of the embedded world, which stand in for Inception's there.

    Raises:
        MissingError: CLIP measures, so that FID, KID and CMMD can be measured.
    """
    network = comparison.encoders.require("image_text")
    if network.is_clip:
        raise MissingError("This stands in for FID and KID where the embedded encoders measure.")
    return feature_sets(comparison, "image_text", network.name)


def frechet_number(comparison: Comparison, sets: FeatureSets, *, name: str, sane: int) -> Number:
    """Frechet distance with its interval.

    Args:
        comparison: The row; its `force` allows too few pictures.
        sets: Features of both.
        name: Of the metric, for messages.
        sane: Fewest pictures a side.

    Raises:
        JobError: There are fewer.
    """
    people, views = sets.features.shape[:2]
    check_count(min(people * views, len(sets.reference)), sane, name, force=comparison.force)
    flat = sets.features.flatten(0, 1)

    def statistic(counts: Tensor) -> Tensor:
        return frechet_distances(flat, sets.reference, counts.repeat_interleave(views, dim=1))

    # A draw with replacement repeats pictures, which a Frechet distance takes for less variety.
    note = f"{sets.provenance.note}; the interval leans upwards"
    resamples = LARGE_FRECHET_RESAMPLES if flat.shape[1] > LARGE else FRECHET_RESAMPLES
    return number(statistic, sets.provenance._replace(note=note), resamples=resamples)


def discrepancy_number(kernels: Kernels, sets: FeatureSets, *, scale: float = 1.0) -> Number:
    """Unbiased squared maximum mean discrepancy times `scale`, with its interval."""
    views = sets.features.shape[1]

    def statistic(counts: Tensor) -> Tensor:
        return scale * unbiased_mmd2(kernels, counts=counts.repeat_interleave(views, dim=1))

    return number(statistic, sets.provenance)


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
