"""Reads from a portrait who it shows: the attributes that a head of the embedded world is described by.

A photograph of the real world is no picture of the embedded one, and what comes nearest to it by pixels is
often nobody: fair hair is bright like skin, a shadow on the chin is dark like a beard. So the attributes are
predicted instead, by a network that learned from procedural heads in front of anything and in any light, and
the head is drawn from them.
"""

import itertools
import os
import zlib
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from stylehead.errors import JobError, MissingError
from stylehead.files import save_tensors
from stylehead.images import resize
from stylehead.perception.embedded import INPUT_SIZE, Residual, Saved
from stylehead.perception.roles import file_name

ATTRIBUTES_FILE = "attributes.safetensors"
NUMBERS = 128
"""Of an identity."""
PARTS = ("skin", "hair", "clothes")
"""What a pixel can show, beside what is none of these."""
PARTS_EDGE = INPUT_SIZE // 4
_WIDTHS = (32, 64, 128, 192)
_STEPS = 31  # a weight is one of twice as many and one, between its output's largest and the opposite
_PACKED, _SCALES = "packed", "scales"
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

    def save(self, path: str | os.PathLike[str], metadata: dict[str, str]) -> None:
        """Write matrices and kernels in 63 steps for each output, deflated; the rest in half precision."""
        state = self.state_dict()
        steps, scales = [], []
        for name in self._matrices():
            rows = state[name].flatten(1)
            scale = (rows.abs().amax(dim=1, keepdim=True) / _STEPS).half().float().clamp(min=1e-7)
            steps.append((rows / scale).round().clamp(-_STEPS, _STEPS).char().flatten())
            scales.append(scale.flatten())
        deflated = zlib.compress(torch.cat(steps).cpu().numpy().tobytes(), 9)
        rest = {name: tensor.half() for name, tensor in state.items() if name not in self._matrices()}
        packed = torch.from_numpy(np.frombuffer(deflated, np.uint8).copy())
        save_tensors(Path(path), {**rest, _PACKED: packed, _SCALES: torch.cat(scales).half()}, metadata)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a file of `save`, in evaluation mode and single precision.

        Raises:
            MissingError: There is no such file.
            JobError: It is damaged or of another network.
        """
        if not Path(path).is_file():
            raise MissingError(f"{path} is not there.", "python -m stylehead.world attributes")
        network = cls()
        try:
            found = load_file(path)
            packed, scales = found.pop(_PACKED), found.pop(_SCALES).float()
            state = network.state_dict()
            matrices = {name: state[name] for name in network._matrices()}
            count = sum(tensor.numel() for tensor in matrices.values())
            inflated = zlib.decompressobj().decompress(packed.numpy().tobytes(), count)
            steps = torch.from_numpy(np.frombuffer(inflated, np.int8).copy()).float()
            parts = steps.split([tensor.numel() for tensor in matrices.values()])
            outputs = scales.split([len(tensor) for tensor in matrices.values()])
            for (name, tensor), part, scale in zip(matrices.items(), parts, outputs, strict=True):
                found[name] = (part.view(len(tensor), -1) * scale[:, None]).view(tensor.shape)
            network.load_state_dict({name: tensor.float() for name, tensor in found.items()})
        except (SafetensorError, KeyError, ValueError, RuntimeError, TypeError, zlib.error) as error:
            raise JobError(f"{path} does not hold an {cls.__name__}.") from error
        network.name = file_name(cls.title, Path(path))
        return network.eval().requires_grad_(False)

    def _matrices(self) -> list[str]:
        """Names of the parameters that are matrices or kernels."""
        return [name for name, parameter in self.named_parameters() if parameter.dim() > 1]
