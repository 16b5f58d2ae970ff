"""Small style files: as few numbers as pictures allow, and the same pictures."""

import copy

import numpy as np
import pytest
import torch

from stylehead.export import small_style
from stylehead.export.small_style import LARGEST_DIFFERENCE, small_changes
from stylehead.generator import GeneratorConfig, PanoHead, load_style, save_style, trainable_parameters


@pytest.fixture(scope="module")
def tiny() -> PanoHead:
    torch.manual_seed(0)
    return PanoHead(GeneratorConfig.tiny()).eval()


@pytest.fixture(scope="module")
def trained(tiny):
    """Changed as training does: mostly in a few directions of every weight."""
    generator, draws = copy.deepcopy(tiny), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for _, parameter in trainable_parameters(generator):
            if parameter.ndim > 1:
                rows = parameter.shape[0]
                change = torch.randn(rows, 2, generator=draws) @ torch.randn(
                    2, parameter[0].numel(), generator=draws
                )
                parameter += 0.3 * change.reshape(parameter.shape)
            parameter += 0.002 * torch.randn(parameter.shape, generator=draws)
    return generator


def difference(one, other, tiny):
    return np.abs(small_style._pictures(one, tiny) - small_style._pictures(other, tiny)).mean()


def test_a_small_file_draws_the_same_pictures(tiny, trained, tmp_path):
    before = copy.deepcopy(trained.state_dict())
    save_style(tmp_path / "full.safetensors", trained, tiny, {})
    save_style(tmp_path / "small.safetensors", trained, tiny, {}, small_changes(trained, tiny))
    assert all(torch.equal(tensor, before[name]) for name, tensor in trained.state_dict().items())
    fresh = copy.deepcopy(tiny)
    load_style(tmp_path / "small.safetensors").apply(fresh)
    assert difference(fresh, trained, tiny) <= LARGEST_DIFFERENCE
    assert difference(tiny, trained, tiny) > 4 * LARGEST_DIFFERENCE, "it is no style"
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("small", "full")]
    assert sizes[0] < 0.5 * sizes[1]


def test_the_least_share_that_is_good_enough_is_taken(tiny, trained, monkeypatch):
    monkeypatch.setattr(small_style, "LARGEST_DIFFERENCE", 1000.0)
    fewest = small_changes(trained, tiny)
    monkeypatch.setattr(small_style, "LARGEST_DIFFERENCE", -1.0)
    whole = small_changes(trained, tiny)
    count = [
        sum(part.numel() for change in each.values() for part in change if part is not None)
        for each in (fewest, whole)
    ]
    assert count[0] < 0.2 * count[1]
    assert all(change.right is None for change in whole.values())


def test_a_generator_that_did_not_change_has_an_empty_style(tiny):
    assert small_changes(copy.deepcopy(tiny), tiny) == {}
