"""A tiny generator and a tiny teacher, random but real, for the tests of the trainer."""

import copy
import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from stylehead.generator import GeneratorConfig, PanoHead
from stylehead.methods import Networks, Stylizer
from stylehead.methods.config import StylizeConfig
from stylehead.teacher import Teacher

sys.path.append(str(Path(__file__).parents[1] / "teacher"))
from tiny_teacher import write_tiny_teacher


@pytest.fixture(scope="session")
def teacher_folder(tmp_path_factory) -> Path:
    return write_tiny_teacher(tmp_path_factory.mktemp("teacher"))


@pytest.fixture(scope="session")
def teacher(teacher_folder) -> Teacher:
    return Teacher.load(teacher_folder)


def tiny_config() -> GeneratorConfig:
    """The package's tiny network, with fewer rays, fewer samples on each, and no background network."""
    tiny = GeneratorConfig.tiny()
    rendering = dataclasses.replace(
        tiny.rendering, depth_resolution=8, depth_resolution_importance=6, use_background=False
    )
    return dataclasses.replace(tiny, rendering=rendering, neural_rendering_resolution=8)


@pytest.fixture(scope="session")
def pristine() -> PanoHead:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        generator = PanoHead(tiny_config()).eval()
    with torch.no_grad():  # a fresh network is fog: give it solid parts and holes
        generator.decoder.get_parameter("net.2.weight")[0] *= 40
    return generator


@pytest.fixture
def make_stylizer(teacher, pristine) -> Callable[..., Stylizer]:
    """Build a stylizer around fresh copies of the generator; keyword arguments are networks or settings."""
    usual = Networks(teacher=teacher)

    def make(**named) -> Stylizer:
        networks = {name: named.pop(name) for name in Networks._fields if name in named}
        config = StylizeConfig.from_dict({"prompt": "a rosa", "iterations": 3, **named})
        return Stylizer(copy.deepcopy(pristine), pristine, config, usual._replace(**networks))

    return make
