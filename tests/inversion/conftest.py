"""A small generator with a real head-like density, and a picture that it made."""

import sys
from pathlib import Path

import pytest
import torch

from stylehead.generator import PanoHead
from stylehead.inversion import ImageSimilarity
from stylehead.inversion.latents import LatentSpace
from stylehead.perception.embedded import IdentityEncoder, StyleClassifier, Trunk
from stylehead.weights.presets import MINI_WEIGHTS

sys.path.append(str(Path(__file__).parents[1] / "generator"))
import golden_cases


@pytest.fixture(scope="session")
def tiny() -> PanoHead:
    """The tiny reference network: treat it as read-only."""
    return golden_cases.tiny().requires_grad_(False)


@pytest.fixture(scope="session")
def space(tiny: PanoHead) -> LatentSpace:
    return LatentSpace.measure(tiny, samples=400)


@pytest.fixture(scope="session")
def mini() -> PanoHead:
    """The embedded generator, for what needs real heads: treat it as read-only."""
    return PanoHead.load(MINI_WEIGHTS / "generator.safetensors").requires_grad_(False)


@pytest.fixture(scope="session")
def mini_space(mini: PanoHead) -> LatentSpace:
    return LatentSpace.measure(mini, samples=1000)


@pytest.fixture(scope="session")
def similarity() -> ImageSimilarity:
    """Untrained networks: they compare pictures all the same."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        networks = (Trunk(), IdentityEncoder(), StyleClassifier())
        return ImageSimilarity(*(network.eval().requires_grad_(False) for network in networks))
