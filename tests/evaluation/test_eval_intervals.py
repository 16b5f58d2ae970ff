"""Intervals: bootstrap over people, the same for everybody."""

import math

import pytest
import torch

from stylehead.evaluation.intervals import bootstrap, mean_statistic, pair_statistic
from stylehead.evaluation.metrics.kid import cubic_kernels
from stylehead.evaluation.mmd import unbiased_mmd2


def values(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_interval_of_a_mean_is_that_of_the_normal_theory() -> None:
    sample = values(200)
    value, low, high = bootstrap(mean_statistic(sample), 200)
    error = float(sample.std()) / math.sqrt(200)
    assert value == pytest.approx(float(sample.mean()))
    assert low == pytest.approx(value - 1.96 * error, abs=0.25 * error)
    assert high == pytest.approx(value + 1.96 * error, abs=0.25 * error)


def test_the_same_draws_every_time() -> None:
    sample = values(12)
    assert bootstrap(mean_statistic(sample), 12) == bootstrap(mean_statistic(sample), 12)


def test_people_who_could_not_be_measured_are_left_out() -> None:
    sample = torch.tensor([1.0, float("nan"), 3.0])
    interval = bootstrap(mean_statistic(sample), 3)
    assert interval.value == 2
    assert (interval.low, interval.high) == (1, 3)


def test_a_statistic_that_is_never_finite_has_no_width() -> None:
    interval = bootstrap(lambda counts: counts[:, 0] * float("nan"), 4)
    assert all(math.isnan(end) for end in interval)


def test_pairs_of_a_person_with_himself_do_not_count() -> None:
    points = values(5, seed=1)
    distances = (points[:, None] - points[None, :]).abs()
    counts = torch.tensor([2, 0, 1, 1, 1], dtype=torch.float64)[None]
    drawn = torch.repeat_interleave(torch.arange(5), counts[0].long())
    pairs = [float(distances[i, j]) for a, i in enumerate(drawn) for b, j in enumerate(drawn) if a != b]
    # the two copies of person 0 make two ordered pairs of distance 0, which are no pairs of people
    expected = sum(pairs) / (len(pairs) - 2)
    assert float(pair_statistic(distances)(counts)) == pytest.approx(expected)


def test_a_collapsed_set_has_an_interval_at_zero() -> None:
    assert bootstrap(pair_statistic(torch.zeros(6, 6)), 6) == (0, 0, 0)


def test_a_discrepancy_keeps_its_value_under_equal_counts() -> None:
    features, reference = values(24).reshape(6, 4), values(20, seed=2).reshape(5, 4)
    kernels = cubic_kernels(features, reference)
    twice = torch.full((1, 6), 2.0)
    own = kernels.own.clone()
    without = float(unbiased_mmd2(kernels))
    assert float(unbiased_mmd2(kernels, counts=torch.ones(1, 6))) == pytest.approx(without)
    # each picture twice, but never paired with itself: the same mean over pairs
    pairs = 4 * (own.sum() - own.diagonal().sum())
    among = pairs / (4 * 36 - 4 * 6)
    single = (own.sum() - own.diagonal().sum()) / 30
    expected = without - float(single - among)
    assert float(unbiased_mmd2(kernels, counts=twice)) == pytest.approx(expected, rel=1e-9)
