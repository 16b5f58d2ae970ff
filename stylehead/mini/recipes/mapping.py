"""The last step of the embedded generator: a mapping from z that gives the w of z's identity.

The synthesis was trained on w made from the numbers of an identity. Those numbers are a fixed function
of z, so the mapping is fitted by plain regression, on as many fresh z as there is time for; nothing is drawn.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from stylehead.generator import PanoHead
from stylehead.mini.recipes.generator import GeneratorModel

NumbersOf = Callable[[np.ndarray], np.ndarray]
"""From z [N,64] to the numbers of the identities [N,128]."""


class MappingRecipe:
    """Regression of w.

    Args:
        trained: The generator and its identity network, averaged weights.
        numbers_of: The procedural world's z -> identity.
        batch: Latents in a step.
        bank: Latents drawn in advance; they are renewed bit by bit.
    """

    name = "mapping"
    learning_rate = 2e-2  # equalised weights, a batch with little noise

    def __init__(
        self, trained: GeneratorModel, numbers_of: NumbersOf, *, batch: int = 1024, bank: int = 65536
    ) -> None:
        self.trained = trained.eval().requires_grad_(False)
        self.model: nn.Module = trained.generator.backbone.mapping.requires_grad_(True)
        self.numbers_of = numbers_of
        self.batch = batch
        self.bank_z, self.bank_w = self._latents(bank, torch.Generator().manual_seed(11))
        self.mean = self.bank_w.mean(dim=0)
        self.variance = self.bank_w.var(dim=0).mean()
        trained.generator.backbone.mapping.w_avg.copy_(self.mean)
        self.next = 0

    def parameters(self) -> list[dict[str, object]]:
        """The mapping."""
        return [{"params": list(self.model.parameters())}]

    def loss(self, progress: float, rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Mean squared error of w as a part of its variance; 1 is what a constant would get."""
        self._renew(self.batch // 16, rng)
        rows = torch.randint(len(self.bank_z), (self.batch,), generator=rng)
        w = self._map(self.bank_z[rows])
        loss = (w - self.bank_w[rows]).square().mean() / self.variance
        return loss, {}

    def warm_start(self, folder: Path) -> bool:
        """The embedded mapping, when it has the same size."""
        path = folder / "generator.safetensors"
        if not path.is_file():
            return False
        embedded = PanoHead.load(path)
        if embedded.config != self.trained.generator.config:
            return False
        self.model.load_state_dict(embedded.backbone.mapping.state_dict())
        return True

    def export(self, averaged: nn.Module, folder: Path, metadata: Mapping[str, str]) -> None:
        """Write generator.safetensors with this mapping."""
        generator = self.trained.generator
        generator.backbone.mapping.load_state_dict(averaged.state_dict())
        folder.mkdir(parents=True, exist_ok=True)
        halved = {
            name: t.half().float() if t.is_floating_point() else t
            for name, t in generator.state_dict().items()
        }
        generator.load_state_dict(halved)
        generator.save(folder / "generator.safetensors", dict(metadata))

    def _map(self, z: Tensor) -> Tensor:
        label = z.new_zeros(len(z), 25)
        ws: Tensor = self.model(z, label)
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


def load_generator_model(work: Path, numbers: Tensor) -> GeneratorModel:
    """The averaged weights of the `generator` recipe's last checkpoint."""
    from stylehead.generator import GeneratorConfig
    from stylehead.runs import RunDirectory

    weights, _ = RunDirectory.open(work / "generator").checkpoints()[-1].load()
    model = GeneratorModel(GeneratorConfig.mini(), numbers)
    prefix = "averaged."
    model.load_state_dict({n.removeprefix(prefix): t for n, t in weights.items() if n.startswith(prefix)})
    assert isinstance(model.generator, PanoHead)
    return model


def numbers_from_z(z: np.ndarray) -> np.ndarray:
    """Identity numbers [N,128] of latents [N,64]."""
    from stylehead.mini.heads import identity_from_z, identity_vector

    return np.stack([identity_vector(identity_from_z(row)) for row in z])
