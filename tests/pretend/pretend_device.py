"""A device that computes on the host and fails as CUDA does: for code that was never near a GPU.

Tensors of the device `pretend:0` hold a tensor of the host inside. Every operation on them is looked at
first: other devices may not mix in, random numbers come from a generator of the right device, and numpy sees
nothing. What CUDA allows is allowed: numbers of no dimension from the host, indices on the host, copies.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

NAME = "pretend"
_aten = torch.ops.aten
_MAKERS = (torch.tensor, torch.as_tensor, torch.asarray)
_COPIES = {_aten.copy_.default, _aten._to_copy.default, _aten.set_.source_Tensor}
_INDEXED = {
    _aten.index.Tensor,
    _aten.index_put.default,
    _aten.index_put_.default,
    _aten._index_put_impl_.default,
}
_state: dict[str, Any] = {}
_HostGenerator = torch.Generator


class PretendTensor(torch.Tensor):
    """A tensor of the pretend device; `held` is where its numbers are."""

    held: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: Tensor) -> "PretendTensor":
        facts = {name: getattr(held, name) for name in ("dtype", "layout")}
        place = {"strides": held.stride(), "storage_offset": held.storage_offset(), "device": device()}
        made = torch.Tensor._make_wrapper_subclass(cls, held.size(), **place, **facts)
        made.held = held.detach() if held.requires_grad else held
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})

    def __repr__(self, **_: Any) -> str:
        return f"PretendTensor({self.held})"


class PretendGenerator(_HostGenerator):
    """A generator of either device: that of the pretend one has a state of 16 bytes, as CUDA's has."""

    home: torch.device
    _states: ClassVar[dict[bytes, Tensor]] = {}

    def __new__(cls, device: Any = "cpu") -> "PretendGenerator":
        made = super().__new__(cls, "cpu")
        made.home = torch.device(device)
        if made.home.type == NAME:
            made.home = torch.device(NAME, 0)
        return made

    @property
    def device(self) -> torch.device:
        return self.home

    def get_state(self) -> Tensor:
        state = super().get_state()
        if self.home.type != NAME:
            return state
        key = len(self._states).to_bytes(16, "little")
        self._states[key] = state
        return torch.tensor(list(key), dtype=torch.uint8)

    def set_state(self, state: Tensor) -> "PretendGenerator":
        if self.home.type == NAME:
            if state.numel() != 16:
                raise RuntimeError("RNG state is wrong size")
            state = self._states[bytes(state.tolist())]
        super().set_state(state)
        return self


class _Module(_DummyBackendModule):
    """What `torch.pretend` is, as `torch.cuda` is: recomputing layers asks it for autocasting.

    An exception in the backward pass of such a device kills the process, so nothing may be missing here.
    """

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.float16, torch.bfloat16]

    def get_rng_state(self, device: Any = None) -> Tensor:
        return torch.zeros(16, dtype=torch.uint8)

    def set_rng_state(self, state: Tensor, device: Any = None) -> None:
        """Nothing to set: what names no generator draws from the host's."""


def device() -> torch.device:
    """The device."""
    return torch.device(NAME, 0)


def _run(func: Any, args: Any, kwargs: Any) -> Any:
    tensors = list(_tensors((args, kwargs)))
    pretends = [leaf for leaf in tensors if isinstance(leaf, PretendTensor)]
    target = _target(func, args, kwargs, pretends)
    if func not in _COPIES:
        _check_devices(func, args, tensors, pretends)
    result = func(*_mapped(_host, args), **_mapped(_host, kwargs))
    if target.type != NAME or func is _aten._local_scalar_dense.default:
        return result
    known = {id(one.held): one for one in pretends}
    return _mapped(lambda made: _wrapped(made, known), result)


def _mapped(function: Callable[[Any], Any], value: Any) -> Any:
    """Apply a function to everything in lists, tuples and dictionaries: operations take nothing else."""
    if isinstance(value, list | tuple):
        parts = [_mapped(function, part) for part in value]
        return parts if isinstance(value, list) else tuple(parts)
    if isinstance(value, dict):
        return {name: _mapped(function, part) for name, part in value.items()}
    return function(value)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _tensors(part)


