"""torch.compile: which networks, and that their numbers stay what they were."""

import pytest
import torch
from torch import nn

from stylehead.memory import TIERS
from stylehead.teacher import ControlCondition, NoisyLatents, Teacher


@pytest.fixture
def fresh(teacher_folder) -> Teacher:
    """A teacher of this test's own: what is compiled stays so."""
    return Teacher.load(teacher_folder)


def answers(teacher: Teacher) -> list[torch.Tensor]:
    """Encodings, their gradient, predictions and pictures."""
    rng = torch.Generator().manual_seed(0)
    size = teacher.image_size
    picture = torch.rand(1, 3, size, size, generator=rng).mul(2).sub(1).requires_grad_()
    latents = teacher.encode(picture)
    (gradient,) = torch.autograd.grad(latents.square().sum(), picture)
    edges = ControlCondition("canny", torch.rand(1, 3, size, size, generator=rng))
    noisy = NoisyLatents(latents.detach(), torch.tensor([281]), edges)
    (pair,) = teacher.predict_all([noisy], teacher.encode_prompt("a rosa"))
    return [latents.detach(), gradient, pair.eps_cond, pair.eps_uncond, teacher.decode(latents.detach())]


def test_what_stays_on_the_device_is_compiled_when_it_is_asked_for(make_stylizer, fresh, monkeypatch):
    compiled: list[str] = []
    monkeypatch.setattr(nn.Module, "compile", lambda self: compiled.append(type(self).__name__))
    make_stylizer(teacher=fresh)
    assert compiled == []
    make_stylizer(teacher=fresh, compile=True)
    assert sorted(compiled) == [
        "ControlNetModel", "ControlNetModel", "Decoder", "Encoder", "UNet2DConditionModel",
    ]  # fmt: skip
    compiled.clear()
    fresh._offloaded = dict.fromkeys((fresh.parts.unet, *fresh.parts.controlnets.values()))
    fresh.compile()
    assert sorted(compiled) == ["Decoder", "Encoder"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.filterwarnings("ignore")  # of the compiler, which are not ours
def test_compiled_networks_answer_as_before(fresh):
    fresh.save_memory(TIERS["24"])
    wanted = answers(fresh)
    fresh.compile()
    for found, expected in zip(answers(fresh), wanted, strict=True):
        assert (found - expected).norm() < 1e-3 * expected.norm()
