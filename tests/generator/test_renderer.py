"""Laws of the ray marcher and of renders."""

import dataclasses

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stylehead.architecture import RenderingConfig
from stylehead.errors import UsageError
from stylehead.generator import DensityEdits, PanoHead, RaySamples, RenderOptions, camera_rays, march
from stylehead.generator.field import HeadField
from stylehead.generator.renderer import (
    DepthDraws,
    importance_depths,
    ray_limits,
    ray_weights,
    render_rays,
)
from stylehead.geometry import camera_from_angles, turntable

finite = {"allow_nan": False, "allow_infinity": False, "width": 32}


@st.composite
def rays(draw, fewest=2):
    """Sorted depths and densities [1,3,S]."""
    shape = (1, 3, draw(st.integers(fewest, 12)))
    gaps = draw(arrays.arrays(np.float32, shape, elements=st.floats(0.0078125, 0.5, **finite)))
    density = draw(arrays.arrays(np.float32, shape, elements=st.floats(-1000, 1000, **finite)))
    return torch.from_numpy(gaps).cumsum(dim=-1) + 2, torch.from_numpy(density)


@given(rays())
@settings(deadline=None, max_examples=50)
def test_weights_are_shares_of_the_light(ray):
    weights = ray_weights(*ray)
    assert (weights >= 0).all()
    assert (weights.sum(dim=-1) <= 1 + 1e-5).all()


@given(rays(), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=50)
def test_marching_does_not_depend_on_which_pass_a_sample_is_from(ray, random):
    depths, density = ray
    features = torch.stack([depths, density.sigmoid()], dim=-1)
    columns = list(range(depths.shape[-1]))
    random.shuffle(columns)
    cut = random.randint(1, len(columns) - 1)
    parts = [
        RaySamples(depths[..., c], density[..., c], features[..., c, :])
        for c in (columns[:cut], columns[cut:])
    ]
    whole, split = march([RaySamples(depths, density, features)]), march(parts)
    for a, b in zip(whole, split, strict=True):
        assert torch.allclose(a, b, atol=1e-5)


@given(rays())
@settings(deadline=None, max_examples=50)
def test_a_constant_feature_shows_its_weight_sum(ray):
    depths, density = ray
    out = march([RaySamples(depths, density, torch.ones(*depths.shape, 2))])
    assert torch.allclose(out.features, out.weight_sum.expand_as(out.features), atol=1e-5)
    white = march([RaySamples(depths, density, torch.ones(*depths.shape, 2))], white_back=True)
    assert torch.allclose(white.features, torch.ones_like(white.features), atol=1e-5)


@given(rays(fewest=4))
@settings(deadline=None, max_examples=50)
def test_importance_samples_lie_between_the_middles(ray):
    depths, density = ray
    u = torch.linspace(0, 1, 9).expand(1, 3, 9)
    placed = importance_depths(depths, ray_weights(depths, density), u)
    middles = (depths[..., 1:] + depths[..., :-1]) / 2
    assert (placed >= middles[..., :1] - 1e-4).all()
    assert (placed <= middles[..., -1:] + 1e-4).all()
    assert (placed.diff(dim=-1) >= -1e-4).all()


def test_importance_samples_go_where_the_weight_is():
    depths = torch.linspace(2, 3, 21).expand(1, 1, 21)
    weights = torch.zeros(1, 1, 20)
    weights[..., 10] = 1.0
    u = torch.linspace(0.05, 0.95, 19).expand(1, 1, 19)
    placed = importance_depths(depths, weights, u)
    assert ((placed - 2.5).abs() < 0.11).float().mean() > 0.8


def test_an_opaque_sample_hides_what_is_behind():
    depths = torch.tensor([[[1.0, 2.0, 3.0, 4.0]]])
    density = torch.tensor([[[-1000.0, 500.0, 500.0, 500.0]]])
    features = torch.tensor([0.0, 1.0, 5.0, 9.0]).reshape(1, 1, 4, 1)
    out = march([RaySamples(depths, density, features)])
    assert out.features.item() == pytest.approx(3.0)  # the mean of the first opaque interval's ends
    assert out.depth.item() == pytest.approx(2.5)
    assert out.weight_sum.item() == pytest.approx(1.0)


