"""The critic of patches: who learns from whom, and that it goes on as if never stopped."""

import torch
from torch import Tensor
from torch.nn import functional

from stylehead.methods.critic import CriticInTraining, PatchCritic, criticise


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(seed: int) -> Tensor:
    return torch.randn(4, 3, 32, 32, generator=rng(seed)).clamp(-1, 1)


def test_opinions_are_those_of_the_paper() -> None:
    torch.manual_seed(1)
    critic, painted, true = PatchCritic(), noise(1), noise(2)
    opinion = criticise(critic, painted, true, rng=rng(3))
    again = rng(3)
    first, right, wrong = (0.05 * torch.randn(painted.shape, generator=again) for _ in range(3))
    verdict, maps = critic(painted + first)
    torch.testing.assert_close(opinion.adversarial, -verdict.mean())
    matching = sum((a - b).abs().mean() for a, b in zip(maps, critic(true)[1], strict=True)) / len(maps)
    torch.testing.assert_close(opinion.matching, matching)
    lesson = functional.relu(1 - critic(true + right)[0]).mean()
    lesson = lesson + functional.relu(1 + critic(painted + wrong)[0]).mean()
    torch.testing.assert_close(opinion.lesson, lesson)


def test_the_painter_learns_from_the_verdict_and_the_critic_from_the_lesson_alone() -> None:
    critic, painted = PatchCritic(), noise(1).requires_grad_()
    opinion = criticise(critic, painted, noise(2), rng=rng())
    (opinion.adversarial + opinion.matching).backward()
    assert painted.grad is not None
    assert all(parameter.grad is None for parameter in critic.parameters())
    painted.grad = None
    opinion.lesson.backward()
    assert painted.grad is None
    assert all(parameter.grad is not None for parameter in critic.parameters())


def test_it_learns_to_tell_blur_from_the_sharp_thing() -> None:
    training, draws = CriticInTraining(0, learning_rate=1e-3), rng()
    sharp = noise(7)
    blurred = functional.avg_pool2d(sharp, 5, 1, 2)
    lessons = [float(training.opinion(blurred, sharp, rng=draws).lesson.detach()) for _ in range(40)]
    assert lessons[-1] < 0.2 * lessons[0]
    with torch.no_grad():
        assert training.critic(sharp)[0].mean() > 0.5
        assert training.critic(blurred)[0].mean() < -0.5


def test_it_goes_on_bit_for_bit_from_what_it_packed() -> None:
    one, other = CriticInTraining(0, learning_rate=1e-3), CriticInTraining(5, learning_rate=1e-3)
    for step in range(3):
        one.opinion(noise(step), noise(9), rng=rng(step))
    other.unpack(one.pack())
    for training in (one, other):
        training.opinion(noise(4), noise(9), rng=rng(4))
    assert other.lessons == 4
    assert all(torch.equal(a, b) for a, b in zip(one.pack(), other.pack(), strict=True))


def test_a_render_that_is_not_finite_teaches_nothing() -> None:
    training = CriticInTraining(0, learning_rate=1e-3)
    training.opinion(noise(1) * float("nan"), noise(2), rng=rng())
    training.pack()
    assert all(parameter.isfinite().all() for parameter in training.critic.parameters())


def test_its_first_weights_come_from_its_seed_and_leave_chance_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    one, same, other = (CriticInTraining(seed, learning_rate=1e-3) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    weights = [training.critic.last.weight for training in (one, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
