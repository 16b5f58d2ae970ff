import torch
from hypothesis import given
from hypothesis import strategies as st

from stylehead.world.recipes.crops import Crops


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@given(seed=st.integers(0, 1000), edge=st.sampled_from([8, 16]), size=st.integers(1, 8))
def test_crops_stay_in_the_picture_and_repeat_for_a_seed(seed, edge, size):
    images = torch.rand(3, 3, 2 * edge, 2 * edge, generator=rng(seed))
    crops, again = (Crops.draw(images, edge, size, rng(seed)) for _ in range(2))
    assert torch.equal(crops.top, again.top)
    assert torch.equal(crops.left, again.left)
    for corner in (crops.top, crops.left):
        assert corner.min() >= 0
        assert corner.max() <= edge - size


def test_a_cut_is_what_slicing_gives():
    pictures = torch.rand(2, 3, 32, 32, generator=rng())
    crops = Crops(torch.tensor([0, 5]), torch.tensor([11, 2]), 4)
    assert torch.equal(
        crops.cut(pictures), torch.stack([pictures[0, :, 0:4, 11:15], pictures[1, :, 5:9, 2:6]])
    )
    twice = torch.stack([pictures[0, :, 0:8, 22:30], pictures[1, :, 10:18, 4:12]])
    assert torch.equal(crops.cut(pictures, 2), twice)
    one = crops.cut(pictures[:1])
    assert torch.equal(one[1], pictures[0, :, 5:9, 2:6])


def test_details_are_looked_at_more_often_and_nothing_never():
    images = torch.zeros(4000, 1, 16, 16)
    images[:, :, 2:6, 2:6] = torch.rand(4000, 1, 4, 4, generator=rng())
    crops = Crops.draw(images, 16, 1, rng(1))
    there = (crops.top < 8) & (crops.left < 8)  # the blur reaches two pixels
    share = float(there.float().mean())
    assert 0.58 < share < 0.67  # half of all, and 64 of 256 pixels of the other half
    seen = torch.zeros(16, 16).index_put((crops.top, crops.left), torch.ones(4000), accumulate=True)
    assert (seen > 0).all()
