"""The mapping's first weights, written down instead of learned: the rules of the procedural world as layers.

What a person looks like follows from z by rules that a network finds slowly, above all those that choose: the
best of twelve scores is the cut of the hair, a limit passed puts glasses on. A leaky ReLU can say all of it.
Four layers make the numbers of the identity out of z; four more are the network that made w of these numbers
when the synthesis was trained, as it is. What is left is fitted by least squares, and then by `mapping.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from stylehead.generator.layers import LRELU_GAIN, LRELU_SLOPE, FullyConnected
from stylehead.world.heads.identity import (
    BEARD_LIMITS,
    GLASSES_LIMITS,
    LATENT_SIZE,
    SHIRT_LIMITS,
    At,
    hair_odds,
    identity_from_z,
    shirt_score,
)

if TYPE_CHECKING:
    from stylehead.generator.backbone import MappingNetwork
    from stylehead.inversion.identity_to_w import IdentityToW

NumbersOf = Callable[[np.ndarray], np.ndarray]
"""From z [N, 64] to the numbers of the identities [N, 128]."""

_FEWEST_LAYERS, _FEWEST_FEATURES = 8, 512

_LIFT = 6.0
"""Added to what only passes through a layer, so that it is never negative."""

_STEEPNESS = 8.0
"""A choice goes from 0 to 1 within 1/8 of a standard deviation: walks in z have to stay smooth."""

_MIXED = [
    *(At.GENDER, At.AGE, *range(At.ANCESTRY.start, At.ANCESTRY.stop), At.MELANIN, At.BLOOD),
    *(At.FACE.start + factor for factor in range(6)),  # brows, eyes and lips borrow these
    *(At.HAIR_COLOUR, At.GREY, At.BEARD, At.SHIRT),
]
"""Entries of z that traits combine, or bend more than once."""

_ORIGINS = 160
"""Mixtures of the three entries for the ancestry alone, on which skin, eyes and hair depend."""

_BENT = {
    **dict.fromkeys((At.GENDER, At.AGE, At.WEIGHT, At.MUSCLE, At.SMILE, At.JAW, At.SQUINT), 7),
    **dict.fromkeys((At.EYES_OPEN, At.LIGHT, At.FACE.start + 5), 7),
    **dict.fromkeys((At.BEARD, At.SHIRT), 23),  # corners at the last limit, and at nine colours in a row
}
"""Entries of z that act alone, along a curve, and at how many places it may bend."""


@dataclass(frozen=True)
class Affine:
    """N affine functions of a layer's activations: `weight y + bias`, weight [N, width], bias [N]."""

    weight: Tensor
    bias: Tensor

    def __add__(self, other: "Affine | float") -> "Affine":
        if isinstance(other, Affine):
            return Affine(self.weight + other.weight, self.bias + other.bias)
        return Affine(self.weight, self.bias + other)

    def __sub__(self, other: "Affine") -> "Affine":
        return self + other * -1

    def __mul__(self, factor: float) -> "Affine":
        return Affine(self.weight * factor, self.bias * factor)

    def __getitem__(self, rows: int | slice | list[int]) -> "Affine":
        rows = [rows] if isinstance(rows, int) else rows
        return Affine(self.weight[rows], self.bias[rows])

    def then(self, matrix: Tensor, offset: Tensor | float = 0.0) -> "Affine":
        """`matrix` [M, N] times these, plus `offset`."""
        return Affine(matrix @ self.weight, matrix @ self.bias + offset)

    def of(self, said: Tensor) -> Tensor:
        """Values [B, N] for the activations `said` [B, width]."""
        return functional.linear(said, self.weight, self.bias)


def stacked(*parts: Affine) -> Affine:
    """All functions of the same layer, one after the other."""
    return Affine(torch.cat([part.weight for part in parts]), torch.cat([part.bias for part in parts]))


