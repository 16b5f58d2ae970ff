"""How much of a style has to be stored: as little as pictures of some heads do not miss."""

import bisect
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from stylehead.export.views import latent_from_seed, render_views
from stylehead.generator import Change, LowRank, PanoHead, changed_tensors

SHARES = (0.02, 0.03, 0.04, 0.05, 0.06, 0.075, 0.09, 0.11, 0.135, 0.165, 0.2, 0.25, 0.33, 0.5)
"""Parts of the changed numbers that are tried; after them all, in half precision."""
LARGEST_DIFFERENCE = 0.5
"""Mean over pictures of the absolute difference to those of the whole style, in steps of a byte."""
_SEEDS, _YAWS_DEG, _PSI = (11, 12, 13), (0.0, 120.0), 1.0


def small_changes(generator: PanoHead, reference: PanoHead) -> dict[str, Change]:
    """Return what a trained generator adds to the one it started from, in few numbers.

    The smallest of `SHARES` is taken with which pictures of some heads differ by at most
    `LARGEST_DIFFERENCE` on average from those of the generator as trained.

    Args:
        generator: As trained; its weights are as before when this returns.
        reference: Before training.
    """
    after = changed_tensors(generator, reference)
    if not after:
        return {}
    start = {name: reference.state_dict()[name] for name in after}
    low_rank, wanted = LowRank(start, after), _pictures(generator, reference)
    trained = {name: tensor.clone() for name, tensor in after.items()}

    def good(share: float) -> bool:
        set_changes(generator, start, low_rank.keep(share))
        return bool(np.abs(_pictures(generator, reference) - wanted).mean() <= LARGEST_DIFFERENCE)

    try:
        found = bisect.bisect_left(SHARES, True, key=good)
        return low_rank.keep(SHARES[found]) if found < len(SHARES) else low_rank.whole()
    finally:
        with torch.no_grad():
            for name, tensor in generator.state_dict().items():
                if name in trained:
                    tensor.copy_(trained[name])


def set_changes(generator: PanoHead, start: Mapping[str, Tensor], changes: Mapping[str, Change]) -> None:
    """Set a generator's tensors to where training started plus what it changed, in place."""
    state = generator.state_dict()
    with torch.no_grad():
        for name, change in changes.items():
            state[name].copy_(start[name] + change.whole(start[name].shape).to(start[name]))


def _pictures(generator: PanoHead, reference: PanoHead) -> np.ndarray:
    """Render some heads [V, H, W, 3] in 0..255."""
    heads = [latent_from_seed(reference, seed, psi=_PSI) for seed in _SEEDS]
    return np.concatenate([render_views(generator, ws, _YAWS_DEG) for ws in heads]).astype(np.float32)
