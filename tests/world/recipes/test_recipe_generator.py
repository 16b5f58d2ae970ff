import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stylehead.generator import GeneratorConfig, PanoHead
from stylehead.generator.ops import upsample2d
from stylehead.generator.renderer import DepthDraws
from stylehead.geometry import turntable
from stylehead.world.recipes import train_generator as recipe
from stylehead.world.recipes.crops import Crops
from stylehead.world.recipes.data import facing, ray_depths
from stylehead.world.recipes.people import KeptPeople, mostly_facing_columns


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    config = GeneratorConfig.tiny()
    rendering = dataclasses.replace(config.rendering, use_background=False)
    return PanoHead(dataclasses.replace(config, rendering=rendering))


def test_crops_are_drawn_as_in_the_whole_picture(tiny, monkeypatch):
    cameras = turntable(4)
    ws = torch.randn(2, tiny.num_ws, tiny.config.w_dim, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        real = tiny.synthesis(ws, cameras, background="white", noise_mode="const")
    make = DepthDraws.make
    monkeypatch.setattr(DepthDraws, "make", lambda rays, config, **_: make(rays, config, deterministic=True))
    crops = Crops(torch.tensor([0, 3, 8, 5]), torch.tensor([8, 5, 0, 1]), 8)
    everything = Crops(torch.zeros(4, dtype=torch.long), torch.zeros(4, dtype=torch.long), 16)
    with torch.no_grad():
        whole, cut = (
            recipe.render_crops(tiny, ws, cameras, c, torch.Generator()) for c in (everything, crops)
        )
    for name in ("image_raw", "weight_sum"):
        assert torch.allclose(getattr(cut, name), crops.cut(getattr(whole, name)), atol=1e-5), name
    hit = cut.weight_sum > 0.1  # elsewhere the depth is the furthest of all in the batch
    assert torch.allclose(cut.depth[hit], crops.cut(whole.depth)[hit], atol=1e-4)
    assert cut.image.shape == (4, 3, 32, 32)
    assert torch.allclose(whole.image, real.image, atol=2e-2)  # planes and decoder of eight bits
    assert torch.allclose(whole.image_raw, real.image_raw, atol=2e-2)


def test_a_crop_of_the_truth_shows_the_same_place_in_picture_and_mask():
    mask = torch.rand(2, 1, 16, 16)
    image = mask.repeat_interleave(4, -1).repeat_interleave(4, -2).expand(-1, 3, -1, -1)
    truth = recipe.Truth(image, mask, mask)
    for seed in range(20):
        found = truth.cropped(Crops.draw(image, 16, 10, torch.Generator().manual_seed(seed)))
        assert torch.equal(found.image[:, :1, ::4, ::4], found.mask)
        assert found.within(2).image.shape[-1] == 4 * 6
        assert torch.equal(found.within(0).image, found.image)


def test_most_views_are_of_the_face_and_none_twice():
    cameras = turntable(8).expand(500, -1, -1)
    columns = mostly_facing_columns(cameras, 3, torch.Generator().manual_seed(0))
    assert (columns.sort(dim=1).values.diff(dim=1) > 0).all()
    toward = facing(cameras[0])[columns]
    assert (toward[:, 0] > 0.5).float().mean() > 0.6
    assert toward[:, 1:].mean().abs() < 0.2


@given(st.integers(0, 100), st.floats(0.1, 4))
def test_detail_ignores_shades_and_grows_with_the_error(seed, factor):
    error = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
    once = recipe.detail_loss(error)
    assert torch.isclose(recipe.detail_loss(error * factor), once * factor, rtol=1e-4)
    assert torch.isclose(recipe.detail_loss(error + 0.7), once, rtol=1e-3)
    assert recipe.detail_loss(torch.full((1, 3, 16, 16), 0.3)) < 1e-6


def test_true_depths_are_distances_along_the_rays(photo):
    mask, depth = ray_depths(photo, 8)
    assert mask.shape == depth.shape == (3, 4, 8, 8)
    inside = depth > 0
    assert (mask[inside] > 0).all()
    assert (depth[inside] >= 2.699).all()  # the disc is at 2.7 along the axis; rays are at least as long
    assert depth[inside].max() < 2.7 * 1.02


def test_a_step_has_gradients_for_everything_that_is_trained(photo, tiny):
    config = dataclasses.replace(
        tiny.config, rendering=dataclasses.replace(tiny.config.rendering, c_gen_conditioning_zero=True)
    )
    large = dataclasses.replace(
        photo,
        images=photo.images.repeat_interleave(2, -1).repeat_interleave(2, -2),
        masks=photo.masks.repeat_interleave(2, -1).repeat_interleave(2, -2),
        depths=photo.depths.repeat_interleave(2, -1).repeat_interleave(2, -2),
    )
    training = recipe.GeneratorRecipe(KeptPeople(large), config, identities=2, views_each=2)
    for whole in (0.0, 1.0):
        training.whole = whole
        training.model.zero_grad()
        loss, values = training.loss(0.5, torch.Generator().manual_seed(0))
        loss.backward()
        assert values["psnr"] > 0
        trained = [p for group in training.parameters() for p in group["params"] if p.ndim > 0]
        assert all(p.grad is not None and p.grad.isfinite().all() for p in trained)


def test_training_goes_on_with_the_architecture_that_was_exported(tiny, tmp_path):
    assert recipe.config_in(tmp_path) == GeneratorConfig.mini()
    tiny.save(tmp_path / "generator.safetensors", {})
    assert recipe.config_in(tmp_path) == tiny.config


def test_truncated_people_are_asked_for_with_truncated_style_vectors(tiny):
    crowd = torch.rand(50, 128, generator=torch.Generator().manual_seed(0))
    model = recipe.GeneratorModel(tiny.config, crowd)
    with torch.no_grad():
        mean = model.identity_to_w(crowd).mean(dim=0)
        whole = model.ws(crowd[:3])
        ws = model.ws(crowd[:3], (torch.tensor([1.0, 0.5, 0.0]), crowd))
    assert ws.shape == (3, tiny.num_ws, tiny.config.w_dim)
    torch.testing.assert_close(ws[0], whole[0])
    torch.testing.assert_close(ws[1], (whole[1] + mean) / 2)
    torch.testing.assert_close(ws[2], mean.expand_as(ws[2]))


def test_a_grown_generator_draws_the_enlarged_planes_of_the_small_one(tiny):
    rendering = dataclasses.replace(tiny.config.rendering, triplane_size=64)
    grown = PanoHead(dataclasses.replace(tiny.config, rendering=rendering))
    assert recipe.load_grown(grown, tiny)
    w = torch.randn(1, 1, tiny.config.w_dim, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        small, large = (g.planes(w.expand(-1, g.num_ws, -1)) for g in (tiny, grown))
    torch.testing.assert_close(large, upsample2d(small))


def test_a_generator_of_other_sizes_is_not_taken(tiny):
    other = PanoHead(dataclasses.replace(tiny.config, channel_max=8))
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    assert not recipe.load_grown(other, tiny)
    assert all(torch.equal(tensor, before[name]) for name, tensor in other.state_dict().items())


def test_halves_are_written_of_all_but_the_layer_that_chooses(tiny, tmp_path):
    path = tmp_path / "generator.safetensors"
    recipe.save_halved(tiny, path, {"steps": "1"})
    loaded = PanoHead.load(path).state_dict()
    for name, tensor in tiny.state_dict().items():
        exact = name.startswith("backbone.mapping.fc1.")
        assert torch.equal(loaded[name], tensor if exact else tensor.half().float()), name
    tiny.save(tmp_path / "full.safetensors")
    assert path.stat().st_size < 0.7 * (tmp_path / "full.safetensors").stat().st_size
