import torch
from hypothesis import given
from hypothesis import strategies as st

from stylehead.mini.recipes.encoders import degraded, in_another_light, painted_over, reshaped


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@given(seed=st.integers(0, 1000))
def test_another_light_keeps_the_range(seed):
    images = torch.rand(4, 3, 32, 32, generator=rng(seed))
    changed = in_another_light(images, rng(seed + 1))
    assert changed.shape == images.shape
    assert changed.isfinite().all()
    assert 0 <= changed.min() <= changed.max() <= 1


def test_another_light_changes_colours_and_leaves_shapes():
    images = torch.full((32, 3, 32, 32), 0.2)
    images[:, :, 8:24, 8:24] = 0.7
    changed = in_another_light(images, rng())
    jumps = changed.diff(dim=-1).abs().sum(dim=1)[:, 16]
    assert (jumps.topk(2, dim=1).indices.sort(dim=1).values == torch.tensor([7, 23])).all()
    assert (changed[:, :, 16, 16] - 0.7).abs().mean() > 0.1


def test_paint_stays_on_the_head():
    images, masks = torch.full((64, 3, 48, 48), 0.5), torch.zeros(64, 1, 48, 48)
    masks[..., 12:36, 12:36] = 1
    painted = painted_over(images, masks, rng())
    outside = (masks == 0).expand_as(images)
    assert torch.equal(painted[outside], images[outside])
    assert 0 <= painted.min() <= painted.max() <= 1
    changed = (painted - images).abs()[:, :, 12:36, 12:36].amax(dim=(1, 2, 3)) > 0.1
    assert 0.3 < changed.float().mean() < 0.95


def test_reshaped_pictures_move_a_little():
    images = torch.zeros(64, 1, 48, 48)
    images[..., 16:32, 16:32] = 1
    moved = reshaped(images, rng())
    where = torch.arange(48.0)
    centre = (moved.sum(dim=2)[:, 0] * where).sum(dim=1) / moved.sum(dim=(1, 2, 3))
    assert 0.5 < centre.std() < 5
    assert (centre - 23.5).abs().max() < 12
    area = moved.sum(dim=(1, 2, 3)) / 256
    assert 0.5 < area.min() < 0.9 < 1.1 < area.max() < 2


def test_degraded_pictures_are_softer_noisier_and_repeat_for_a_seed():
    images = (torch.rand(64, 3, 16, 16, generator=rng()) > 0.5).float() * 2 - 1
    once, again = degraded(images, rng(1)), degraded(images, rng(1))
    assert torch.equal(once, again)
    contrast = once.std(dim=(1, 2, 3)) / images.std(dim=(1, 2, 3))
    assert contrast.min() < 0.5 < 0.99 < contrast.max()
