"""Fixtures for the whole suite."""

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Tests share small machines; the networks in them are tiny."""
    torch.set_num_threads(1)
