"""Networks that wait in main memory and come to the device for a moment, one after the other."""

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class _Place(NamedTuple):
    """Where a tensor belongs: a table of a module, `_parameters` or `_buffers`, and a name in it."""

    table: dict[str, Any]
    name: str
    master: Tensor


class Offloaded:
    """A frozen network whose weights stay in main memory, in pages that a graphics card reads by itself.

    Being frozen they are never copied back: what was on the device is let go.

    Args:
        network: The network; it is moved to main memory.
        device: Where it works.
    """

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        nn.Module.to(network, "cpu")
        self._network, self._device = network, device
        self._places = [_Place(*place) for place in _tensors(network)]
        for table, name, master in self._places:
            table[name] = _like(master, _pinned(master)) if device.type == "cuda" else master
        self._places = [place._replace(master=place.table[place.name]) for place in self._places]

    @contextlib.contextmanager
    def at_hand(self) -> Iterator[Any]:
        """Bring it to the device for a moment.

        No gradient may flow through it: a backward pass would still need it.
        """
        for table, name, master in self._places:
            table[name] = _like(master, master.detach().to(self._device, non_blocking=True))
        try:
            yield self._network
        finally:
            self.rest()

    def rest(self) -> None:
        """Let go of what is on the device."""
        for table, name, master in self._places:
            table[name] = master


def _tensors(network: nn.Module) -> Iterator[tuple[dict[str, Any], str, Tensor]]:
    for module in network.modules():
        for table in (module._parameters, module._buffers):
            for name, tensor in table.items():
                if tensor is not None:
                    yield table, name, tensor


def _like(master: Tensor, tensor: Tensor) -> Tensor:
    """Return a tensor as a parameter, if the master is one."""
    return nn.Parameter(tensor, requires_grad=False) if isinstance(master, nn.Parameter) else tensor


def _pinned(tensor: Tensor) -> Tensor:
    """Return a tensor in pinned memory, or as it is where the system has no more of that."""
    try:
        return tensor.detach().pin_memory()
    except RuntimeError:
        return tensor.detach()
