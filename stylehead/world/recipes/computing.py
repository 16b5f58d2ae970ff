"""Where recipes compute, and with half of the bits: a quarter faster, where a CPU knows bfloat16."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from stylehead.errors import MissingError


@contextmanager
def in_bfloat16(device: torch.device | str = "cpu") -> Iterator[None]:
    """Convolve and multiply matrices in bfloat16; sums over pictures, losses and weights stay as they are.

    On a CPU attention takes plain matrix products then: the fused one learns ten times slower in bfloat16.

    Args:
        device: Where the layers are.
    """
    kind = torch.device(device).type
    with torch.autocast(kind, torch.bfloat16), sdpa_kernel(list(_ATTENTION.get(kind, _ANY_ATTENTION))):
        yield


_ATTENTION = {"cpu": (SDPBackend.MATH,)}
_ANY_ATTENTION = (SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH)


def device_of(network: nn.Module) -> torch.device:
    """Where a network's weights are."""
    return next(network.parameters()).device


def batch_factor(device: torch.device | str) -> int:
    """How many times the batch of a laptop fits: one for every 2.5 GB of a graphics card, 16 at most."""
    if torch.device(device).type != "cuda":
        return 1
    total = torch.cuda.get_device_properties(device).total_memory
    return max(1, min(16, round(total / 2.5e9)))


def rng_on(device: torch.device, rng: torch.Generator) -> torch.Generator:
    """A source of chance on a device that follows from one on the CPU; the same one there."""
    if device.type == "cpu":
        return rng
    return torch.Generator(device).manual_seed(int(torch.randint(2**62, (), generator=rng)))


def device_named(name: str) -> torch.device:
    """The device that an option names; "auto" is a graphics card where there is one.

    Raises:
        MissingError: A graphics card is asked for, and none can be used.
    """
    there = torch.cuda.is_available()
    if name == "auto":
        return torch.device("cuda" if there else "cpu")
    if name == "cuda" and not there:
        raise MissingError("There is no graphics card that PyTorch can use.", "--device cpu")
    return torch.device(name)
