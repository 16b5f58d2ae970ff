import dataclasses
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stylehead.generator import GeneratorConfig, PanoHead
from stylehead.geometry import turntable
from stylehead.mini.recipes import generator as recipe
from stylehead.mini.recipes.data import facing, ray_depths


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    config = GeneratorConfig.tiny()
    rendering = dataclasses.replace(config.rendering, use_background=False)
    return PanoHead(dataclasses.replace(config, rendering=rendering))


def test_guided_depths_are_sorted_and_surround_the_surface(tiny):
    mask = torch.tensor([[1.0, 0.0, 0.3]])
    depth = torch.tensor([[2.7, 0.0, 2.5]])
    depths = recipe.guided_depths(mask, depth, tiny, torch.Generator().manual_seed(0))
    assert (depths.diff(dim=-1) >= 0).all()
    assert depths.min() >= tiny.config.rendering.ray_start
    assert depths.max() <= tiny.config.rendering.ray_end
    near = (depths - depth[..., None]).abs() < 0.0701
    assert near[0, 0].sum() >= 6
    assert near[0, 2].sum() >= 6
    assert depths[0, 1].diff().max() < 0.25  # an empty ray is looked at everywhere


def test_a_part_is_drawn_as_in_the_whole_picture(tiny, monkeypatch):
    limits = tiny.config.rendering.ray_start, tiny.config.rendering.ray_end
    monkeypatch.setattr(
        recipe, "guided_depths", lambda mask, *_: torch.linspace(*limits, 12).expand(*mask.shape, -1)
    )
    cameras = turntable(4)
    ws = torch.randn(2, tiny.num_ws, tiny.config.w_dim, generator=torch.Generator().manual_seed(1))
    truth = recipe.Truth(torch.zeros(4, 3, 64, 64), torch.zeros(4, 1, 16, 16), torch.zeros(4, 1, 16, 16))
    draw = partial(recipe.render_guided, tiny, ws, cameras, truth, rng=torch.Generator())
    part = recipe.Part(top=3, left=5, size=8)
    with torch.no_grad():
        whole, cut = draw(part=recipe.Part(0, 0, 16)), draw(part=part)
    for name in ("image_raw", "weight_sum", "depth"):
        assert torch.allclose(getattr(cut, name), part.cut(getattr(whole, name)), atol=1e-5), name
    assert cut.image.shape == (4, 3, 32, 32)


def test_a_part_of_the_truth_shows_the_same_place_in_picture_and_mask():
    mask = torch.rand(2, 1, 16, 16)
    truth = recipe.Truth(
        mask.repeat_interleave(4, -1).repeat_interleave(4, -2).expand(-1, 3, -1, -1), mask, mask
    )
    for seed in range(20):
        part = recipe.Part.draw(truth, torch.Generator().manual_seed(seed))
        assert 0 <= part.top <= 16 - part.size
        assert 0 <= part.left <= 16 - part.size
        found = part.of(truth)
        assert torch.equal(found.image[:, :1, ::4, ::4], found.mask)
        assert found.within(2).image.shape[-1] == 4 * (part.size - 4)


def test_most_views_are_of_the_face_and_none_twice():
    cameras = turntable(8).expand(500, -1, -1)
    columns = recipe.mostly_facing_columns(cameras, 3, torch.Generator().manual_seed(0))
    assert (columns.sort(dim=1).values.diff(dim=1) > 0).all()
    toward = facing(cameras[0])[columns]
    assert (toward[:, 0] > 0.5).float().mean() > 0.6
    assert toward[:, 1:].mean().abs() < 0.2


@given(st.integers(0, 100), st.floats(0.1, 4))
def test_detail_ignores_shades_and_grows_with_the_error(seed, factor):
    error = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
    once = recipe.detail(error)
    assert torch.isclose(recipe.detail(error * factor), once * factor, rtol=1e-4)
    assert torch.isclose(recipe.detail(error + 0.7), once, rtol=1e-3)
    assert recipe.detail(torch.full((1, 3, 16, 16), 0.3)) < 1e-6


def test_true_depths_are_distances_along_the_rays(photo):
    mask, depth = ray_depths(photo, 8)
    assert mask.shape == depth.shape == (3, 4, 8, 8)
    inside = depth > 0
    assert (mask[inside] > 0).all()
    assert (depth[inside] >= 2.699).all()  # the disc is at 2.7 along the axis; rays are at least as long
    assert depth[inside].max() < 2.7 * 1.02


def test_a_step_has_gradients_for_everything_that_is_trained(photo, monkeypatch, tiny):
    config = dataclasses.replace(
        tiny.config, rendering=dataclasses.replace(tiny.config.rendering, c_gen_conditioning_zero=True)
    )
    monkeypatch.setattr(GeneratorConfig, "mini", classmethod(lambda cls: config))
    large = dataclasses.replace(
        photo,
        images=photo.images.repeat_interleave(2, -1).repeat_interleave(2, -2),
        masks=photo.masks.repeat_interleave(2, -1).repeat_interleave(2, -2),
        depths=photo.depths.repeat_interleave(2, -1).repeat_interleave(2, -2),
    )
    training = recipe.GeneratorRecipe(large, identities=2, views_each=2)
    for progress in (0.0, 0.99):  # guided rays, and the real renderer
        training.model.zero_grad()
        loss, values = training.loss(progress, torch.Generator().manual_seed(0))
        loss.backward()
        assert values["psnr"] > 0
        trained = [p for group in training.parameters() for p in group["params"] if p.ndim > 0]
        assert all(p.grad is not None and p.grad.isfinite().all() for p in trained)
