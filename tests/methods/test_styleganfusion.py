"""StyleGAN-Fusion: its gradients written out, its laws, and the trainer over it."""

import json

import pytest
import torch

from stylehead.checkpoints import pack_state, unpack_state
from stylehead.errors import MissingError, UsageError
from stylehead.geometry import conditioning_camera
from stylehead.images import resize
from stylehead.methods import render_distillation
from stylehead.methods.config import profile
from stylehead.teacher import EpsPair

FUSION = {**profile("default", method="styleganfusion"), "iterations": 3, "background": "white"}


def feature_maps(image: torch.Tensor) -> list[torch.Tensor]:
    return [torch.nn.functional.avg_pool2d(image, 4) + 1.5, image**2]


@pytest.fixture
def make_fusion(make_stylizer):
    def make(**settings):
        return make_stylizer(**{**FUSION, **settings}, features=feature_maps)

    return make


def weights_of(stylizer) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in stylizer.generator.state_dict().items()}


def equal(one, other) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def shift(stylizer, amount: float = 0.3) -> None:
    """Move the trained generator away from its reference."""
    with torch.no_grad():
        weight = stylizer.generator.get_parameter("superresolution.block1.torgb.weight")
        weight += amount * torch.randn(weight.shape, generator=torch.Generator().manual_seed(2))


def rms(tensor: torch.Tensor) -> float:
    """Root mean square, number by number."""
    numbers = tensor.flatten().tolist()
    return (sum(x * x for x in numbers) / len(numbers)) ** 0.5


def written_out(stylizer, *, rescale: bool = True):
    """Gradients of an iteration before scale and clamp: (distilled, direction), one picture at a time."""
    teacher, config = stylizer.teacher, stylizer.config
    draw = stylizer._draw()
    ws = stylizer.reference.mapping(draw.z, conditioning_camera(), truncation_psi=0.75)
    t = 981 - 20 * draw.step_index["single"]
    alpha_bar = float(teacher.schedule.alphas_cumprod[t])
    eps, said = draw.eps["single"], []
    for generator in (stylizer.generator, stylizer.reference):
        image = generator.synthesis(ws, draw.labels["single"][0], background="white").image
        latents = teacher.encode(resize(image, teacher.image_size).clamp(-1, 1))
        noised = alpha_bar**0.5 * latents + (1 - alpha_bar) ** 0.5 * eps
        pair = teacher.predict(noised.detach(), t, teacher.encode_prompt(config.prompt))
        guided = pair.eps_uncond + 100 * (pair.eps_cond - pair.eps_uncond)
        said.append(guided / rms(guided) if rescale else guided)
    drawn = eps / rms(eps) if rescale else eps
    return (1 - alpha_bar) * (said[0] - drawn), (1 - alpha_bar) * (said[0] - said[1])


@pytest.mark.parametrize("rescale", [True, False])
def test_the_gradient_on_the_latents_is_the_recipe_written_out(make_fusion, rescale):
    stylizer = make_shifted(make_fusion, rms_rescale=rescale, perceptual_weight=0.0)
    distilled, direction = written_out(stylizer, rescale=rescale)
    expected = distilled.clamp(-1, 1) / 100 + (0.5 * direction).clamp(-1, 1) / 100
    stylizer.choices.manual_seed(0)
    draw = stylizer._draw()
    weight = stylizer.generator.get_parameter("superresolution.block1.torgb.weight")
    terms = stylizer.method.terms(stylizer._render(draw), rng=stylizer.noise)
    (ours,) = torch.autograd.grad(terms.scores["single"], weight)
    predicted = stylizer.method.predict_renders(stylizer._render(draw), rng=stylizer.noise)
    torch.testing.assert_close(render_distillation.distilled(predicted), distilled, rtol=2e-3, atol=2e-3)
    assert terms.gradient_rms["single"] == pytest.approx(rms(expected), rel=1e-2)
    # on the weights, by the chain rule through renderer and encoder
    (by_hand,) = torch.autograd.grad(predicted.latents, weight, grad_outputs=expected)
    torch.testing.assert_close(ours, by_hand, rtol=2e-2, atol=1e-5)


def make_shifted(make_fusion, **settings):
    stylizer = make_fusion(**settings)
    shift(stylizer)
    return stylizer


