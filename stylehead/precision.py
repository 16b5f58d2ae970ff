"""Numbers on devices: half precision for a part of a computation, and constants that are uploaded once.

Half precision (float16) has 11 bits, but nothing below 6e-8: a gradient of that size vanishes. So what comes
back into the part is multiplied by a power of two that brings its largest element to `LARGEST`, and what
leaves it at the other end is divided by the same. Powers of two cost no precision.
"""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

LARGEST = 2.0**-5
"""Gradients enter with a largest element of at most this: half precision ends at 65504, and a weight's
gradient is a sum over all pixels."""
_MOST = 2.0**24
"""Largest factor, also of gradients that are zero."""


def choose_dtype(precision: str, device: str) -> torch.dtype:
    """Return the numbers of a network: those that were asked for, or by itself half precision on a GPU.

    Args:
        precision: `auto`, `fp32`, `fp16` or `bf16`.
        device: Where it computes, such as `cpu`, `cuda` or `cuda:1`.
    """
    if precision == "auto":
        precision = "fp16" if device.startswith("cuda") else "fp32"
    return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[precision]


def halves(*generators: Any) -> list[Any]:
    """Return the parts of generators that may compute in half precision, see `computing_in`.

    No sum in them overflows that did not before: kernels are made, and demodulated, in single precision.
    """
    return [part for one in generators for part in (one.backbone.synthesis, one.superresolution)]


@contextlib.contextmanager
def computing_in(dtype: torch.dtype, *networks: Any) -> Iterator[None]:
    """Let networks compute in other numbers for a while; weights, and what goes in and out, stay single.

    A backward pass that computes something again belongs inside.

    Args:
        dtype: The numbers.
        networks: Such as `halves`, whose `dtype` says what they compute in.
    """
    for network in networks:
        network.dtype = dtype
    try:
        yield
    finally:
        for network in networks:
            network.dtype = torch.float32


class HalfPart:
    """A part of a computation between `enter`, for everything that comes in, and `leave`, for its result.

    One object serves one call of the part. In single precision both return what they are given.

    Args:
        dtype: The numbers inside.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.factor: Tensor | None = None
        """What gradients are multiplied by inside; the first one that comes back decides for all."""

    @property
    def half(self) -> bool:
        """Whether it is not in single precision."""
        return self.dtype != torch.float32

    def enter(self, tensor: Tensor) -> Tensor:
        """Return a tensor in the numbers of the part."""
        if not self.half:
            return tensor
        inside: Tensor = _Enter.apply(tensor, self)
        return inside

    def leave(self, tensor: Tensor) -> Tensor:
        """Return the result of the part in single precision."""
        if not self.half:
            return tensor
        outside: Tensor = _Leave.apply(tensor, self)
        return outside


class _Enter(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, part: HalfPart) -> Tensor:
        ctx.part, ctx.dtype = part, tensor.dtype
        return tensor.to(part.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        factor = ctx.part.factor  # None: what came back went around every result of the part
        return gradient.to(ctx.dtype) if factor is None else gradient.to(ctx.dtype) / factor, None


class _Leave(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, part: HalfPart) -> Tensor:
        ctx.part, ctx.dtype = part, tensor.dtype
        return tensor.float()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        if ctx.part.factor is None:
            largest = gradient.abs().amax().clamp_min(LARGEST / _MOST)
            ctx.part.factor = (LARGEST / largest).log2().floor().exp2()  # the host does not wait
        return (gradient * ctx.part.factor).to(ctx.dtype), None


@functools.cache
def constant(values: Any, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return numbers, or nested tuples of them, as a tensor that must not be written to.

    Made once for each type and device: made anew in every call they would be uploaded in every call, and a
    graphics card is waited for each time.
    """
    with torch.inference_mode(False):  # else it could never take part in a training afterwards
        return torch.tensor(values, dtype=dtype, device=device)


def like(values: Any, tensor: Tensor) -> Tensor:
    """Return numbers, or nested tuples of them, in a tensor's type and on its device."""
    return constant(values, tensor.dtype, tensor.device)
