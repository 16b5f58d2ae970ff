"""Going on from a snapshot on whatever device there is now."""

from collections.abc import Mapping
from typing import Any

import torch


def restore(rng: torch.Generator, state: torch.Tensor, seed: int) -> bool:
    """Set a generator back to a state; of another kind of device it gets a seed instead: returns whether."""
    if state.shape == rng.get_state().shape:
        rng.set_state(state)
        return True
    rng.manual_seed(seed)
    return False


def for_this(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> dict[str, Any]:
    """Return an optimiser's state whose steps are computed as here: another device may have fused them."""
    own = [{name: group[name] for name in ("foreach", "fused")} for group in optimizer.param_groups]
    groups = [group | here for group, here in zip(state["param_groups"], own, strict=True)]
    return {**state, "param_groups": groups}
