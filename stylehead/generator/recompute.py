"""Computing a part of the network again in the backward pass instead of keeping what its layers saw."""

from collections.abc import Callable
from typing import TypeVar, cast

import torch
from torch.utils.checkpoint import checkpoint

T = TypeVar("T")


def recomputed(function: Callable[[], T], *, rng: torch.Generator | None = None) -> T:
    """Call a function so that autograd keeps only its result and calls it again when gradients are wanted.

    Values and gradients are those of a plain call. Without gradients it *is* a plain call.

    Args:
        function: No arguments; tensors that it closes over receive their gradients as usual.
        rng: Source of randomness inside: put back to where it was for the second call, so that both
            draw the same numbers, and forward again afterwards.
    """
    if not torch.is_grad_enabled():
        return function()
    before = None if rng is None else rng.get_state()
    calls = 0

    def run() -> T:
        nonlocal calls
        calls += 1
        if rng is None or before is None or calls == 1:
            return function()
        now = rng.get_state()
        rng.set_state(before)
        try:
            return function()
        finally:
            rng.set_state(now)

    return cast(T, checkpoint(run, use_reentrant=False, preserve_rng_state=rng is None))
