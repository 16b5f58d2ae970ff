"""Memory tiers: what a stylise job does to fit in fewer gigabytes. Time is the price, never the gradients."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from stylehead.errors import UsageError

if TYPE_CHECKING:
    import torch

TierName = Literal["24", "12", "8"]


@dataclass(frozen=True)
class MemoryTier:
    """What is traded for memory. Every switch leaves all gradients as they are, up to rounding."""

    name: TierName
    """GPU gigabytes that it is made for, with the published generator and a half-precision teacher."""
    recompute_encoder: bool = False
    """Recompute the image encoder's layers in the backward pass."""
    slice_pictures: bool = False
    """Encode and decode pictures one at a time."""
    recompute_renders: bool = False
    """Render views one at a time, and again in the backward pass."""
    split_questions: bool = False
    """Ask the teacher one question at a time, with the prompt and without it apart."""
    slice_attention: bool = False
    """Let UNet and ControlNets attend with one head at a time, where no fused attention does better.

    Fused attention never holds the scores that slicing makes smaller. On a CPU, one full-size UNet pass takes
    0.29 GB and 14 s with it, and 0.37 GB and 21 s sliced.
    """
    offload: bool = False
    """Keep UNet, ControlNets and text encoder in main memory while they are not in use (GPU only)."""

    def words(self) -> tuple[str, ...]:
        """Say for people what this tier does."""
        said = {
            "recompute the image encoder": self.recompute_encoder,
            "one picture at a time": self.slice_pictures,
            "recompute the renders, one view at a time": self.recompute_renders,
            "one question at a time": self.split_questions,
            "sliced attention where none is fused": self.slice_attention,
            "offload the teacher": self.offload,
        }
        return tuple(text for text, on in said.items() if on) or ("everything stays in memory",)


TIERS: dict[str, MemoryTier] = {
    "24": MemoryTier("24"),
    "12": MemoryTier("12", recompute_encoder=True, slice_pictures=True, recompute_renders=True),
    "8": MemoryTier(
        "8",
        recompute_encoder=True,
        slice_pictures=True,
        recompute_renders=True,
        split_questions=True,
        slice_attention=True,
        offload=True,
    ),
}
"""By the value of `--memory`, the most generous first."""

MEASURED: dict[tuple[str, TierName], str] = {("cpu", "8"): "12.4 GB, 7.3 min an iteration on one core"}
"""Peaks of whole runs of the published size, by device and tier, for people; nothing else was measured.

The CPU's is of two iterations with untrained weights: tests/cli/test_cli_full_scale.py.
"""
SMALL_IMAGE = 128
"""Edge in pixels up to which models need no savings anywhere: the embedded ones."""
_GB = 10**9
NEEDED: dict[TierName, tuple[float, float]] = {"24": (4.6, 8.9), "12": (4.6, 2.6), "8": (1.2, 3.6)}
"""Gigabytes of weights with optimiser, and of everything else, at the published size in half precision.

Computed from the shapes of the networks, for one head and one view: see tests/cost/test_counts.py.
"""
MARGIN = 2 * _GB
"""Beside what is computed: the device's own context, its libraries' workspaces, and gaps between tensors."""
_SYSTEM = 3 * _GB
"""What a machine without a GPU needs for itself."""


def device_memory(device: "torch.device | str") -> int | None:
    """Memory, in bytes, that a job can have on a device: what is free, with what this process holds already.

    Without a GPU: of the machine less what it needs itself. None where the system does not say.
    """
    import torch

    if torch.device(device).type == "cuda":
        free: int = torch.cuda.mem_get_info(device)[0]
        return free + torch.cuda.memory_reserved(device)
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") - _SYSTEM
    except (AttributeError, OSError, ValueError):
        return None


def choose_tier(
    name: str,
    *,
    device_bytes: int | None,
    largest_image: int,
    pictures: float = 1.0,
    bytes_a_number: int = 2,
) -> MemoryTier:
    """Choose the tier of a name.

    Args:
        name: A tier, or `auto`: the first that the device has the memory for.
        device_bytes: What the job can have of the device's memory; None if nobody knows.
        largest_image: Edge in pixels of the largest picture that the job makes or encodes; small ones need
            no savings anywhere.
        pictures: How many times the pictures of one head and one view an iteration makes.
        bytes_a_number: 2 in half precision, 4 in single precision.

    Raises:
        UsageError: There is no such tier.
    """
    if name in get_args(TierName):
        return TIERS[name]
    if name != "auto":
        raise UsageError(f"`--memory` (={name}) must be one of auto, {', '.join(TIERS)}.")
    if largest_image <= SMALL_IMAGE or device_bytes is None:
        return TIERS["24"]
    for tier in TIERS.values():
        fixed, made = NEEDED[tier.name]
        needed = (fixed + pictures * made) * _GB * bytes_a_number / 2
        if device_bytes >= needed + MARGIN:
            return tier
    return TIERS["8"]
