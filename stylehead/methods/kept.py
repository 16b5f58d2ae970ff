"""What was made of the untouched renders of heads that come again and again, kept in main memory."""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from stylehead.methods.draws import Draw

T = TypeVar("T")
_STRIDE = 1_000_003
"""Between the seeds of neighbouring runs, a prime: theirs share no heads."""


class KeptHeads:
    """The heads of one kind of iteration, and what is made of their untouched renders.

    Tensors, and tuples and dictionaries of them, are made once and fetched when they are wanted.

    Args:
        seed: The run's.
        index: Which of its kinds of iterations; seed and index make the heads, whenever they come first.
        device: Where they are wanted.
    """

    def __init__(self, seed: int, index: int, device: torch.device) -> None:
        self._index, self._device, self._values = index, device, dict[str, Any]()
        own = (seed * _STRIDE + index) % 2**63
        on_paper = device.type == "meta"
        self.noise = torch.Generator("cpu" if on_paper else device).manual_seed(own)
        """Source of what is drawn for the untouched renders."""
        self._own = own

    @property
    def choices(self) -> torch.Generator:
        """Source of heads, cameras and backgrounds, the same in every iteration."""
        return torch.Generator().manual_seed(self._own)

    def instead(self, draw: Draw, own: Draw) -> Draw:
        """Return an iteration's draw with these heads, cameras and backgrounds in place of its own."""
        return dataclasses.replace(
            draw, z=own.z, labels=own.labels, backgrounds_01=own.backgrounds_01, again=self._index
        )

    def once(self, name: str, make: Callable[[], T]) -> T:
        """Return the value of a name, which is made in the first call.

        Args:
            name: Its name.
            make: Makes it, of nothing that changes from one iteration to the next; without gradients.
        """
        if name in self._values:
            return cast(T, _each(self._values[name], self._fetched))
        made = make()
        self._values[name] = _each(made, _stored)
        return made

    def _fetched(self, tensor: Tensor) -> Tensor:
        return tensor.to(self._device, non_blocking=True)


def _stored(tensor: Tensor) -> Tensor:
    """Return a tensor in main memory, from where a graphics card can fetch it by itself."""
    if tensor.is_meta:
        return tensor
    home = tensor.detach().cpu()
    return home.pin_memory() if tensor.is_cuda else home


def _each(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Change every tensor in a value."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        return {name: _each(part, change) for name, part in value.items()}
    if isinstance(value, tuple):
        parts = [_each(part, change) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return value
