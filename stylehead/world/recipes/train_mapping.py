"""The last step of the embedded generator: a mapping from z that gives the w of z's identity.

The synthesis was trained on w made from the numbers of an identity. Those numbers are a fixed function
of z, so the mapping is written down as far as that function is known (`rules.py`), and then fitted by plain
regression, on as many fresh z as there is time for; nothing is drawn. Two w are as far apart as the styles
that the layers make of them.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from stylehead.generator import GeneratorConfig, PanoHead
from stylehead.generator.layers import SynthesisLayer, ToRGB
from stylehead.world.recipes.computing import device_of
from stylehead.world.recipes.rules import NumbersOf, write_mapping
from stylehead.world.recipes.train_generator import GeneratorModel, save_halved


class MappingRecipe:
    """Regression of w.

    Args:
        trained: The generator and its identity network, averaged weights.
        numbers_of: The procedural world's z -> identity.
        batch: Latents in a step.
        bank: Latents drawn in advance; they are renewed bit by bit.
    """

    name = "mapping"
    learning_rate = 3e-3  # little: it starts near

    def __init__(
        self, trained: GeneratorModel, numbers_of: NumbersOf, *, batch: int = 256, bank: int = 131072
    ) -> None:
        self.trained = trained.eval().requires_grad_(False)
        mapping = trained.generator.backbone.mapping
        write_mapping(mapping, trained.identity_to_w, numbers_of, people=bank // 8)
        self.model: nn.Module = mapping.requires_grad_(True)
        self.numbers_of = numbers_of
        self.batch = batch
        self.bank_z, self.bank_w = self._latents(bank, torch.Generator().manual_seed(11))
        mapping.w_avg.copy_(self.bank_w.mean(dim=0))
        self.to_styles = style_metric(trained.generator)
        self.variance = (self.bank_w @ self.to_styles.t()).var(dim=0).sum()
        self.next = 0

    def parameters(self) -> list[dict[str, object]]:
        """The mapping."""
        return [{"params": list(self.model.parameters())}]

    def loss(self, progress: float, rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Mean squared error of the styles as a part of their variance; 1 is what a constant would get."""
        self._renew(self.batch // 8, rng)
        rows = torch.randint(len(self.bank_z), (self.batch,), generator=rng)
        z, w = (bank[rows].to(device_of(self.model)) for bank in (self.bank_z, self.bank_w))
        missed = (self._map(z) - w) @ self.to_styles.to(w.device).t()
        return missed.square().sum(dim=1).mean() / self.variance, {}

    def warm_start(self, folder: Path) -> bool:
        """Never: what is written down is nearer than a mapping to the w of an earlier training."""
        return False

    def export(self, averaged: nn.Module, folder: Path, metadata: Mapping[str, str]) -> None:
        """Write generator.safetensors with this mapping."""
        generator = self.trained.generator
        generator.backbone.mapping.load_state_dict(averaged.state_dict())
        folder.mkdir(parents=True, exist_ok=True)
        save_halved(generator, folder / "generator.safetensors", dict(metadata))

    def _map(self, z: Tensor) -> Tensor:
        ws: Tensor = self.model(z, z.new_zeros(len(z), 25))
        return ws[:, 0]

    def _latents(self, count: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        z = torch.randn(count, 64, generator=rng)
        numbers = torch.from_numpy(self.numbers_of(z.numpy().astype(np.float64))).float()
        with torch.no_grad():
            return z, self.trained.identity_to_w(numbers)

    def _renew(self, count: int, rng: torch.Generator) -> None:
        rows = (torch.arange(count) + self.next) % len(self.bank_z)
        self.bank_z[rows], self.bank_w[rows] = self._latents(count, rng)
        self.next += count


def style_metric(generator: PanoHead) -> Tensor:
    """A matrix M [w_dim, w_dim]: `|M w|^2` is the squared length of the styles of w, summed over layers.

    Each layer counts the same, however many channels it has; what the layers add to every style does not.
    """
    affine = [
        layer.affine.weight.detach() * (layer.affine.weight_gain / len(layer.affine.weight) ** 0.5)
        for layer in generator.modules()
        if isinstance(layer, SynthesisLayer | ToRGB)
    ]
    return torch.linalg.qr(torch.cat(affine)).R


def load_generator_model(work: Path, config: GeneratorConfig) -> GeneratorModel:
    """The averaged weights of the `generator` recipe's last checkpoint."""
    from stylehead.runs import RunDirectory

    weights, _ = RunDirectory.open(work / "generator").checkpoints()[-1].load()
    prefix = "averaged."
    state = {name.removeprefix(prefix): t for name, t in weights.items() if name.startswith(prefix)}
    size = len(state["identity_to_w.mean"])
    model = GeneratorModel(config, torch.zeros(2, size))
    model.load_state_dict(state)
    assert isinstance(model.generator, PanoHead)
    return model