def test_noises_are_scaled_sample_by_sample():
    eps = torch.randn(3, 4, 5, 6, generator=torch.Generator().manual_seed(0)) * torch.tensor(
        [0.1, 1.0, 30.0]
    ).reshape(3, 1, 1, 1)
    scaled = render_distillation.unit_rms(eps)
    for before, after in zip(eps, scaled, strict=True):
        assert rms(after) == pytest.approx(1)
        torch.testing.assert_close(after, before / rms(before))
    assert torch.equal(render_distillation.unit_rms(torch.zeros(1, 2, 2, 2)), torch.zeros(1, 2, 2, 2))


def test_the_regularisers_ask_for_nothing_while_both_renders_are_the_same(make_fusion):
    pulled = make_fusion(direction_weight=3.0).step()
    free = make_fusion(direction_weight=0.0, perceptual_weight=0.0).step()
    assert pulled.gradient_rms == pytest.approx(free.gradient_rms, rel=1e-5)
    assert pulled.losses["perceptual"] < 1e-9
    shifted = make_shifted(make_fusion).step()
    assert shifted.losses["perceptual"] > 1e-4
    assert set(free.losses) == set()


def test_a_teacher_that_knows_the_noise_asks_for_nothing(make_fusion, monkeypatch):
    stylizer = make_fusion(perceptual_weight=0.0)
    before, draw = weights_of(stylizer), stylizer._draw()
    eps = draw.eps["single"]
    monkeypatch.setattr(stylizer, "_draw", lambda: draw)
    monkeypatch.setattr(stylizer.teacher, "predict_all", lambda q, _t: [EpsPair(eps, eps) for _ in q])
    assert stylizer.step().gradient_rms["single"] == 0
    assert equal(before, weights_of(stylizer))


def test_the_perceptual_distance_keeps_its_published_balance(make_fusion):
    stylizer = make_shifted(make_fusion)
    scene = stylizer._render(stylizer._draw())
    terms = stylizer.method.terms(scene, rng=stylizer.noise)
    size = stylizer.teacher.image_size
    pictures = [resize(v["single"].final(), size).clamp(-1, 1) for v in (scene.views, scene.reference_views)]
    distance = 0.0
    for one, other in zip(*map(feature_maps, pictures), strict=True):
        normal = [x / x.norm(dim=1, keepdim=True) for x in (one, other)]
        distance += (normal[0] - normal[1]).square().sum(dim=1).mean()
    latent = stylizer.teacher.latent_channels * stylizer.teacher.latent_size**2
    torch.testing.assert_close(
        terms.losses["perceptual"], 20 * distance * latent / (4 * 64 * 64), rtol=1e-3, atol=1e-7
    )


def test_the_trainer_runs_resumes_and_leaves_biases_alone(make_fusion):
    straight = make_fusion()
    before = weights_of(straight)
    records = list(straight)
    assert all(record.non_finite == () for record in records)
    after = weights_of(straight)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert not any(name.endswith(".bias") for name in moved)
    assert any(name.startswith("superresolution.") for name in moved)
    first = make_fusion()
    first.step()
    packed, tensors = pack_state(first.state_dict())
    second = make_fusion()
    second.load_state_dict(unpack_state(json.loads(json.dumps(packed)), tensors))
    second.run()
    assert equal(after, weights_of(second))


def test_answers_that_are_not_finite_count_for_nothing(make_fusion, monkeypatch):
    stylizer = make_fusion(perceptual_weight=0.0)
    before = weights_of(stylizer)
    honest = stylizer.teacher.predict_all
    monkeypatch.setattr(
        stylizer.teacher, "predict_all",
        lambda q, t: [pair._replace(eps_cond=pair.eps_cond * torch.nan) for pair in honest(q, t)],
    )  # fmt: skip
    assert stylizer.step().non_finite == ("single", "step")
    assert equal(before, weights_of(stylizer))


def test_published_timesteps_and_missing_networks(make_fusion, make_stylizer):
    stylizer = make_fusion()
    low, high = stylizer.config.step_range
    timesteps = stylizer.teacher.schedule.timestep(torch.arange(low, high + 1))
    assert timesteps.min() - 20 < 10 <= timesteps.min()
    assert timesteps.max() <= 500 < timesteps.max() + 20
    assert profile("release", method="styleganfusion")["iterations"] == 5001
    with pytest.raises(MissingError) as error:
        make_stylizer(**FUSION)
    assert error.value.hint == "--perceptual-weight 0"
    with pytest.raises(UsageError, match="--ddim-steps"):
        make_fusion(ddim_steps=60)
    with pytest.raises(MissingError, match="teacher"):
        make_stylizer(**FUSION, teacher=None)
