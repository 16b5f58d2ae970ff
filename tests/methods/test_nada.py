"""StyleGAN-NADA: its loss written out, its laws, its layers, and the trainer over it."""

import copy
import json
import math

import pytest
import torch
from rivals import ToySpace, vector_length

from stylehead.checkpoints import pack_state, unpack_state
from stylehead.errors import MissingError
from stylehead.generator.checkpoint import read_config
from stylehead.geometry import conditioning_camera
from stylehead.jobs.models import latent_fraction
from stylehead.methods import nada, trainer
from stylehead.methods.config import profile
from stylehead.perception.templates import IMAGENET_TEMPLATES
from stylehead.weights.presets import mini_preset

NADA = {**profile("default", method="nada"), "iterations": 3, "source_prompt": "a man"}


@pytest.fixture
def make_nada(make_stylizer):
    def make(**settings):
        return make_stylizer(**{**NADA, **settings}, image_text=ToySpace(), teacher=None)

    return make


def weights_of(stylizer) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in stylizer.generator.state_dict().items()}


def moved(before, after) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


# ------------------------------------------------------------------------------------------------ the loss


def random_moves(count: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    direction = torch.randn(7, generator=rng, dtype=torch.float64)
    return torch.randn(count, 7, generator=rng, dtype=torch.float64), direction / direction.norm()


def test_the_loss_is_the_mean_of_one_minus_the_cosine_written_out():
    moves, direction = random_moves()
    expected = 0.0
    for move in moves:
        cosine = sum(float(a) * float(b) for a, b in zip(move, direction, strict=True))
        expected += (1 - cosine / (vector_length(move) * vector_length(direction))) / len(moves)
    assert nada.direction_loss(moves, direction).item() == pytest.approx(expected)


@pytest.mark.parametrize(("way", "expected"), [(0.4, 0.0), (30.0, 0.0), (0.0, 1.0), (-2.0, 2.0), (0.05, 0.5)])
def test_it_is_0_along_the_text_1_at_rest_and_2_against_it(way, expected):
    _, direction = random_moves()
    value = nada.direction_loss(way * direction[None], direction, floor=0.1)
    assert value.item() == pytest.approx(expected)


def test_its_gradient_is_that_of_finite_differences_and_points_along_the_text_at_rest():
    moves, direction = random_moves()
    small = moves * 0.01  # below the floor
    for where in (moves, small):
        where.requires_grad_()
        assert torch.autograd.gradcheck(lambda m: nada.direction_loss(m, direction), (where,))
    still = torch.zeros(1, 7, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(nada.direction_loss(still, direction, floor=0.1), still)
    torch.testing.assert_close(gradient[0], -direction / 0.1)


def test_texts_are_averaged_over_the_templates(make_nada):
    method = make_nada(prompt="a rosa").method
    space = ToySpace()
    goal = (space.texts(["a rosa"])[0] + space.texts(["a picture of a rosa"])[0]) / 2
    start = (space.texts(["a man"])[0] + space.texts(["a picture of a man"])[0]) / 2
    torch.testing.assert_close(method.direction, (goal - start) / (goal - start).norm())
    assert set(method.image_text.seen) == {"a rosa", "a picture of a rosa", "a man", "a picture of a man"}
    assert len(set(IMAGENET_TEMPLATES)) == 79
    assert all(template.count("{}") == 1 for template in IMAGENET_TEMPLATES)
    assert not any("many" in template for template in IMAGENET_TEMPLATES)


def test_an_iteration_compares_the_same_heads_from_the_same_sides(make_nada):
    stylizer = make_nada(views=2, background="white", adaptive_layers=1.0)
    stylizer.step()
    draw = copy.deepcopy(stylizer)._draw()
    record = stylizer.step()
    before = copy.deepcopy(stylizer)  # its weights moved in that step: render with those from before it
    before.load_state_dict(make_after_one_step(make_nada))
    method, space = stylizer.method, ToySpace()
    ws = stylizer.reference.mapping(draw.z, conditioning_camera(), truncation_psi=0.75)
    total = 0.0
    for label in draw.labels["single"][0]:
        went = [
            space.images(g.synthesis(ws, label[None], background="white").image)[0]
            for g in (before.generator, stylizer.reference)
        ]
        move = (went[0] - went[1]).detach()
        total += 1 - float(move @ method.direction) / max(vector_length(move), nada.FLOOR)
    assert record.losses["direction"] == pytest.approx(total / 2, abs=1e-4)
    assert 0 < record.losses["direction"] < 1


def make_after_one_step(make_nada):
    stylizer = make_nada(views=2, background="white", adaptive_layers=1.0)
    stylizer.step()
    return stylizer.state_dict()


# -------------------------------------------------------------------------------------------- the training


def test_nothing_moves_when_both_texts_are_the_same(make_nada):
    stylizer = make_nada(prompt="a man", source_prompt="a man")
    before = weights_of(stylizer)
    records = list(stylizer)
    assert [record.losses["direction"] for record in records] == [1.0] * 3
    assert [record.parameter_gradient for record in records] == [0.0] * 3
    assert moved(before, weights_of(stylizer)) == set()


def test_pictures_come_nearer_to_the_direction(make_nada):
    stylizer = make_nada(iterations=12, adaptive_layers=1.0)
    losses = [record.losses["direction"] for record in stylizer]
    assert losses[0] == 1.0
    assert max(losses[-3:]) < 0.85


def test_only_constant_and_convolutions_of_the_backbone_move(make_nada, pristine):
    stylizer = make_nada(adaptive_layers=1.0)
    before = weights_of(stylizer)
    stylizer.run()
    after = moved(before, weights_of(stylizer))
    assert after <= set(stylizer.trained)
    assert all(name.startswith("backbone.synthesis.") for name in after)
    assert not any("torgb" in name for name in after)
    assert "backbone.synthesis.b4.const" in after
    assert any(name.endswith(".bias") for name in after)
    assert pristine.requires_grad_(False) is stylizer.reference


def test_layers_are_numbered_as_style_vectors_modulate_them(pristine):
    found = nada.layers(pristine)
    assert len(found) == pristine.num_ws - 1
    assert found[0][0] == "backbone.synthesis.b4.const"
    camera = conditioning_camera()
    ws = pristine.mapping(torch.randn(1, pristine.config.z_dim), camera).requires_grad_()
    blocks = pristine.backbone.synthesis
    for index, names in enumerate(found):
        affine = next(name for name in names if name.endswith("affine.weight"))
        layer = pristine.get_submodule(affine.removesuffix(".affine.weight"))
        seen = []
        handle = layer.affine.register_forward_hook(lambda _m, given, _o, seen=seen: seen.append(given[0]))
        blocks(ws)
        handle.remove()
        (gradient,) = torch.autograd.grad(seen[0].sum(), ws)
        assert gradient.abs().sum(dim=(0, 2)).nonzero().tolist() == [[index]]


def test_one_step_on_the_style_vectors_ranks_the_layers(make_nada):
    stylizer = make_nada(adaptive_layers=0.5, adaptive_heads=2, yaw_deg=0.0, pitch_deg=0.0)
    method, generator = stylizer.method, stylizer.generator
    chosen = method.updated(generator, stylizer.reference, rng=torch.Generator().manual_seed(7))
    rng = torch.Generator().manual_seed(7)
    scores = torch.zeros(generator.num_ws)
    for _ in range(2):
        z = torch.randn(1, generator.config.z_dim, generator=rng)
        torch.rand(2, 1, generator=rng)  # the camera, which looks straight ahead
        start = generator.mapping(z, conditioning_camera(), truncation_psi=0.75).detach()
        ws = torch.nn.Parameter(start.clone())
        image = generator.synthesis(ws, conditioning_camera(), background="white").image
        goal = method.target / vector_length(method.target)
        optimizer = torch.optim.SGD([ws], lr=0.01)
        (1 - method.image_text.images(image)[0] @ goal).backward()
        optimizer.step()
        scores += (ws - start).detach().abs().mean(dim=(0, 2))
    wanted = int(0.5 * generator.num_ws)
    best = scores[: generator.num_ws - 1].argsort(descending=True)[:wanted]
    assert set(chosen) == {name for index in best.tolist() for name in nada.layers(generator)[index]}
    assert 0 < wanted < generator.num_ws - 1


def test_layers_that_are_not_chosen_stand_still(make_nada, monkeypatch):
    stylizer = make_nada()
    names = [*nada.layers(stylizer.generator)[1], *nada.layers(stylizer.generator)[3]]
    monkeypatch.setattr(stylizer.method, "updated", lambda *_, **__: names)
    before = weights_of(stylizer)
    stylizer.step()
    after = moved(before, weights_of(stylizer))
    assert after
    assert after <= set(names)
    monkeypatch.undo()
    monkeypatch.setattr(stylizer.method, "updated", lambda *_, **__: None)
    stylizer.step()
    assert moved(before, weights_of(stylizer)) > set(names) & after


def test_two_thirds_of_the_published_layers(make_nada):
    share = make_nada().config.adaptive_layers
    for num_ws, expected in ((14, 9), (18, 12)):  # PanoHead's, and StyleGAN2's at 1024 pixels
        assert int(share * num_ws) == expected == int(2 * num_ws / 3)


def test_a_resumed_run_equals_a_straight_one_bit_for_bit(make_nada):
    straight = make_nada()
    straight.run()
    first = make_nada()
    first.step()
    packed, tensors = pack_state(first.state_dict())
    second = make_nada()
    second.load_state_dict(unpack_state(json.loads(json.dumps(packed)), tensors))
    second.run()
    assert moved(weights_of(straight), weights_of(second)) == set()


def test_it_sees_the_same_heads_from_the_same_sides_as_the_paper(make_nada, make_stylizer):
    ours, theirs = make_nada()._draw(), make_stylizer()._draw()
    assert torch.equal(ours.z, theirs.z)
    assert torch.equal(ours.labels["single"], theirs.labels["single"])
    # later draws follow as long as the noise, which nobody looks at here, has the size of a latent
    preset = mini_preset()
    unet = json.loads((preset.teacher / "unet" / "config.json").read_text())
    size = read_config(preset.generator).img_resolution // latent_fraction(preset.teacher)
    assert (trainer.LATENT_CHANNELS, size) == (unet["in_channels"], unet["sample_size"])


def test_published_settings_and_missing_networks(make_nada, make_stylizer):
    published = make_nada(**profile("paper", method="nada")).config
    assert (published.learning_rate, published.batch, published.adaptive_heads) == (0.0016, 2, 8)
    optimizer = make_nada().optimizer
    assert optimizer.param_groups[0]["betas"] == (0.0, pytest.approx(math.pow(0.99, 0.8)))
    assert make_nada(batch=2, psi=1.0).step().losses.keys() == {"direction"}
    with pytest.raises(MissingError, match="image-text"):
        make_stylizer(**NADA)