class Writer:
    """A layer while its rows are written; every method returns affine functions of what the layer will say.

    Args:
        layer: Becomes zero but for what is written.
    """

    def __init__(self, layer: FullyConnected) -> None:
        self.layer = layer
        self.written = 0
        layer.weight.data.zero_()
        layer.bias.data.zero_()

    @property
    def left(self) -> int:
        """Rows that are still zero."""
        return len(self.layer.bias) - self.written

    def bent(self, what: Affine) -> Affine:
        """The leaky ReLU of each."""
        rows = torch.arange(len(what.bias)) + self.written
        self.written += len(rows)
        self.layer.weight.data[rows, : what.weight.shape[1]] = what.weight / self.layer.weight_gain
        self.layer.bias.data[rows] = what.bias / self.layer.bias_gain
        picked = functional.one_hot(rows, len(self.layer.bias)).float()
        return Affine(picked / LRELU_GAIN, torch.zeros(len(rows)))

    def kept(self, what: Affine) -> Affine:
        """Each as it is, unless it is below minus six."""
        return self.bent(what + _LIFT) + -_LIFT

    def positive(self, what: Affine) -> Affine:
        """The part of each above zero."""
        return (self.bent(what) + self.bent(what * -1) * LRELU_SLOPE) * (1 / (1 - LRELU_SLOPE**2))

    def step(self, what: Affine) -> Affine:
        """0 where it is well below zero, 1 well above, a ramp between."""
        ramp = self.bent(what * _STEEPNESS + 0.5) - self.bent(what * _STEEPNESS + -0.5)
        return (ramp + -LRELU_SLOPE) * (1 / (1 - LRELU_SLOPE))

    def anything(self, what: Affine, said: Tensor, rng: torch.Generator, rows: int | None = None) -> Affine:
        """Random mixtures of all, bent at random places; by default as many as there are rows left."""
        values, rows = what.of(said), self.left if rows is None else rows
        mixing = torch.randn(rows, values.shape[1], generator=rng) / values.std(dim=0).clamp(min=1e-3)
        mixed = values @ mixing.t()
        mixing /= mixed.std(dim=0)[:, None]
        offset = 0.5 * torch.randn(rows, generator=rng) - mixed.mean(dim=0) / mixed.std(dim=0)
        return self.bent(what.then(mixing, offset))


@torch.no_grad()
def write_mapping(
    mapping: "MappingNetwork", identity_to_w: "IdentityToW", numbers_of: NumbersOf, *, people: int = 16384
) -> None:
    """Write all layers of a mapping from the rules and from the network it has to equal.

    Args:
        mapping: Overwritten. The camera label no longer acts.
        identity_to_w: The network that the synthesis was trained with.
        numbers_of: The procedural world's z -> identity.
        people: Random latents for the least squares.

    Raises:
        ValueError: The mapping has less than 8 layers or less than 512 features between them.
    """
    _embed, *layers = (layer for layer in mapping.children() if isinstance(layer, FullyConnected))
    if len(layers) < _FEWEST_LAYERS or len(layers[0].bias) < _FEWEST_FEATURES:
        raise ValueError("The rules of the procedural world need 8 layers of 512.")
    rng = torch.Generator().manual_seed(5)
    z = torch.randn(people, LATENT_SIZE, generator=rng)
    z = z * z.square().mean(dim=1, keepdim=True).rsqrt()
    standard = identity_to_w.standardised(torch.from_numpy(numbers_of(z.double().numpy())).float())
    numbers = _write_numbers(layers[:4], z, standard, rng)
    for layer in layers[4:-4]:
        numbers = Writer(layer).kept(numbers)
    _write_w(layers[-4:], identity_to_w, numbers)


