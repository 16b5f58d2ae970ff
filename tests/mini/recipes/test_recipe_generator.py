import dataclasses

import pytest
import torch

from stylehead.generator import GeneratorConfig, PanoHead
from stylehead.mini.recipes import generator as recipe
from stylehead.mini.recipes.data import ray_depths


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
    assert near[0, 0].sum() >= 8
    assert near[0, 2].sum() >= 8
    assert depths[0, 1].diff().max() < 0.25  # an empty ray is looked at everywhere


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
