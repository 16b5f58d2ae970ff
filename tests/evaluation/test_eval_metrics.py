"""Every metric equals a slow, written-out reference on fixed inputs."""

import itertools
import math

import numpy as np
import pytest
import torch
from eval_helpers import cmmd, frechet_distance, kernel_distance
from scipy import linalg
from torch import Tensor
from torch.nn import functional

from stylehead.errors import JobError, UsageError
from stylehead.evaluation.depth_difference import depth_difference
from stylehead.evaluation.distributions import check_count
from stylehead.evaluation.frechet import frechet_distances
from stylehead.evaluation.metrics.clip_img import clip_img
from stylehead.evaluation.metrics.clip_score import clip_score
from stylehead.evaluation.metrics.clip_text import clip_text
from stylehead.evaluation.metrics.diversity import squared_distances
from stylehead.evaluation.metrics.diversity_id import identity_distances
from stylehead.evaluation.metrics.id import identity_similarity
from stylehead.evaluation.metrics.id_rank1 import rank1, rank1_hits


def draw(*shape: int, seed: int = 0, shift: float = 0.0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + shift


def unit(*shape: int, seed: int = 0) -> Tensor:
    return functional.normalize(draw(*shape, seed=seed), dim=-1)


# --------------------------------------------------------------------------------------------- distributions


def test_frechet_distance_is_the_textbook_formula() -> None:
    one, other = draw(40, 6, seed=1), draw(30, 6, seed=2, shift=0.5) * 2
    a, b = np.cov(one.numpy(), rowvar=False), np.cov(other.numpy(), rowvar=False)
    gap = one.mean(0).numpy() - other.mean(0).numpy()
    expected = gap @ gap + np.trace(a + b - 2 * linalg.sqrtm(a @ b).real)
    assert frechet_distance(one, other) == pytest.approx(expected, rel=1e-9)


def test_frechet_distance_of_known_gaussians() -> None:
    corners = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=3)), dtype=torch.float64)
    variance = 8 / 7  # of corners of a cube, unbiased
    # N(0, v I) against N(m, 9 v I): |m|^2 + 3 v (1 - 3)^2
    assert frechet_distance(corners, 3 * corners + 2) == pytest.approx(12 + 3 * variance * 4)
    assert frechet_distance(corners, corners) == pytest.approx(0, abs=1e-12)


def test_frechet_distance_with_fewer_pictures_than_features() -> None:
    one, other = draw(5, 20, seed=3), draw(6, 20, seed=4)
    expected = np.trace(
        np.cov(one.numpy(), rowvar=False)
        + np.cov(other.numpy(), rowvar=False)
        - 2 * linalg.sqrtm(np.cov(one.numpy(), rowvar=False) @ np.cov(other.numpy(), rowvar=False)).real
    ) + float((one.mean(0) - other.mean(0)).square().sum())
    assert frechet_distance(one, other) == pytest.approx(expected, rel=1e-4)


def test_counts_are_repetitions() -> None:
    features, reference = draw(6, 4, seed=5), draw(9, 4, seed=6)
    counts = torch.tensor([0, 1, 3, 2, 0, 1])
    repeated = features.repeat_interleave(counts, dim=0)
    expected = frechet_distance(repeated, reference)
    assert float(frechet_distances(features, reference, counts[None])) == pytest.approx(expected)


def slow_mmd2(one: Tensor, other: Tensor, kernel) -> float:
    """Pairs, one by one, none of a picture with itself."""

    def among(rows: Tensor) -> float:
        values = [
            float(kernel(rows[i], rows[j])) for i in range(len(rows)) for j in range(len(rows)) if i != j
        ]
        return sum(values) / len(values)

    between = [float(kernel(x, y)) for x in one for y in other]
    return among(one) + among(other) - 2 * sum(between) / len(between)


def test_kernel_distance_is_the_written_out_sum() -> None:
    one, other = draw(7, 5, seed=7), draw(9, 5, seed=8, shift=0.3)
    expected = slow_mmd2(one, other, lambda x, y: (x @ y / 5 + 1) ** 3)
    assert kernel_distance(one, other) == pytest.approx(expected, rel=1e-9)


def test_cmmd_is_the_written_out_sum() -> None:
    one, other = unit(7, 5, seed=9), unit(8, 5, seed=10)
    expected = 1000 * slow_mmd2(one, other, lambda x, y: math.exp(-float((x - y).square().sum()) / 200))
    assert cmmd(one, other) == pytest.approx(expected, rel=1e-6)


