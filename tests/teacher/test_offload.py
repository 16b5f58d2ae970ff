"""Networks that wait in main memory: at hand they are on the device, and afterwards they are as before."""

import pytest
import torch
from torch import nn

from stylehead.teacher.offload import Offloaded


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).eval().requires_grad_(False)


def places(network: nn.Module) -> set[str]:
    tensors = (*network.parameters(), *network.buffers())
    return {tensor.device.type for tensor in tensors}


def test_a_network_is_on_the_device_only_while_it_works(network: nn.Module) -> None:
    masters = [*network.parameters(), *network.buffers()]
    waiting = Offloaded(network, torch.device("meta"))
    assert places(network) == {"cpu"}
    with waiting.at_hand() as here:
        assert here is network
        assert places(network) == {"meta"}
        assert network(torch.zeros(2, 3, device="meta")).shape == (2, 4)
    back = [*network.parameters(), *network.buffers()]
    assert all(now is then for now, then in zip(back, masters, strict=True))  # never copied back


def test_it_computes_what_it_did_and_leaves_after_a_failure(network: nn.Module) -> None:
    pictures = torch.rand(2, 3)
    wanted = network(pictures)
    waiting = Offloaded(network, torch.device("cpu"))
    with waiting.at_hand() as here:
        assert torch.equal(here(pictures), wanted)
    with pytest.raises(RuntimeError), Offloaded(network, torch.device("meta")).at_hand() as here:
        here(pictures)
    assert places(network) == {"cpu"}
