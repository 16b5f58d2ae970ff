"""The two samplers of the tri-grid: equal, as defined, with the gradients of finite differences."""

import math

import pytest
import torch

from stylehead.generator import TriGrid, sample_trigrid
from stylehead.generator.trigrid import sample_trigrid_mean

AXES = ((0, 1, 2), (0, 2, 1), (1, 2, 0))


def naive_sample(planes, point, depth, box_warp):
    """One identity's planes [3 C D,H,W] at one point: [3,C], from the texels' own positions."""
    channels, height, width = planes.shape
    stacks = planes.reshape(3, channels // (3 * depth), depth, height, width)
    out = []
    for stack, axes in zip(stacks, AXES, strict=True):
        weights = []
        for axis, size in zip(axes, (width, height, depth), strict=True):
            texel = (point[axis] * 2 / box_warp + 1) * size / 2 - 0.5
            weights.append((1 - (texel - torch.arange(size)).abs()).clamp(min=0))
        out.append(torch.einsum("cdhw,w,h,d->c", stack, *weights))
    return torch.stack(out)


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def points():
    return random(2, 9, 3, seed=1) * 0.4  # some lie outside the cube


@pytest.mark.parametrize("method", ["gather", "grid_sample"])
@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_sampling_follows_the_definition(points, method, depth):
    planes = random(2, 3 * 4 * depth, 6, 6)
    sampled = sample_trigrid(planes, points, depth=depth, box_warp=1.2, method=method)
    expected = torch.stack(
        [
            torch.stack([naive_sample(identity, point, depth, 1.2) for point in where], dim=1)
            for identity, where in zip(planes, points, strict=True)
        ]
    )
    assert sampled.shape == (2, 3, 9, 4)
    assert torch.allclose(sampled, expected)


@pytest.mark.parametrize("depth", [1, 3])
def test_methods_agree_with_their_gradients(points, depth):
    results = []
    for method in ("gather", "grid_sample"):
        planes = random(2, 3 * 4 * depth, 5, 5).requires_grad_(True)
        where = points.clone().requires_grad_(True)
        sampled = sample_trigrid(planes, where, depth=depth, method=method)
        (sampled * random(*sampled.shape, seed=2)).sum().backward()
        results.append((sampled.detach(), planes.grad, where.grad))
    for gathered, reference in zip(*results, strict=True):
        assert torch.allclose(gathered, reference)


@pytest.mark.parametrize("method", ["gather", "grid_sample"])
def test_finite_differences(points, method):
    planes = random(2, 3 * 2 * 3, 3, 3).requires_grad_(True)
    where = points[:, :4].clone().requires_grad_(True)
    assert torch.autograd.gradcheck(lambda *args: sample_trigrid(*args, method=method), (planes, where))


def test_finite_differences_of_planes_at_fixed_points(points):
    planes = random(2, 3 * 2 * 3, 3, 3).requires_grad_(True)
    assert torch.autograd.gradcheck(lambda p: sample_trigrid(p, points, method="gather"), (planes,))


def of_uneven_counts(points):
    """Five points of the first identity and all of the second, and whose they are."""
    owners = torch.tensor([0] * 5 + [1] * points.shape[1])
    return torch.cat([points[0, :5], points[1]]), owners


@pytest.mark.parametrize("size", [(5, 5), (4, 7)])
def test_methods_agree_about_planes_at_fixed_points(points, size):
    def gradient(method):
        planes = random(2, 3 * 4 * 3, *size).requires_grad_(True)
        grid = TriGrid.prepare(planes, depth=3, method=method)
        mean = sample_trigrid_mean(grid, *of_uneven_counts(points), box_warp=1.2)
        (mean * random(*mean.shape, seed=2)).sum().backward()
        return planes.grad

    torch.testing.assert_close(gradient("gather"), gradient("grid_sample"))


def test_gradients_of_planes_follow_the_definition(points):
    planes = random(2, 3 * 4 * 3, 5, 6).requires_grad_(True)
    for method in (naive_mean, gathered_mean):
        planes.grad = None
        mean = method(planes, *of_uneven_counts(points))
        (mean * random(*mean.shape, seed=2)).sum().backward()
        if method is naive_mean:
            expected = planes.grad
    torch.testing.assert_close(planes.grad, expected)


def naive_mean(planes, points, owners):
    return torch.stack(
        [naive_sample(planes[k], point, 3, 1.2).mean(dim=0) for point, k in zip(points, owners, strict=True)]
    )


def gathered_mean(planes, points, owners):
    grid = TriGrid.prepare(planes, depth=3, method="gather")
    return sample_trigrid_mean(grid, points, owners, box_warp=1.2)


@pytest.mark.parametrize("count", [0, 1, 300])
def test_planes_of_whom_nobody_asks_get_no_gradient(count):
    planes = random(3, 3 * 4 * 3, 4, 4).requires_grad_(True)
    where, owners = random(count, 3) * 0.5, torch.ones(count, dtype=torch.long)
    gathered_mean(planes, where, owners).sum().backward()
    assert (planes.grad[[0, 2]] == 0).all()
    given = gathered_mean(torch.ones_like(planes), where, owners).detach().sum()
    torch.testing.assert_close(planes.grad[1].sum(), given)  # linear in the planes


def test_mean_is_the_mean_over_the_stacks(points):
    planes = random(2, 3 * 4 * 3, 6, 6)
    expected = sample_trigrid(planes, points, box_warp=0.9).mean(dim=1)
    for method in ("gather", "grid_sample"):
        grid = TriGrid.prepare(planes, depth=3, method=method)
        where, owners = of_uneven_counts(points)
        mean = sample_trigrid_mean(grid, where, owners, box_warp=0.9)
        assert torch.allclose(mean, torch.cat([expected[0, :5], expected[1]]))


def test_lower_precision_of_the_surroundings_leaves_places_exact():
    planes, points = random(2, 3 * 4 * 3, 64, 64).float(), random(2, 500, 3, seed=1).float() * 0.4
    expected = sample_trigrid(planes, points, method="gather")
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(sample_trigrid(planes, points, method="gather"), expected)


def test_prepared_planes_of_either_memory_layout_are_equal(points):
    planes = random(2, 3 * 4 * 3, 6, 6)
    last = planes.contiguous(memory_format=torch.channels_last)
    assert torch.equal(TriGrid.prepare(planes, depth=3).rows, TriGrid.prepare(last, depth=3).rows)


def test_the_outermost_slices_are_half_gone_at_the_faces_of_the_cube():
    planes = torch.ones(1, 3 * 3, 8, 8, dtype=torch.float64)
    z = torch.tensor([0.0, 1 / 3, 0.5, 2 / 3, 1.0], dtype=torch.float64)
    where = torch.stack([torch.zeros(5), torch.zeros(5), z], dim=-1)[None].double()
    first_stack = sample_trigrid(planes, where)[0, 0, :, 0]  # its slices are stacked along z
    assert torch.allclose(first_stack, torch.tensor([1.0, 1.0, 0.5, 0.0, 0.0], dtype=torch.float64))


def test_far_away_points_are_zero_and_finite():
    planes = torch.ones(1, 9, 4, 4)
    far = torch.tensor([[[1e6, 0.0, 0.0], [0.0, -50.0, 9.0]]])
    sampled = sample_trigrid(planes, far, method="gather")
    assert math.isclose(sampled.abs().sum().item(), 0.0)
