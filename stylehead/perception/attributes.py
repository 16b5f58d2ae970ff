"""Reads from a portrait who it shows: the attributes that a head of the embedded world is described by.

A photograph of the real world is no picture of the embedded one, and what comes nearest to it by pixels is
often nobody: fair hair is bright like skin, a shadow on the chin is dark like a beard. So the attributes are
predicted instead, by a network that learned from procedural heads in front of anything and in any light, and
the head is drawn from them.
"""

import itertools
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from stylehead.images import resize
from stylehead.perception.embedded import INPUT_SIZE, Residual, Saved

ATTRIBUTES_FILE = "attributes.safetensors"
NUMBERS = 128
"""Of an identity."""
PARTS = ("skin", "hair", "clothes")
"""What a pixel can show, beside what is none of these."""
PARTS_EDGE = INPUT_SIZE // 4
_WIDTHS = (32, 64, 128, 192)
_CHROMATIC_ROOT = 3.0  # colours are learned as cube roots, which differ as they look different


class Attributes(NamedTuple):
    """What is predicted of B pictures."""

    scores: Tensor
    """[B, 128]: measures in units of their spread, and logits of the choices."""
    parts: Tensor
    """[B, 1 + len(PARTS), R/4, R/4], logits of what each pixel shows; the first of none of `PARTS`."""


class AttributeEncoder(Saved):
    """Predicts the identity in numbers of whom a picture [B, 3, R, R] in -1..1 shows, as it was aligned."""

    title = "mini attributes"
    group: Tensor
    """[128], integers: 0 for a measure, else which choice a number is an option of; 1 is the hair."""
    doubted: Tensor
    """[128], 1 for options that are believed only if they are sure."""
    colour: Tensor
    """[128], 1 where a number is a share of linear light."""
    tint: Tensor
    """[128], 1 where a number only colours: skin, hair and clothes."""
    mean: Tensor
    spread: Tensor
    """[128], of the measures as they are learned."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, _WIDTHS[0], 5, 2, 2)
        self.stages = nn.ModuleList(
            nn.Sequential(Residual(before, after, stride=2), Residual(after, after, stride=1))
            for before, after in itertools.pairwise(_WIDTHS)
        )
        self.lateral = nn.ModuleList(nn.Conv2d(width, 64, 1) for width in _WIDTHS[1:])
        self.parts = nn.Conv2d(64, 1 + len(PARTS), 3, 1, 1)
        self.reduce = nn.Conv2d(_WIDTHS[-1], 32, 1)
        places = 32 * (INPUT_SIZE // 16) ** 2
        self.head = nn.Sequential(
            nn.Linear(places + 2 * _WIDTHS[-1], 256), nn.LeakyReLU(0.2), nn.Linear(256, NUMBERS)
        )
        for name, value in (
            ("group", 0.0),
            ("doubted", 0.0),
            ("colour", 0.0),
            ("tint", 0.0),
            ("mean", 0.0),
            ("spread", 1.0),
        ):
            self.register_buffer(name, torch.full((NUMBERS,), value))

    def forward(self, image_pm1: Tensor) -> Attributes:
        """Predict from pictures [B, 3, R, R] in -1..1, resized to 128 where needed."""
        x = functional.relu(self.stem(resize(image_pm1, INPUT_SIZE)))
        pyramid = x.new_zeros(())
        for stage, lateral in zip(self.stages, self.lateral, strict=True):
            x = stage(x)
            pyramid = pyramid + resize(lateral(x), PARTS_EDGE, antialias=False)
        places = functional.relu(self.reduce(x)).flatten(1)
        scores = self.head(torch.cat([places, x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1))
        return Attributes(scores, self.parts(functional.relu(pyramid)))

    def learned(self, numbers: Tensor) -> Tensor:
        """Identities in numbers [B, 128] as they are learned: measures standardised, choices as they are."""
        measures = (self._perceived(numbers) - self.mean) / self.spread
        return torch.where(self.group > 0, numbers, measures)

    def numbers(self, scores: Tensor) -> Tensor:
        """The identity in numbers [B, 128] for scores: the likeliest of every choice, nothing in between."""
        chosen = self.meant(scores)
        for members in self.choices():
            best = scores[:, members].argmax(dim=1)
            chosen[:, members] = functional.one_hot(best, int(members.sum())).to(scores)
        return chosen

    def meant(self, learned: Tensor) -> Tensor:
        """Undo `learned`: measures as they are meant, choices as they are."""
        measures = learned * self.spread + self.mean
        colours = measures.clamp(min=0) ** _CHROMATIC_ROOT
        return torch.where(self.group > 0, learned, torch.where(self.colour > 0, colours, measures))

    def choices(self) -> list[Tensor]:
        """For each choice, which of the numbers are its options, [128] each."""
        return [self.group == number for number in range(1, int(self.group.max()) + 1)]

    def _perceived(self, numbers: Tensor) -> Tensor:
        return torch.where(self.colour > 0, numbers.clamp(min=0) ** (1 / _CHROMATIC_ROOT), numbers)

    def describe(
        self, numbers: Tensor, *, group: Tensor, doubted: Tensor, colour: Tensor, tint: Tensor
    ) -> None:
        """Take over what the numbers mean, and how identities [N, 128] differ in them."""
        self.group.copy_(group)
        self.doubted.copy_(doubted)
        self.colour.copy_(colour)
        self.tint.copy_(tint)
        perceived = self._perceived(numbers)
        self.mean.copy_(perceived.mean(dim=0))
        self.spread.copy_(perceived.std(dim=0).clamp(min=0.02))
