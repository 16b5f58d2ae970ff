"""A generator for the tests, with the reference weights: real density, noise and offsets."""

import golden_cases
import pytest
import torch

from stylehead.generator import PanoHead


@pytest.fixture(scope="session")
def tiny() -> PanoHead:
    """The tiny reference network: treat it as read-only."""
    return golden_cases.tiny()


@pytest.fixture
def ws() -> torch.Tensor:
    """Style vectors [2,8,32] of two identities."""
    return golden_cases.expected("mapping/ws_psi0.7_cut14")[:2]
