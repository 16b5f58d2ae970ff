"""The generator in half precision: renders and gradients are those of single precision, nearly."""

import copy

import pytest
import torch

from stylehead.generator import PanoHead, trainable_parameters
from stylehead.generator.ops import modulated_conv2d
from stylehead.geometry import turntable
from stylehead.precision import HalfPart, computing_in, halves
from stylehead.weights.presets import mini_preset


@pytest.fixture(scope="module")
def embedded() -> PanoHead:
    """The embedded generator: trained weights."""
    return PanoHead.load(mini_preset().require_generator()).requires_grad_(False)


def learn(generator: PanoHead, dtype: torch.dtype, heads: int, *, recompute: bool = False):
    """Render heads from two sides each; images, and what a small gradient on them does to the weights."""
    rng = torch.Generator().manual_seed(2)
    weights = dict(trainable_parameters(generator))
    for weight in weights.values():
        weight.requires_grad_(True)
    with computing_in(dtype, *halves(generator)):
        z = torch.randn(heads, generator.config.z_dim, generator=rng)
        ws = generator.mapping(z, turntable(1), truncation_psi=0.7).detach()
        planes = generator.planes(ws, recompute=recompute)
        out = generator.render(planes, ws, turntable(2).repeat(heads, 1), background="white")
        given = torch.randn(out.image.shape, generator=rng) * 1e-7
        found = torch.autograd.grad(out.image, list(weights.values()), given, allow_unused=True)
    for weight in weights.values():
        weight.requires_grad_(False)
    return out.image.detach(), {n: g for n, g in zip(weights, found, strict=True) if g is not None}


@pytest.mark.parametrize(("heads", "recompute"), [(1, False), (2, True)])
def test_renders_and_gradients_are_those_of_single_precision(
    embedded: PanoHead, heads: int, recompute: bool
) -> None:
    image, wanted = learn(embedded, torch.float32, heads)
    close, found = learn(embedded, torch.float16, heads, recompute=recompute)
    assert close.dtype == torch.float32
    assert (close - image).abs().mean() < 2e-3
    assert found.keys() == wanted.keys()
    assert all(gradient.dtype == torch.float32 for gradient in found.values())
    error = sum(float((found[name] - wanted[name]).square().sum()) for name in wanted) ** 0.5
    size = sum(float(wanted[name].square().sum()) for name in wanted) ** 0.5
    assert error < 0.02 * size, error / size


def test_afterwards_it_computes_as_before(embedded: PanoHead) -> None:
    generator, ws = copy.deepcopy(embedded), torch.zeros(1, embedded.num_ws, embedded.config.w_dim)
    before = generator.planes(ws)
    with computing_in(torch.float16, *halves(generator)):
        assert not torch.equal(generator.planes(ws), before)
    assert torch.equal(generator.planes(ws), before)


def test_no_sum_overflows_that_is_demodulated_away_again() -> None:
    """Large styles and kernels, of several heads: the products in between are beyond half precision."""
    rng = torch.Generator().manual_seed(3)
    x = torch.randn(2, 16, 8, 8, generator=rng) * 30
    weight, styles = torch.randn(8, 16, 3, 3, generator=rng) * 40, torch.randn(2, 16, generator=rng) * 50
    wanted = modulated_conv2d(x, weight, styles)
    part = HalfPart(torch.float16)
    found = modulated_conv2d(part.enter(x), weight, styles, part=part)
    assert (part.leave(found) - wanted).norm() < 5e-3 * wanted.norm()
