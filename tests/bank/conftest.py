"""A bank of a tiny generator, made once and copied for whoever changes it."""

import dataclasses
import shutil
import sys
from pathlib import Path

import pytest
import torch

from stylehead.bank import Bank, create_bank
from stylehead.bank.create import sitters_from_seeds
from stylehead.generator import GeneratorConfig, PanoHead

sys.path.append(str(Path(__file__).parents[1] / "teacher"))


@pytest.fixture(scope="session")
def generator() -> PanoHead:
    tiny = GeneratorConfig.tiny()
    rendering = dataclasses.replace(
        tiny.rendering, depth_resolution=8, depth_resolution_importance=6, use_background=False
    )
    with torch.random.fork_rng():
        torch.manual_seed(1)
        config = dataclasses.replace(tiny, rendering=rendering, neural_rendering_resolution=8)
        return PanoHead(config).eval()


@pytest.fixture(scope="session")
def made(generator: PanoHead, tmp_path_factory: pytest.TempPathFactory) -> Bank:
    folder = tmp_path_factory.mktemp("banks") / "bank"
    people = sitters_from_seeds(generator, 3, seed=1, psi=1.0)
    return create_bank(folder, generator, people, views=4, preset="tiny")


@pytest.fixture
def bank(made: Bank, tmp_path: Path) -> Bank:
    shutil.copytree(made.folder, tmp_path / "bank")
    return Bank.open(tmp_path / "bank")
