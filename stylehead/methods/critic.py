"""A critic of patches: tells true pictures from painted ones, and so a mean of all answers from one of them.

A regression that is not sure where an eyelid ends paints the mean of all places. The critic D has seen true
pictures x and painted ones y, and each side learns from the other (n is a little noise on all that D sees):

    (C) D minimises  max(0, 1 - D(x + n)) + max(0, 1 + D(y + n))        the hinge loss
    (A) y minimises  -D(y + n)
    (M) y minimises  |D_l(y + n) - D_l(x)| over the layers l of D       feature matching

Source: pix2pixHD (Wang et al., 2018, arXiv 1711.11585), equation 4; patches as in pix2pix (1611.07004).
"""

import itertools
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

_WIDTHS = (32, 64, 96, 128)
_NOISE = 0.05  # so that the critic does not go by the last bit of a white pixel


class PatchCritic(nn.Module):
    """Classifies every patch of a picture [B, 3, R, R]: true (above 0) or painted (below)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Conv2d(before, after, 4, 2, 1) for before, after in itertools.pairwise((3, *_WIDTHS))
        )
        self.last = nn.Conv2d(_WIDTHS[-1], 1, 3, 1, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return verdicts [B, 1, R/16, R/16] and the feature maps on the way."""
        maps = []
        for layer in self.layers:
            images = functional.leaky_relu(layer(images), 0.2)
            maps.append(images)
        return self.last(images), maps


class Opinion(NamedTuple):
    """The losses of both sides, scalars.

    Attributes:
        adversarial: (A), of what paints.
        matching: (M), of what paints.
        lesson: (C), of the critic.
    """

    adversarial: Tensor
    matching: Tensor
    lesson: Tensor


def criticise(critic: PatchCritic, painted: Tensor, true: Tensor, *, rng: torch.Generator) -> Opinion:
    """Compare painted pictures with true ones, both [B, 3, R, R] in -1..1.

    Gradients of (A) and (M) reach the painted pictures alone, those of (C) the critic alone.

    Args:
        critic: Its parameters are switched on at the end.
        painted: With gradients.
        true: Constants.
        rng: Source of the noise, on the pictures' device or on the CPU.
    """
    critic.requires_grad_(False)
    verdict, maps = critic(_noisy(painted, rng))
    with torch.no_grad():
        wanted = critic(true)[1]
    matching = torch.stack([(a - b).abs().mean() for a, b in zip(maps, wanted, strict=True)]).mean()
    critic.requires_grad_(True)
    right, wrong = (critic(_noisy(pictures, rng))[0] for pictures in (true, painted.detach()))
    lesson = functional.relu(1 - right).mean() + functional.relu(1 + wrong).mean()
    return Opinion(-verdict.mean(), matching, lesson)


def _noisy(images: Tensor, rng: torch.Generator) -> Tensor:
    noise = torch.randn(images.shape, generator=rng, device=rng.device)
    return images + _NOISE * noise.to(images.device)


class CriticInTraining:
    """A critic with its own Adam, that learns one lesson a step; what it knows packs into plain tensors.

    Args:
        seed: Of its first weights.
        learning_rate: Of its Adam.
    """

    def __init__(self, seed: int, *, learning_rate: float) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.critic = PatchCritic()
        self._learning_rate = learning_rate
        self._lessons = 0
        self._forget_moments()

    @property
    def lessons(self) -> int:
        """How many steps it has learned from."""
        return self._lessons

    def opinion(self, painted: Tensor, true: Tensor, *, rng: torch.Generator) -> Opinion:
        """Learn from a step's pictures [B, 3, R, R], and return the losses on them."""
        self._update()
        if next(self.critic.parameters()).device != painted.device:
            self.critic.to(painted.device)
            self._forget_moments()
        opinion = criticise(self.critic, painted, true, rng=rng)
        opinion.lesson.backward()
        self._lessons += 1
        return opinion

    def _update(self) -> None:
        """Descend the last lesson; late, as the gradient on what paints needs the weights of then."""
        gradients = [p.grad for p in self.critic.parameters() if p.grad is not None]
        for gradient in gradients:
            gradient.nan_to_num_(0.0, 0.0, 0.0)  # a bad render is no lesson
        if gradients:
            self._optimizer.step()
            self._optimizer.zero_grad(set_to_none=True)

    def pack(self) -> tuple[Tensor, ...]:
        """Return copies of all that it needs: lessons, then each parameter and its two moments."""
        self._update()
        packed = [torch.tensor(self._lessons)]
        for parameter in self.critic.parameters():
            moments = self._optimizer.state[parameter]
            packed += [parameter.detach().clone(), moments["exp_avg"].clone(), moments["exp_avg_sq"].clone()]
        return tuple(packed)

    def unpack(self, packed: tuple[Tensor, ...]) -> None:
        """Go on from what `pack` returned, where its tensors are."""
        self._lessons = int(packed[0])
        self.critic.to(packed[1].device)
        self._forget_moments()
        parameters = list(self.critic.parameters())
        for index, parameter in enumerate(parameters):
            weight, first, second = packed[1 + 3 * index : 4 + 3 * index]
            parameter.data.copy_(weight)
            self._optimizer.state[parameter] = {
                "step": torch.tensor(float(self._lessons)),
                "exp_avg": first.clone(),
                "exp_avg_sq": second.clone(),
            }

    def _forget_moments(self) -> None:
        self._optimizer = torch.optim.Adam(
            self.critic.parameters(), lr=self._learning_rate, betas=(0.5, 0.99)
        )
