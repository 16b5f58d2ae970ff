"""Low-rank factors of changes: exact when all are kept, the best ones first, in equal bytes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stylehead.generator import Change, LowRank

SHAPES = [(12, 9, 3, 3), (24, 16), (10, 5, 1, 1), (9, 3, 3)]


def drawn(shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def of_rank(shape, rank):
    """A change that has so many components, in the shape of a tensor."""
    rows, columns = (shape[0] * shape[2], shape[1] * shape[3]) if len(shape) == 4 else (shape[0], -1)
    if columns == -1:
        columns = torch.Size(shape[1:]).numel()
    matrix = drawn((rows, rank)) @ drawn((rank, columns), 1)
    if len(shape) != 4:
        return matrix.reshape(shape)
    return matrix.reshape(shape[0], shape[2], shape[1], shape[3]).permute(0, 2, 1, 3)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_change_of_low_rank_is_given_back(shape):
    base, change = drawn(shape, 2), of_rank(shape, 2)
    kept = LowRank({"w": base}, {"w": base + change}).keep(0.8)["w"]
    assert torch.allclose(kept.whole(base.shape), change, atol=2e-2)
    assert kept.left.dtype == torch.float16


@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_is_lost_but_precision_when_all_is_kept(shape):
    base, after = drawn(shape), drawn(shape, 1)
    whole = LowRank({"w": base}, {"w": after}).whole()["w"].whole(base.shape)
    assert torch.equal(whole, (after.double() - base.double()).half().float())


@settings(deadline=None, max_examples=30)
@given(rows=st.integers(8, 20), columns=st.integers(9, 20), share=st.floats(0, 0.6), seed=st.integers(0, 9))
def test_what_is_kept_is_the_best_of_its_rank_and_within_the_share(rows, columns, share, seed):
    """Against the singular value decomposition, which knows the least error of every rank (Eckart, Young)."""
    base, change = drawn((rows, columns), seed + 20), drawn((rows, columns), seed)
    kept = LowRank({"w": base}, {"w": base + change}).keep(share)["w"]
    assert kept.right is not None
    assert kept.left.numel() + kept.right.numel() <= share * rows * columns
    rank = len(kept.right)
    least = torch.linalg.svdvals(change.double())[rank:].square().sum().sqrt()
    error = (kept.whole(base.shape) - change).double().norm()
    assert error == pytest.approx(float(least), abs=0.02)


def test_components_are_weighed_by_the_weight_that_they_change():
    change = drawn((16, 16))
    before = {"large": 100 * drawn((16, 16), 1), "small": drawn((16, 16), 2)}
    kept = LowRank(before, {name: tensor + change for name, tensor in before.items()}).keep(0.3)
    assert len(kept["small"].right) > 0
    assert len(kept["large"].right) == 0


def test_small_changes_are_kept_whatever_the_share():
    before = {"bias": drawn((40,)), "scale": drawn(()), "w": drawn((16, 16))}
    kept = LowRank(before, {name: tensor + 1 for name, tensor in before.items()}).keep(0.0)
    assert kept["bias"].right is None
    assert torch.allclose(kept["bias"].whole(torch.Size([40])), torch.ones(40), atol=1e-3)
    assert kept["scale"].whole(torch.Size([])) == pytest.approx(1, abs=1e-3)
    assert not kept["w"].whole(torch.Size([16, 16])).any()


def test_equal_changes_give_equal_bytes_however_many_threads():
    base, after = drawn((24, 16, 3, 3)), drawn((24, 16, 3, 3), 1)
    threads = torch.get_num_threads()
    found = []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            kept = LowRank({"w": base}, {"w": after}).keep(0.4)["w"]
            found.append((kept.left.numpy().tobytes(), kept.right.numpy().tobytes()))
            assert torch.get_num_threads() == number
    finally:
        torch.set_num_threads(threads)
    assert len(set(found)) == 1


def test_signs_are_fixed():
    base, change = torch.zeros(12, 16), of_rank((12, 16), 1)
    for each in (change, -change):
        left = LowRank({"w": base}, {"w": each}).keep(0.3)["w"].left
        assert left[:, 0].abs().argmax() == left[:, 0].argmax()


def test_numbers_that_are_too_large_for_half_precision_stay_what_they_are():
    kept = LowRank({"b": torch.zeros(3)}, {"b": torch.full((3,), 1e6)}).keep(1.0)["b"]
    assert torch.equal(kept.whole(torch.Size([3])), torch.full((3,), 1e6))


@pytest.mark.parametrize(
    ("left", "right"),
    [((4, 2), (3, 5)), ((5, 2), (2, 5)), ((4, 2), (2, 4)), ((4,), (2, 5)), ((4, 2), ()), ((4, 5), None)],
)
def test_factors_that_do_not_fit_are_known(left, right):
    change = Change(torch.zeros(left), None if right is None else torch.zeros(right))
    assert change.fits(torch.Size([4, 5])) == (right is None)
    assert not change.fits(torch.Size([5]))
    assert not change.fits(torch.Size([]))
