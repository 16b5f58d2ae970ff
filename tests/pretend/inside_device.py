"""The pretend device computes as the host does, and fails where CUDA fails."""

from collections.abc import Iterator

import pytest
import torch
from pretend_device import PretendTensor, pretending
from torch import nn


@pytest.fixture(autouse=True)
def place() -> Iterator[torch.device]:
    with pretending() as device:
        yield device


def test_it_computes_and_learns_as_the_host_does(place: torch.device) -> None:
    results = []
    for device in (torch.device("cpu"), place):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.Flatten(), nn.Linear(144, 2)).to(
            device
        )
        optimizer = torch.optim.Adam(network.parameters(), lr=0.1)
        image = torch.linspace(-1, 1, 216).reshape(2, 3, 6, 6).repeat(1, 1, 2, 2)[..., :8, :8].to(device)
        for _ in range(3):
            loss = network(image).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert all(p.device == device for p in network.parameters())
        results.append([loss.item(), *(p.detach().cpu() for p in network.parameters())])
    assert results[0][0] == results[1][0]
    for host, pretended in zip(results[0][1:], results[1][1:], strict=True):
        assert type(pretended) is torch.Tensor
        assert torch.equal(host, pretended)


def test_views_share_their_numbers(place: torch.device) -> None:
    x = torch.zeros(2, 3, device=place)
    x[0, 1:] = 5
    x.t()[0].add_(1)
    assert x.tolist() == [[1, 5, 5], [1, 0, 0]]
    assert x.new_tensor([1.0]).device == x.new_zeros(2).device == place


@pytest.mark.parametrize("how", ["add", "matmul", "cat", "where", "index into the host", "lerp_"])
def test_devices_do_not_mix(how: str, place: torch.device) -> None:
    here, there = torch.ones(2, 2), torch.ones(2, 2, device=place)
    tries = {
        "add": lambda: here + there,
        "matmul": lambda: there @ here,
        "cat": lambda: torch.cat([here, there]),
        "where": lambda: torch.where(there > 0, here, there),
        "index into the host": lambda: here[torch.tensor([0, 1], device=place)],
        "lerp_": lambda: there.lerp_(here, 0.5),
    }
    with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
        tries[how]()


def test_what_cuda_allows_is_allowed(place: torch.device) -> None:
    there = torch.ones(2, 2, device=place)
    assert (there * torch.tensor(2.0)).device == place
    assert there[torch.tensor([0, 1])].device == place
    there.copy_(torch.zeros(2, 2))
    assert torch.zeros(3).to(there).device == place
    assert float(there.sum()) == 0.0


def test_generators_belong_to_a_device(place: torch.device) -> None:
    own, foreign = torch.Generator(place).manual_seed(1), torch.Generator().manual_seed(1)
    assert (own.device, foreign.device.type) == (place, "cpu")
    drawn = torch.randn(3, generator=own, device=place)
    assert torch.equal(drawn.cpu(), torch.randn(3, generator=foreign))
    with pytest.raises(RuntimeError, match="Expected a 'pretend' device type for generator but found 'cpu'"):
        torch.randn(3, generator=foreign, device=place)
    with pytest.raises(RuntimeError, match="Expected a 'cpu' device type for generator but found 'pretend'"):
        torch.rand(3, generator=own)
    with pytest.raises(RuntimeError, match="generator"):
        torch.ones(2, device=place).normal_(generator=foreign)


def test_states_of_generators_are_those_of_their_device(place: torch.device) -> None:
    own = torch.Generator(place).manual_seed(1)
    state = own.get_state()
    assert state.numel() == 16
    first = torch.randn(3, generator=own, device=place)
    own.set_state(state)
    assert torch.equal(torch.randn(3, generator=own, device=place), first)
    with pytest.raises((RuntimeError, TypeError)):
        torch.Generator().set_state(state)
    with pytest.raises(RuntimeError, match="wrong size"):
        own.set_state(torch.Generator().get_state())


def test_numpy_sees_nothing(place: torch.device) -> None:
    there = torch.ones(2, device=place)
    with pytest.raises(TypeError, match=r"Use Tensor\.cpu\(\)"):
        there.numpy()
    assert isinstance(there, PretendTensor)
    assert there.cpu().numpy().tolist() == [1, 1]
