"""Counting what a computation needs: bytes alive at once, arithmetic, and memory traffic.

Works on real tensors and on PyTorch's meta device, where a computation has shapes and costs nothing.
"""

import contextlib
import math
import weakref
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

_BAG = "aten::_embedding_bag"
_ELEMENTWISE = (
    "add", "sub", "mul", "div", "neg", "square", "sqrt", "rsqrt", "exp", "sigmoid", "clamp", "silu",
    "silu_backward", "gelu", "gelu_backward", "softplus", "softplus_backward", "leaky_relu",
    "leaky_relu_backward",
)  # fmt: skip
"""Operations whose result has the shape of their operands together, and the type that these share."""


@dataclass
class Counted:
    """What was counted between two marks.

    Attributes:
        peak_bytes: Most bytes of tensors alive at once that were made under the meter.
        flops: Floating-point operations of convolutions, products and attention, by type of number.
        traffic_bytes: Bytes read and written by all operations.
        operations: How many there were, views aside: on a GPU each is a launch, or a few.
    """

    peak_bytes: int = 0
    flops: dict[torch.dtype, int] = field(default_factory=lambda: defaultdict(int))
    traffic_bytes: int = 0
    operations: int = 0


class Meter(TorchDispatchMode):
    """Counts everything that is computed while it is entered, by phase.

    Tensors from before, such as weights, are not counted as memory. One that shares storage with another
    counts once, until the last of them is gone.
    """

    def __init__(self) -> None:
        super().__init__()
        self.phases: dict[str, Counted] = {}
        self.live_bytes = 0
        self._current = Counted()
        self._storages: dict[int, Any] = {}

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count under a name for a while; phases nest, and what is inside counts for the inner one."""
        outer, self._current = self._current, self.phases.setdefault(name, Counted())
        self._note_peak()
        try:
            yield
        finally:
            self._current = outer
            self._note_peak()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation and count it."""
        kwargs = kwargs or {}
        out = _shape_only(func, args)
        if out is None:
            out = func(*args, **kwargs)
        outputs = _tensors(out)
        for tensor in outputs:
            self._watch(tensor)
        self._note_peak()
        if not func.is_view:
            self._current.operations += 1
            inputs = _tensors((*args, *kwargs.values()))
            self._current.traffic_bytes += _traffic(func, inputs, outputs)
            formula = flop_registry.get(func._overloadpacket)
            if formula is not None and outputs:
                self._current.flops[outputs[0].dtype] += formula(*args, **kwargs, out_val=out)
        return out

    def add_flops(self, dtype: torch.dtype, number: int) -> None:
        """Count arithmetic that no operation shows."""
        self._current.flops[dtype] += number

    def _watch(self, tensor: Tensor) -> None:
        """Count a tensor's storage from now until it is freed."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._storages or not isinstance(storage, torch.UntypedStorage):
            return
        size = storage.nbytes()
        self.live_bytes += size

        def gone(_: Any) -> None:
            if self._storages.pop(key, None) is not None:
                self.live_bytes -= size

        self._storages[key] = weakref.ref(storage, gone)

    def _note_peak(self) -> None:
        self._current.peak_bytes = max(self._current.peak_bytes, self.live_bytes)


@contextlib.contextmanager
def fused_attention(meter: Meter) -> Iterator[None]:
    """Let attention on the meta device keep no scores, as the fused kernels of CPUs and GPUs keep none.

    Attention on any other device stays what it is.

    Args:
        meter: Where the arithmetic is counted, which no single operation shows.
    """
    real = functional.scaled_dot_product_attention

    def attend(query: Tensor, key: Tensor, value: Tensor, *rest: Any, **options: Any) -> Tensor:
        if query.device.type != "meta":
            return real(query, key, value, *rest, **options)
        shapes: Tensor = _Fused.apply(query, key, value, meter)
        return shapes

    # A function mode would be the tidier way in, but PyTorch leaves those during a backward pass.
    functional.scaled_dot_product_attention = attend
    try:
        yield
    finally:
        functional.scaled_dot_product_attention = real


class _Fused(torch.autograd.Function):
    """Two products forward; five backward, as scores are computed again."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, meter: Meter) -> Tensor:
        out = query.new_empty(*query.shape[:-1], value.shape[-1])
        ctx.save_for_backward(query, key, value, out)
        ctx.meter, ctx.product = meter, 2 * query.numel() * key.shape[-2]
        meter.add_flops(query.dtype, 2 * ctx.product)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        query, key, value, _ = ctx.saved_tensors
        ctx.meter.add_flops(query.dtype, 5 * ctx.product)
        return torch.empty_like(query), torch.empty_like(key), torch.empty_like(value), None


def _shape_only(func: Any, args: Any) -> Tensor | None:
    """Do a plain elementwise operation on the meta device, where its own way is slow; None for all others."""
    name = func._overloadpacket.__name__
    if name.rstrip("_") not in _ELEMENTWISE:
        return None
    tensors = [arg for arg in args if isinstance(arg, Tensor)]
    first = tensors[0]
    if not first.is_floating_point() or any(
        t.device.type != "meta" or t.dtype != first.dtype for t in tensors
    ):
        return None
    if name.endswith("_"):
        return first
    same = all(tensor.shape == first.shape for tensor in tensors)
    shape = first.shape if same else torch.broadcast_shapes(*(tensor.shape for tensor in tensors))
    return torch.empty(shape, dtype=first.dtype, device=first.device)


def _tensors(values: Any) -> list[Tensor]:
    """All tensors in the arguments or results of an operation."""
    if isinstance(values, Tensor):
        return [values]
    if isinstance(values, tuple | list):
        return [tensor for value in values for tensor in _tensors(value)]
    return []


def _traffic(func: Any, inputs: list[Tensor], outputs: list[Tensor]) -> int:
    """Bytes that an operation reads and writes; a look-up reads only the rows that it takes."""
    if func.name().startswith(_BAG):
        table, indices = inputs[:2]
        row = math.prod(table.shape[1:]) * table.element_size()
        return indices.numel() * (row + indices.element_size()) + _size(outputs[:1])
    return _size(inputs) + _size(outputs)


def _size(tensors: list[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
