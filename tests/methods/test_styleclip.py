"""StyleCLIP's mapper: its losses written out, their laws, and the trainer over it."""

import json

import pytest
import torch
from rivals import ToySpace
from torch.nn import functional

from stylehead.checkpoints import pack_state, unpack_state
from stylehead.errors import MissingError
from stylehead.generator import load_style, save_style
from stylehead.geometry import conditioning_camera
from stylehead.methods import styleclip
from stylehead.methods.config import profile

CLIP = {**profile("default", method="styleclip"), "iterations": 3, "background": "white"}


def who(image_pm1: torch.Tensor) -> torch.Tensor:
    return functional.normalize(functional.adaptive_avg_pool2d(image_pm1, 3).flatten(1) + 0.1, dim=1)


@pytest.fixture
def make_clip(make_stylizer):
    def make(*, faces=who, **settings):
        return make_stylizer(**{**CLIP, **settings}, image_text=ToySpace(), faces=faces, teacher=None)

    return make


def mapper_of(stylizer) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in stylizer.trained.items()}


def equal(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@torch.no_grad()
def losses_written_out(stylizer) -> dict[str, float]:
    """Weighted losses of the coming iteration, one view and one number at a time."""
    ((mapper, _),) = stylizer.generator.latent_edits
    draw = stylizer._draw()
    ws = stylizer.reference.mapping(draw.z, conditioning_camera(), truncation_psi=0.75)
    moved = ws + mapper(ws)
    space, goal = ToySpace(), ToySpace().texts(["a rosa"])[0]
    clip = identity = 0.0
    for label in draw.labels["single"][0]:
        after, before = (
            stylizer.reference.synthesis(w, label[None], background="white").image for w in (moved, ws)
        )
        clip += (1 - sum(float(a) * float(b) for a, b in zip(space.images(after)[0], goal, strict=True))) / 2
        identity += (1 - float(who(after)[0] @ who(before)[0])) / 2
    offset = float(((moved - ws) ** 2).sum()) / ws.numel()
    return {"clip": clip, "offset": 0.8 * offset, "identity": 0.1 * identity}


def test_the_losses_are_the_recipe_written_out(make_clip):
    stylizer = make_clip(views=2)
    expected = losses_written_out(make_clip(views=2))
    losses = stylizer.step().losses
    assert losses == pytest.approx(expected, rel=1e-3, abs=1e-5)
    assert losses["identity"] > 0


def test_likeness_is_0_for_the_same_and_2_for_opposites_and_has_the_right_gradient():
    rng = torch.Generator().manual_seed(0)
    vectors = functional.normalize(torch.randn(3, 5, generator=rng, dtype=torch.float64), dim=1)
    assert styleclip.likeness_loss(vectors, vectors).item() == pytest.approx(0)
    assert styleclip.likeness_loss(-vectors, vectors).item() == pytest.approx(2)
    assert styleclip.likeness_loss(vectors[:1], vectors[0]).item() == pytest.approx(0)
    goal = vectors[0].clone()
    vectors.requires_grad_()
    assert torch.autograd.gradcheck(lambda v: styleclip.likeness_loss(v, goal), (vectors,))


def test_the_mapper_learns_and_the_generator_stays(make_clip, pristine):
    stylizer = make_clip(iterations=40, offset_weight=0.0, identity_weight=0.0)
    before, draw = mapper_of(stylizer), make_clip(views=4, batch=3)._draw()

    def loss() -> float:
        terms = stylizer.method.terms(stylizer._render(draw), rng=stylizer.noise)
        return terms.losses["clip"].item()

    start = loss()
    stylizer.run()
    assert loss() < start - 0.02
    untouched = pristine.state_dict()
    assert all(torch.equal(t, untouched[name]) for name, t in stylizer.generator.state_dict().items())
    after = mapper_of(stylizer)
    assert all(name.startswith("latent_mapper.") for name in after)
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert stylizer.reference.latent_edits == ()


def test_a_heavy_offset_brings_vectors_back(make_clip):
    stylizer = make_clip(iterations=25, clip_weight=0.0, identity_weight=0.0)
    offsets = [record.losses["offset"] for record in stylizer]
    assert offsets[-1] < 0.5 * offsets[0]


def test_gradients_of_the_mapper_are_those_of_finite_differences(make_clip):
    stylizer = make_clip(offset_weight=5.0)
    draw = stylizer._draw()

    def total() -> torch.Tensor:
        terms = stylizer.method.terms(stylizer._render(draw), rng=stylizer.noise)
        return torch.stack(list(terms.losses.values())).sum()

    weights = list(stylizer.trained.values())
    gradients = torch.autograd.grad(total(), weights, allow_unused=True)
    used = [(w, g) for w, g in zip(weights, gradients, strict=True) if g is not None]
    length = torch.stack([g.square().sum() for _, g in used]).sum().sqrt()
    step = 1.0  # of weights around 100
    values = []
    with torch.no_grad():
        for sign in (1, -2):
            for weight, gradient in used:
                weight += sign * step * gradient / length
            values.append(total())
    slope = (values[0] - values[1]) / (2 * step)
    assert slope.item() == pytest.approx(length.item(), rel=0.1)


def test_a_style_file_gives_the_trained_pictures(make_clip, pristine, tmp_path):
    stylizer = make_clip()
    stylizer.run()
    save_style(tmp_path / "style.safetensors", stylizer.generator, stylizer.reference, {})
    fresh = make_clip().reference
    load_style(tmp_path / "style.safetensors").apply(fresh)
    ws = pristine.mapping(torch.randn(1, pristine.config.z_dim), conditioning_camera())
    pictures = [g.synthesis(ws, conditioning_camera()).image for g in (fresh, stylizer.generator)]
    fresh.latent_edits = ()
    torch.testing.assert_close(*pictures)
    assert not torch.equal(pictures[0], pristine.synthesis(ws, conditioning_camera()).image)


def test_the_trainer_resumes_bit_for_bit(make_clip):
    straight = make_clip()
    straight.run()
    first = make_clip()
    first.step()
    packed, tensors = pack_state(first.state_dict())
    second = make_clip()
    second.load_state_dict(unpack_state(json.loads(json.dumps(packed)), tensors))
    second.run()
    assert equal(mapper_of(straight), mapper_of(second))
    assert not equal(mapper_of(straight), mapper_of(make_clip(seed=1)))


def test_missing_networks(make_clip, make_stylizer):
    with pytest.raises(MissingError, match="image-text"):
        make_stylizer(**CLIP)
    with pytest.raises(MissingError) as error:
        make_clip(faces=None)
    assert error.value.hint == "--identity-weight 0"
    assert set(make_clip(faces=None, identity_weight=0.0).step().losses) == {"clip", "offset"}
    assert profile("paper", method="styleclip")["iterations"] == 50_000