def test_discrepancies_are_unbiased() -> None:
    """Samples of one distribution: the mean over many draws is 0, however small they are."""
    kid = [kernel_distance(draw(6, 4, seed=s), draw(6, 4, seed=1000 + s)) for s in range(400)]
    clip = [cmmd(unit(6, 4, seed=s), unit(6, 4, seed=1000 + s)) for s in range(400)]
    for values in (np.array(kid), np.array(clip)):
        assert abs(values.mean()) < 3 * values.std() / 20
        assert values.min() < 0


@pytest.mark.parametrize("metric", [frechet_distance, kernel_distance, cmmd])
def test_one_picture_is_no_distribution(metric) -> None:
    with pytest.raises(UsageError, match="two pictures"):
        metric(draw(1, 4), draw(5, 4))


def test_few_pictures_are_refused_unless_forced() -> None:
    with pytest.raises(JobError, match=r"fid over 30 pictures a side .* needs 2000") as caught:
        check_count(30, 2000, "fid", force=False)
    assert "--force-fid" in str(caught.value.hint)
    check_count(30, 2000, "fid", force=True)
    check_count(2000, 2000, "fid", force=False)


# ------------------------------------------------------------------------------------------ prompt and people


def test_clip_metrics_by_hand() -> None:
    text = torch.tensor([1.0, 0.0])
    images = torch.tensor([[0.6, 0.8], [-0.6, 0.8]])
    assert clip_text(images, text).tolist() == pytest.approx([0.6, -0.6])
    assert clip_score(clip_text(images, text)).tolist() == pytest.approx([1.5, 0.0])
    assert clip_img(images, images.flip(0)).tolist() == pytest.approx([0.28, 0.28])


def test_identity_similarity_leaves_out_views_without_a_face() -> None:
    after, before = unit(3, 2, 4, seed=1), unit(3, 2, 4, seed=2)
    found = torch.tensor([[True, True], [True, False], [False, False]])
    values = identity_similarity(after, before, found)
    cos = [[float(after[i, v] @ before[i, v]) for v in range(2)] for i in range(3)]
    assert values[0] == pytest.approx((cos[0][0] + cos[0][1]) / 2)
    assert values[1] == pytest.approx(cos[1][0])
    assert values[2].isnan()


def test_rank1_by_hand_and_immune_to_a_common_offset() -> None:
    gallery = unit(20, 8, seed=3)
    queries = functional.normalize(gallery + 0.1 * draw(20, 8, seed=4), dim=1)
    nearest = [max(range(20), key=lambda j: float(queries[i] @ gallery[j])) for i in range(20)]
    assert rank1(queries, gallery) == sum(j == i for i, j in enumerate(nearest)) / 20
    people = torch.tensor(nearest)
    assert rank1(queries, gallery, people) == 1.0
    assert rank1_hits(queries, gallery.flip(0)).sum() <= 2


def test_diversity_by_hand_and_zero_after_a_collapse() -> None:
    faces = unit(4, 3, 5, seed=6)
    expected = [
        [np.mean([1 - float(faces[i, v] @ faces[j, v]) for v in range(3)]) for j in range(4)]
        for i in range(4)
    ]
    torch.testing.assert_close(identity_distances(faces), torch.tensor(np.array(expected)))
    collapsed = identity_distances(faces[:1].expand(4, -1, -1))
    torch.testing.assert_close(collapsed, torch.zeros_like(collapsed))
    vectors = draw(5, 30, seed=7)
    slow = torch.tensor([[float((a - b).square().sum()) for b in vectors] for a in vectors])
    torch.testing.assert_close(squared_distances(vectors).float(), slow, atol=1e-4, rtol=1e-5)


# -------------------------------------------------------------------------------------------- shape and truth


def test_depth_difference_by_hand() -> None:
    mask = torch.tensor([[1.0, 1.0], [1.0, 0.0]])[None, None]
    before = torch.tensor([[1.0, 2.0], [3.0, 99.0]])[None, None]  # nearness 1, 0.5, 0
    after = torch.tensor([[1.0, 1.0], [2.0, -7.0]])[None, None]  # nearness 1, 1, 0
    assert float(depth_difference(after, before, mask)) == pytest.approx(0.5 / 3)


def test_depth_difference_ignores_unit_and_origin() -> None:
    mask, before = torch.rand(2, 1, 6, 6), torch.rand(2, 1, 6, 6)
    torch.testing.assert_close(
        depth_difference(3 * before + 7, before, mask), torch.zeros(2), atol=1e-5, rtol=0
    )
    assert depth_difference(before, before + 1, torch.zeros(2, 1, 6, 6)).tolist() == [0, 0]
