"""Taking the metrics of style from a row: does it look like the prompt, and like the reference pictures?"""

from collections.abc import Callable
from typing import Literal, NamedTuple

from torch import Tensor

from stylehead.errors import MissingError
from stylehead.evaluation.case import Case
from stylehead.evaluation.metrics import cmmd as cmmd_metric
from stylehead.evaluation.metrics.clip_img import clip_img
from stylehead.evaluation.metrics.fid import SANE_PICTURES, check_count
from stylehead.evaluation.metrics.frechet import frechet_distances, sane_count
from stylehead.evaluation.metrics.kid import cubic_kernels
from stylehead.evaluation.metrics.mmd import Kernels, unbiased_mmd2
from stylehead.evaluation.metrics.style_share import named_style
from stylehead.evaluation.numbers import Number, Seen, mean_over_people, number, shared

FRECHET_RESAMPLES, LARGE_FRECHET_RESAMPLES, LARGE = 200, 50, 512
"""Fewer than elsewhere, fewer still above so many features: each takes the eigenvalues of a covariance."""


def measure_style(case: Case) -> Number:
    """Share of pictures that the classifier calls by the style of the target."""
    portraits = case.stylised.portraits
    named = named_style(case.stylised.styles, case.target.style)
    return mean_over_people(
        named, Seen(portraits.seeds, portraits.yaws_deg, case.encoders.need("style").name)
    )


def prompted(metric: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Case], Number]:
    """Make a measure of a metric that compares pictures with the prompt."""

    def measure(case: Case) -> Number:
        network, portraits = case.encoders.need("image_text"), case.stylised.portraits
        values = metric(case.stylised.meanings, network.text(case.target.prompt))
        return mean_over_people(values, Seen(portraits.seeds, portraits.yaws_deg, network.name))

    return measure


def measure_clip_img(case: Case) -> Number:
    """Cosine to the reference picture of the same head from the same side."""
    reference = case.target.need_reference()
    if not reference.paired:
        raise MissingError(f"The reference ({reference.name}) does not show the same heads.")
    both = shared(case.stylised.portraits, reference.looks.portraits, "The reference pictures")
    network = case.encoders.need("image_text")
    values = clip_img(both.first(case.stylised.meanings), both.second(reference.looks.meanings))
    return mean_over_people(values, Seen(both.seeds, both.yaws_deg, network.name, f"to {reference.name}"))


# ---------------------------------------------------------------------------------------------- distributions


class _Sets(NamedTuple):
    """Features of a row [N,V,D] and of the reference [m,D], and what they were taken from."""

    features: Tensor
    reference: Tensor
    seen: Seen


def _sets(case: Case, kind: Literal["meanings", "inception"], encoder: str) -> _Sets:
    """Equally many people and sides on both sides where the reference shows the same people."""
    reference = case.target.need_reference()
    features, others = getattr(case.stylised, kind), getattr(reference.looks, kind)
    note = f"against {reference.name}"
    if not reference.paired:
        portraits = case.stylised.portraits
        seen = Seen(portraits.seeds, portraits.yaws_deg, encoder, note)
        return _Sets(features, others.flatten(0, 1), seen)
    both = shared(case.stylised.portraits, reference.looks.portraits, "The reference pictures")
    seen = Seen(both.seeds, both.yaws_deg, encoder, note)
    return _Sets(both.first(features), both.second(others).flatten(0, 1), seen)


def _frechet(case: Case, sets: _Sets, *, name: str, sane: int) -> Number:
    people, views = sets.features.shape[:2]
    check_count(min(people * views, len(sets.reference)), sane, name, force=case.force)
    flat = sets.features.flatten(0, 1)

    def statistic(counts: Tensor) -> Tensor:
        return frechet_distances(flat, sets.reference, counts.repeat_interleave(views, dim=1))

    # A draw with replacement repeats pictures, which a Frechet distance takes for less variety.
    seen = sets.seen._replace(note=f"{sets.seen.note}; the interval leans upwards")
    resamples = LARGE_FRECHET_RESAMPLES if flat.shape[1] > LARGE else FRECHET_RESAMPLES
    return number(statistic, seen, resamples=resamples)


def _discrepancy(kernels: Kernels, sets: _Sets, *, scale: float = 1.0) -> Number:
    views = sets.features.shape[1]

    def statistic(counts: Tensor) -> Tensor:
        return scale * unbiased_mmd2(kernels, counts=counts.repeat_interleave(views, dim=1))

    return number(statistic, sets.seen)


def measure_fid(case: Case) -> Number:
    """FID to the reference pictures; refused over too few."""
    sets = _sets(case, "inception", case.encoders.need("inception").name)
    return _frechet(case, sets, name="fid", sane=SANE_PICTURES)


def measure_kid(case: Case) -> Number:
    """KID to the reference pictures, over all of them."""
    sets = _sets(case, "inception", case.encoders.need("inception").name)
    return _discrepancy(cubic_kernels(sets.features.flatten(0, 1), sets.reference), sets)


def measure_cmmd(case: Case) -> Number:
    """CMMD to the reference pictures; only with CLIP."""
    network = case.encoders.need("image_text")
    if not network.is_clip:
        raise MissingError("CMMD needs CLIP.", "give a folder with --clip")
    sets = _sets(case, "meanings", network.name)
    if network.name != cmmd_metric.PUBLISHED:
        seen = sets.seen._replace(note=f"{sets.seen.note}; published numbers use {cmmd_metric.PUBLISHED}")
        sets = sets._replace(seen=seen)
    kernels = cmmd_metric.gaussian_kernels(sets.features.flatten(0, 1), sets.reference)
    return _discrepancy(kernels, sets, scale=cmmd_metric.SCALE)


def _mini_sets(case: Case) -> _Sets:
    network = case.encoders.need("image_text")
    if network.is_clip:
        raise MissingError("This stands in for FID and KID where the embedded encoders measure.")
    return _sets(case, "meanings", network.name)


def measure_fd_mini(case: Case) -> Number:
    """Frechet distance over the embedded image-text features; refused over too few pictures."""
    sets = _mini_sets(case)
    return _frechet(case, sets, name="fd_mini", sane=sane_count(sets.features.shape[-1]))


def measure_kd_mini(case: Case) -> Number:
    """Cubic-kernel discrepancy over the embedded image-text features."""
    sets = _mini_sets(case)
    return _discrepancy(cubic_kernels(sets.features.flatten(0, 1), sets.reference), sets)
