"""DiffusionGAN3D, re-implemented: what it adds to score distillation, written out, and its laws."""

import dataclasses
import json

import pytest
import torch

from stylehead.checkpoints import pack_state, unpack_state
from stylehead.methods import diffusiongan3d
from stylehead.methods.config import profile
from stylehead.methods.render_distillation import RenderPrediction

DIFFUSION = {**profile("default", method="diffusiongan3d"), "iterations": 3, "background": "white"}


@pytest.fixture
def make_diffusion(make_stylizer):
    def make(**settings):
        return make_stylizer(**{**DIFFUSION, **settings})

    return make


def weights_of(stylizer) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in stylizer.generator.state_dict().items()}


def equal(one, other) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def prediction_of(wish: torch.Tensor, images: torch.Tensor, frozen: torch.Tensor) -> RenderPrediction:
    """An predicted whose noises differ by `wish`."""
    zeros = torch.zeros_like(wish)
    return RenderPrediction(images, zeros, wish, zeros, torch.full((1, 1, 1, 1), 0.5), frozen, None)


def pictures(count: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    return tuple(torch.rand(count, 3, 8, 8, generator=rng, dtype=torch.float64) for _ in range(2))


def test_reconstruction_written_out_pixel_by_pixel():
    images, frozen = pictures()
    wish = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    total = 0.0
    for b in range(2):
        sizes = [[sum(abs(float(v)) for v in wish[b, :, y, x]) / 4 for x in range(8)] for y in range(8)]
        largest = max(map(max, sizes))
        for y in range(8):
            for x in range(8):
                kept = 1 - sizes[y][x] / largest
                change = (images[b, :, y, x] - frozen[b, :, y, x]).tolist()
                total += kept * sum(v * v for v in change)
    ours = diffusiongan3d.reconstruction_loss(prediction_of(wish, images, frozen))
    assert ours.item() == pytest.approx(total / images.numel())


def test_what_the_teacher_wants_changed_is_free_and_the_rest_is_held():
    images, frozen = pictures(1)
    wish = torch.zeros(1, 4, 8, 8, dtype=torch.float64)
    wish[..., :4] = 1.0  # the left half
    images.requires_grad_()
    loss = diffusiongan3d.reconstruction_loss(prediction_of(wish, images, frozen))
    (gradient,) = torch.autograd.grad(loss, images)
    assert gradient[..., :4].abs().max() == 0
    torch.testing.assert_close(gradient[..., 4:], (2 * (images - frozen) / images.numel())[..., 4:])
    assert torch.autograd.gradcheck(
        lambda x: diffusiongan3d.reconstruction_loss(prediction_of(wish, x, frozen)), (images,)
    )
    still = diffusiongan3d.reconstruction_loss(prediction_of(wish, frozen, frozen))
    assert still.item() == 0


def test_distances_between_identities_are_compared_with_the_iteration_before(make_diffusion):
    stylizer = make_diffusion(relative_distance_floor=0.0, relative_distance_limit=0.0)
    first = stylizer.step()
    assert first.losses == {}
    then, then_fixed = stylizer.method.carried
    scene = stylizer._render(stylizer._draw())
    terms = stylizer.method.terms(scene, rng=stylizer.noise)
    fixed = (scene.reference_planes - then_fixed).unflatten(1, (3, -1)).square().sum(2)
    now = (scene.planes - then).unflatten(1, (3, -1)).square().sum(2)
    expected = (now / fixed - 1).abs().mean()
    latent = stylizer.teacher.latent_channels * stylizer.teacher.latent_size**2
    torch.testing.assert_close(
        terms.losses["relative_distance"], expected * latent / (4 * 64 * 64), rtol=1e-3, atol=1e-9
    )
    stylizer.method.carried = (then_fixed, then_fixed)
    untouched = stylizer.method.terms(
        dataclasses.replace(scene, planes=scene.reference_planes), rng=stylizer.noise
    )
    assert untouched.losses["relative_distance"] == pytest.approx(0, abs=1e-6)


def test_its_score_is_that_of_styleganfusion_without_the_regularisers(make_diffusion, make_stylizer):
    settings = {**profile("default", method="styleganfusion"), "iterations": 3, "background": "white"}
    other = make_stylizer(**{**settings, "perceptual_weight": 0.0, "direction_weight": 0.0})
    ours = make_diffusion(relative_distance_weight=0.0)
    assert ours.step().gradient_rms == other.step().gradient_rms
    assert equal(weights_of(ours), weights_of(other))


def test_reconstruction_is_off_unless_asked_for(make_diffusion):
    plain = make_diffusion()
    assert plain.method.reference_groups() == {}
    held = make_diffusion(reconstruction_weight=5.0)
    assert held.method.reference_groups() == {"single": True}
    first, second = held.step(), held.step()
    assert first.losses["reconstruction"] < 1e-9  # nothing has changed yet
    assert second.losses["reconstruction"] > 0
    assert set(second.losses) == {"reconstruction", "relative_distance"}


def test_the_trainer_resumes_bit_for_bit(make_diffusion):
    straight = make_diffusion()
    straight.run()
    first = make_diffusion()
    first.step()
    packed, tensors = pack_state(first.state_dict())
    second = make_diffusion()
    second.load_state_dict(unpack_state(json.loads(json.dumps(packed)), tensors))
    second.run()
    assert equal(weights_of(straight), weights_of(second))
    assert profile("paper", method="diffusiongan3d")["iterations"] == 5000
