"""The running average of the weights, which is what a job hands over: single steps follow single heads."""

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor


class WeightAverage:
    """The average of tensors that are trained elsewhere: their plain mean at first, then an exponential one.

    Args:
        trained: The tensors, by name.
        left: Part of the average that a step leaves; 0: the average is the last weights.
    """

    def __init__(self, trained: Mapping[str, Tensor], left: float) -> None:
        self._trained, self._left = trained, left
        self.tensors = {name: tensor.detach().clone() for name, tensor in trained.items()}

    @torch.no_grad()
    def update(self, steps: int) -> None:
        """Move towards the weights.

        Args:
            steps: How many steps were done before the one that made them.
        """
        share = max(1 / (steps + 1), 1 - self._left)
        for name, tensor in self._trained.items():
            self.tensors[name].lerp_(tensor, share)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Let the trained tensors be their average for a while."""
        last = {name: tensor.detach().clone() for name, tensor in self._trained.items()}
        self._put(self.tensors)
        try:
            yield
        finally:
            self._put(last)

    @torch.no_grad()
    def _put(self, values: Mapping[str, Tensor]) -> None:
        for name, tensor in self._trained.items():
            tensor.copy_(values[name])