def _write_numbers(layers: list[FullyConnected], z: Tensor, numbers: Tensor, rng: torch.Generator) -> Affine:
    """Find the standardised numbers of the identity in z."""
    scores, choices, combined, last = map(Writer, layers)
    latent = Affine(torch.eye(LATENT_SIZE, layers[0].weight.shape[1]), torch.zeros(LATENT_SIZE))
    said = functional.pad(z, (0, layers[0].weight.shape[1] - LATENT_SIZE))

    kept, curves = scores.kept(latent), scores.bent(_bends(latent, dict.fromkeys(_MIXED, 7)))
    origins = scores.anything(latent[At.ANCESTRY], said, rng, rows=_ORIGINS)
    mixtures = stacked(curves, origins, scores.anything(latent[_MIXED], said, rng))
    said = layers[0](said)

    cuts = kept[At.HAIR_STYLE] + least_squares(stacked(kept, mixtures), said, _odds(z))
    pairs = list(combinations(range(len(cuts.bias)), 2))
    wins = choices.step(cuts[[one for one, _ in pairs]] - cuts[[other for _, other in pairs]])
    limits = choices.step(_limits(kept))
    male = choices.step(kept[At.GENDER] * -1)
    kept, mixtures = choices.kept(kept), choices.anything(stacked(kept[_MIXED], mixtures), said, rng)
    said = layers[1](said)

    best = combined.positive(wins.then(*_unbeaten(len(cuts.bias), pairs)))
    beards = combined.positive(limits[: len(BEARD_LIMITS)] + male.then(torch.ones(len(BEARD_LIMITS), 1), -1))
    worn = combined.kept(stacked(limits[len(BEARD_LIMITS) :], male))
    curves = combined.bent(_bends(kept, _BENT))
    kept, mixtures = combined.kept(kept), combined.anything(stacked(kept[_MIXED], mixtures), said, rng)
    said = layers[2](said)

    everything = stacked(kept, best, beards, worn, curves, mixtures)
    return last.kept(least_squares(everything, said, numbers))


def _write_w(layers: list[FullyConnected], network: "IdentityToW", numbers: Affine) -> None:
    """The standardised numbers to w, by the layers of the network and its skip."""
    one, two, three, four = map(Writer, layers)
    first, second, third = (layer for layer in network.layers if isinstance(layer, torch.nn.Linear))
    hidden, numbers = one.bent(numbers.then(first.weight, first.bias)), one.kept(numbers)
    hidden, numbers = two.bent(hidden.then(second.weight, second.bias)), two.kept(numbers)
    w = hidden.then(third.weight, third.bias) + numbers.then(network.skip.weight, network.skip.bias)
    bent = three.bent(w * -1)  # a leaky ReLU of this, times -1 / slope, undoes the one at the very end
    four.bent(bent * (-1 / (LRELU_SLOPE * LRELU_GAIN)))


def least_squares(functions: Affine, said: Tensor, wanted: Tensor, *, ridge: float = 1e-3) -> Affine:
    """The mixture of functions nearest to `wanted` [B, M] for the activations `said` [B, width]."""
    values = torch.cat([functions.of(said), torch.ones(len(said), 1)], dim=1).double()
    gram = values.t() @ values + ridge * len(said) * torch.eye(values.shape[1], dtype=torch.float64)
    solution = torch.linalg.solve(gram, values.t() @ wanted.double()).float()
    return functions.then(solution[:-1].t(), solution[-1])


def _odds(z: Tensor) -> Tensor:
    """What hangs on who it is, not on chance, in the scores [N, 12] of the cuts."""
    people = map(identity_from_z, z.double().numpy())
    odds = [hair_odds(person.gender, person.ancestry[0], person.wrinkles) for person in people]
    return torch.from_numpy(np.stack(odds)).float()


def _limits(z: Affine) -> Affine:
    """Positive beyond the limits of beards, glasses and necklines."""
    mix = torch.from_numpy(shirt_score(np.eye(LATENT_SIZE))).float()[None]
    ladders = ((z[At.BEARD], BEARD_LIMITS), (z[At.GLASSES], GLASSES_LIMITS), (z.then(mix), SHIRT_LIMITS))
    return stacked(*(score + -_normal(limit) for score, limits in ladders for limit in limits))


def _unbeaten(count: int, pairs: list[tuple[int, int]]) -> tuple[Tensor, Tensor]:
    """Matrix and offset from who won each pair: 1 for who won all of theirs, at most 0 for the others."""
    matrix, offset = torch.zeros(count, len(pairs)), torch.full([count], 2.0 - count)
    for number, (one, other) in enumerate(pairs):
        matrix[one, number] = 1
        matrix[other, number] = -1
        offset[other] += 1
    return matrix, offset


def _bends(z: Affine, counts: Mapping[int, int]) -> Affine:
    """Zero at so many places along each entry, with as many people between any two."""
    places = [(entry, (place + 1) / (count + 1)) for entry, count in counts.items() for place in range(count)]
    entries, shares = zip(*places, strict=True)
    return z[list(entries)] + Affine(torch.zeros(1), torch.tensor([-_normal(share) for share in shares]))


def _normal(share: float) -> float:
    """The number that this share of a standard normal variable is below."""
    return NormalDist().inv_cdf(share)