def test_empty_rays_have_finite_gradients():
    density = torch.full((1, 2, 5), -1000.0, requires_grad=True)
    depths = torch.linspace(2, 3, 5).expand(1, 2, 5)
    out = march([RaySamples(depths, density, torch.ones(1, 2, 5, 3))])
    (out.depth.sum() + out.features.sum()).backward()
    assert torch.isfinite(density.grad).all()


def test_rays_start_at_the_camera_and_look_at_the_pivot():
    for resolution in (1, 3):
        origins, directions = camera_rays(camera_from_angles(0.7, -0.2), resolution)
        centre = directions[0, resolution**2 // 2]
        assert torch.allclose(origins[0, 0].norm(), torch.tensor(2.7))
        assert torch.allclose(centre, -origins[0, 0] / 2.7, atol=1e-6)
        assert torch.allclose(directions.norm(dim=-1), torch.ones(1, resolution**2))


def test_auto_limits_meet_the_faces_of_the_cube():
    config = RenderingConfig(ray_start="auto", ray_end="auto", box_warp=0.8)
    near, far = ray_limits(camera_rays(camera_from_angles(0.0), 1), config)
    assert near.item() == pytest.approx(2.3)
    assert far.item() == pytest.approx(3.1)


def test_auto_limits_stay_sensible_when_every_ray_misses():
    away = camera_from_angles(0.0, pivot=(50.0, 0.0, 2.7))
    config = RenderingConfig(ray_start="auto", ray_end="auto")
    near, far = ray_limits(camera_rays(away, 4), config)
    assert (near < far).all()
    assert torch.isfinite(near).all()


def test_auto_limits_can_be_planned_without_numbers():
    config = RenderingConfig(ray_start="auto", ray_end="auto")
    near, far = ray_limits(camera_rays(turntable(2).to("meta"), 4), config)
    assert near.shape == far.shape == (2, 16, 1)


def test_edits_cut_their_gradient():
    density = torch.tensor([2.0, 2.0, -3.0], requires_grad=True)
    points = torch.tensor([[0.45, 0.0, 0.0], [0.0, 0.49, 0.0], [0.0, 0.0, 0.0]])
    edited = DensityEdits(cull_clouds=0.3).apply(density, points, RenderingConfig())
    assert edited.tolist() == [-1000.0, 2.0, -1000.0]
    edited.sum().backward()
    assert density.grad.tolist() == [0.0, 1.0, 0.0]
    solid = DensityEdits(triplane_crop=0, binarize_clouds=0.3).apply(density, points, RenderingConfig())
    assert solid.tolist() == [1000.0, 1000.0, -1000.0]


@torch.no_grad()
@pytest.mark.parametrize("background", [False, True, "white"])
def test_views_in_a_batch_equal_views_one_by_one(tiny, ws, background):
    labels = turntable(3, 0.1)
    planes = tiny.planes(ws[:1])
    together = tiny.render(planes, ws[:1], labels, background=background)
    for view in range(3):
        alone = tiny.render(planes, ws[:1], labels[view : view + 1], background=background)
        assert_same_pictures(alone, [part[view : view + 1] for part in together])


@torch.no_grad()
def test_shared_planes_equal_repeated_planes(tiny, ws):
    labels = turntable(3)
    planes = tiny.planes(ws[:1])
    shared = tiny.render(tiny.prepare(planes), ws[:1], labels, background=True)
    repeated = tiny.render(planes.repeat(3, 1, 1, 1), ws[:1].repeat(3, 1, 1), labels, background=True)
    assert_same_pictures(shared, repeated)


@torch.no_grad()
def test_views_of_several_identities_are_identity_major(tiny, ws):
    labels = turntable(4)
    both = tiny.synthesis(ws, labels, background=True)
    for identity in range(2):
        rows = slice(2 * identity, 2 * identity + 2)
        alone = tiny.synthesis(ws[identity : identity + 1], labels[rows], background=True)
        assert_same_pictures(alone, [part[rows] for part in both])


def assert_same_pictures(a, b):
    image, image_raw, depth, mask = b
    assert torch.allclose(a.image, image, atol=2e-4)
    assert torch.allclose(a.image_raw, image_raw, atol=1e-4)
    assert torch.allclose(a.mask, mask, atol=2e-5)
    seen = mask > 2e-3
    assert torch.allclose(a.depth[seen], depth[seen], atol=1e-4)


@torch.no_grad()
def test_randomness_comes_from_the_generator_alone(tiny, ws):
    def render(seed, **options):
        draws = torch.Generator().manual_seed(seed)
        return tiny.synthesis(
            ws[:1], turntable(1), noise_mode="random", deterministic=False, rng=draws, **options
        ).image

    torch.manual_seed(0)
    first = render(7)
    torch.manual_seed(1)
    assert torch.equal(render(7), first)
    assert not torch.equal(render(8), first)
    fixed = tiny.synthesis(ws[:1], turntable(1)).image
    assert torch.equal(tiny.synthesis(ws[:1], turntable(1)).image, fixed)


@torch.no_grad()
def test_density_noise_only_in_random_renders(tiny, ws):
    rendering = dataclasses.replace(tiny.config.rendering, density_noise=5.0)
    noisy = PanoHead(dataclasses.replace(tiny.config, rendering=rendering)).eval()
    noisy.load_state_dict(tiny.state_dict())
    quiet = tiny.synthesis(ws[:1], turntable(1)).image_raw
    assert torch.equal(noisy.synthesis(ws[:1], turntable(1)).image_raw, quiet)
    drawn = [
        network.synthesis(
            ws[:1], turntable(1), deterministic=False, rng=torch.Generator().manual_seed(0)
        ).image_raw
        for network in (noisy, tiny)
    ]
    assert (drawn[0] - drawn[1]).abs().max() > 1e-3


@torch.no_grad()
def test_cropping_everything_leaves_an_empty_picture(tiny, ws):
    out = tiny.synthesis(
        ws[:1], turntable(1), background="white", options=RenderOptions(edits=DensityEdits(triplane_crop=0.5))
    )
    assert out.mask.max() <= 0
    assert torch.equal(out.image_raw, torch.ones_like(out.image_raw))


def test_what_the_crop_takes_away_is_not_computed_and_changes_nothing(tiny, ws, monkeypatch):
    def draw():
        tiny.zero_grad()
        out = tiny.synthesis(ws[:2], turntable(4))
        out.image_raw.square().sum().backward()
        return *out[1:], tiny.decoder.net[0].weight.grad.clone()

    asked = []
    real = tiny.decoder.forward
    monkeypatch.setattr(tiny.decoder, "forward", lambda points: asked.append(points.numel()) or real(points))
    skipping, few = draw(), sum(asked)
    asked.clear()
    monkeypatch.setattr(HeadField, "_where", lambda self, kept, points: self.at(points))
    everywhere, many = draw(), sum(asked)
    assert few < 0.9 * many
    for got, wanted in zip(skipping, everywhere, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)


def test_rays_that_met_nothing_are_not_looked_at_again():
    asked = []

    def ball(points, kept):
        asked.append(points[..., 0].numel() if kept is None else int(kept.sum()))
        density = 200 * (0.25 - points.norm(dim=-1))
        return density, torch.ones(*points.shape[:-1], 32)

    def draw(empty_ray):
        config = RenderingConfig(triplane_crop=0.0, empty_ray=empty_ray)
        rays = camera_rays(camera_from_angles(0.3), 24)
        return render_rays(ball, rays, config, draws=DepthDraws.make(rays, config))

    every, few = draw(0.0), draw(1e-3)
    assert asked[0] == asked[1] == asked[2]
    assert 0.05 * asked[1] < asked[3] < 0.6 * asked[1]
    seen = few.weight_sum > 0
    assert torch.equal(few.features[seen[..., 0]], every.features[seen[..., 0]])
    assert every.weight_sum[~seen].max() < 2e-3


def test_cameras_that_cannot_be_shared_are_refused(tiny, ws):
    with pytest.raises(UsageError, match="3 cameras cannot be shared evenly by 2"):
        tiny.synthesis(ws, turntable(3))


def test_pictures_have_gradients_in_the_camera(tiny, ws):
    label = camera_from_angles(0.3).requires_grad_(True)
    tiny.synthesis(ws[:1], label).image_raw.square().mean().backward()
    assert torch.isfinite(label.grad).all()
    assert label.grad[:, :12].abs().max() > 0