def _wrapped(made: Any, known: dict[int, PretendTensor]) -> Any:
    """Put a result onto the device; what was changed in place stays the tensor that it was."""
    if not isinstance(made, Tensor) or isinstance(made, PretendTensor):
        return made
    return known[id(made)] if id(made) in known else PretendTensor(made)


def _target(func: Any, args: Any, kwargs: Any, pretends: list[PretendTensor]) -> torch.device:
    """Where the result is: the device that was asked for, else that of the arguments."""
    if func is _aten.copy_.default:
        return args[0].device
    if kwargs.get("device") is not None:
        return torch.device(kwargs["device"])
    return device() if pretends else torch.device("cpu")


def _check_devices(func: Any, args: Any, tensors: list[Tensor], pretends: list[PretendTensor]) -> None:
    """Refuse what CUDA refuses: tensors of two devices, unless those of the host are numbers or indices."""
    if not pretends:
        return
    strangers = [one for one in tensors if not isinstance(one, PretendTensor) and one.dim() > 0]
    if func in _INDEXED and isinstance(args[0], PretendTensor):
        strangers = [one for one in strangers if one.dtype not in (torch.int64, torch.bool, torch.uint8)]
    if strangers:
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but found {NAME}:0 and cpu! ({func})"
        )


def _check_generator(args: Any, kwargs: Any) -> None:
    """Refuse a generator of another device than that of the numbers that are drawn."""
    rng = kwargs.get("generator")
    if not isinstance(rng, PretendGenerator):
        return
    first = next(_tensors(args), None)
    place = kwargs.get("device") or (first.device if first is not None else "cpu")
    target = torch.device(place).type
    if rng.device.type != target:
        raise RuntimeError(f"Expected a '{target}' device type for generator but found '{rng.device.type}'")


def _host(value: Any) -> Any:
    if isinstance(value, PretendTensor):
        return value.held
    return torch.device("cpu") if isinstance(value, torch.device) and value.type == NAME else value


def _indices(index: Any) -> Any:
    """Turn lists among indices into tensors of the host, which torch would do on the device itself."""
    if isinstance(index, list):
        return torch.tensor(index) if index else torch.empty(0, dtype=torch.int64)
    return tuple(map(_indices, map(_listed, index))) if isinstance(index, tuple) else index


def _listed(index: Any) -> Any:
    return list(index) if isinstance(index, tuple) else index


class _Dispatch(TorchDispatchMode):
    """Sees the operations that have no tensor of the device among their arguments, but make one."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class _Functions(TorchFunctionMode):
    """Sees what never reaches an operation: tensors of Python numbers, and ways out of torch."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        _check_generator(args, kwargs)
        if func in _MAKERS:
            place = kwargs.pop("device", None)
            made = func(*args, **kwargs)
            return made if place is None else made.to(place)
        if func is torch.Tensor.new_tensor:
            place = kwargs.pop("device", None) or args[0].device
            kwargs.setdefault("dtype", args[0].dtype)
            return torch.tensor(*args[1:], **kwargs).to(place)
        if args and isinstance(args[0], PretendTensor):
            if func in (torch.Tensor.__getitem__, torch.Tensor.__setitem__):
                args = (args[0], _indices(args[1]), *args[2:])
            if func in (torch.Tensor.numpy, torch.Tensor.__array__):
                raise TypeError(
                    f"can't convert {NAME}:0 device type tensor to numpy. Use Tensor.cpu() first."
                )
            if func in (torch.Tensor.tolist, torch.Tensor.data_ptr):
                return getattr(args[0].held, func.__name__)()
        return func(*args, **kwargs)


@contextlib.contextmanager
def pretending() -> Iterator[torch.device]:
    """Have the device for a while."""
    if not _state:
        _setup_privateuseone_for_python_backend(NAME, _Module())
        _state["registered"] = True
    alone = torch.autograd.set_multithreading_enabled(False)  # the backward pass is looked at, too
    with pytest.MonkeyPatch.context() as patch, alone, _Dispatch(), _Functions():
        patch.setattr(torch, "Generator", PretendGenerator)
        yield device()
