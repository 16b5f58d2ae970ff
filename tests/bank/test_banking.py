"""A method from elsewhere that learns from a bank, as its settings say, is given the edits of it."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from bank_helpers import with_heads
from test_bank import Inverter

from stylehead.bank import Bank, Filling, fill_bank
from stylehead.generator import PanoHead
from stylehead.jobs.banking import is_refreshed, licences_of, supply_edits
from stylehead.jobs.report import Silent
from stylehead.methods import Method, Stylizer, Terms, registry
from stylehead.methods.config import BankSettings, StylizeConfig
from stylehead.methods.scene import Scene


@pytest.fixture
def copying() -> Iterator[type[Method]]:
    """A method that is defined here, and forgotten afterwards."""

    @dataclass(frozen=True, kw_only=True)
    class CopyingSettings(BankSettings):
        pass

    class Copying(Method[CopyingSettings]):
        name, title = "copying", "Copies the first edit"

        def terms(self, scene: Scene, *, rng: torch.Generator) -> Terms:
            assert self.edits is not None
            edit = self.edits.pictures[:1].float() / 127.5 - 1
            return Terms(losses={"copy": (scene.views["single"].final() - edit).square().mean()})

    yield Copying
    del registry._DECLARED["copying"]


def test_a_method_from_elsewhere_learns_from_a_bank(
    copying: type[Method], bank: Bank, generator: PanoHead
) -> None:
    filled = fill_bank(with_heads(bank), Inverter(), Filling("night", "make it dark", "light", seed=2))
    config = StylizeConfig.from_dict({"prompt": "night", "method": "copying", "bank": str(filled.folder)})
    stylizer = Stylizer(copy.deepcopy(generator), generator, config)
    needs = SimpleNamespace(preset=SimpleNamespace(companion=lambda _role: None))
    supply_edits(stylizer, needs, Path("run"), "cpu", Silent())  # type: ignore[arg-type]
    assert stylizer.method.edits is not None
    assert len(stylizer.method.edits.pictures) > 0
    assert stylizer.step().losses["copy"] > 0
    assert not is_refreshed(config, 1)
    assert set(licences_of(config)) == {Inverter.name}
