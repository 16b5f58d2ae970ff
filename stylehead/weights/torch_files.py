"""Tensors in torch's files, read with nothing but numpy: the zip format, the older one, and the pickled one.

A tensor is a window (offset, size, stride) on a storage, and a storage is a run of bytes in the file. Windows
are checked against the bytes that are really there before anything is made of them.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from stylehead.weights.pickle_machine import Global, Made, Persistent, PickleBudget, PickleMachine, Refused
from stylehead.weights.zip_members import zip_members

Array = np.ndarray[Any, np.dtype[Any]]

REBUILD_TENSOR = "torch._utils._rebuild_tensor_v2"
REBUILD_PARAMETER = "torch._utils._rebuild_parameter"
LOAD_FROM_BYTES = "torch.storage._load_from_bytes"
TENSOR_GLOBALS = frozenset({REBUILD_TENSOR, REBUILD_PARAMETER, LOAD_FROM_BYTES})

_TYPES = {
    "torch.FloatStorage": "<f4",
    "torch.HalfStorage": "<f2",
    "torch.DoubleStorage": "<f8",
    "torch.BFloat16Storage": "<u2",  # the upper half of a float32
    "torch.LongStorage": "<i8",
    "torch.IntStorage": "<i4",
    "torch.ByteStorage": "u1",
    "torch.BoolStorage": "?",
}
STORAGE_GLOBALS = frozenset(_TYPES)
_STATE_DICT_GLOBALS = STORAGE_GLOBALS | {REBUILD_TENSOR, REBUILD_PARAMETER, "collections.OrderedDict"}

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_MOST_DIMENSIONS = 8
_DEEPEST_STATE = 3
_STATE_NAMES = (
    "G_ema", "g_ema", "params_ema", "ema", "state_dict", "model_state_dict", "generator", "G", "g", "model",
    "module", "params",
)  # fmt: skip
"""Where training scripts keep a network's tensors; an average comes before what it is the average of."""


@dataclass(frozen=True)
class Storage:
    """A run of numbers in a file."""

    kind: str
    data: memoryview

    @property
    def count(self) -> int:
        """How many numbers it holds."""
        return len(self.data) // np.dtype(_TYPES[self.kind]).itemsize


@dataclass(frozen=True)
class StoredTensor:
    """A tensor that still lies in its file."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """What its numbers take in the file."""
        return prod(self.shape) * np.dtype(_TYPES[self.storage.kind]).itemsize

    def read(self) -> Array:
        """Copy the numbers into a contiguous float32 array."""
        kind = np.dtype(_TYPES[self.storage.kind])
        window: Array = np.ndarray(
            self.shape,
            kind,
            buffer=self.storage.data,
            offset=self.offset * kind.itemsize,
            strides=[step * kind.itemsize for step in self.stride],
        )
        if self.storage.kind == "torch.BFloat16Storage":
            return np.left_shift(window, 16, dtype=np.uint32, out=np.empty(self.shape, np.uint32)).view(
                np.float32
            )
        with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is refused as such
            return np.array(window, np.float32, order="C")


def stored_tensor(node: object, storages: Mapping[str, Storage], budget: PickleBudget) -> StoredTensor:
    """Understand what a pickle says of a tensor.

    Args:
        node: The value in the pickle.
        storages: Storages of the file by key, for tensors that refer to one.
        budget: Pays for storages that are pickles themselves.

    Raises:
        Refused: It is no tensor, or reaches beyond the bytes that are there.
    """
    if isinstance(node, Made) and node.function == REBUILD_PARAMETER and node.arguments:
        node = node.arguments[0]
    if not isinstance(node, Made) or node.function != REBUILD_TENSOR or len(node.arguments) < 4:
        raise Refused("it holds something else where a tensor belongs")
    source, offset, size, stride = node.arguments[:4]
    if isinstance(source, Persistent):
        storage = _referenced(source, storages)
    elif isinstance(source, Made) and source.function == LOAD_FROM_BYTES:
        storage = _pickled_storage(source, budget)
    else:
        raise Refused("it has a tensor without numbers")
    return _window(storage, offset, size, stride)


def read_torch_zip(data: memoryview, budget: PickleBudget) -> dict[str, StoredTensor]:
    """Read a state dict in the format of `torch.save`: a zip file with a pickle and one file per storage.

    Raises:
        Refused: It is no such file, or anything else than a state dict.
    """
    return _state_dict(*_zipped(data, budget), budget)


def read_torch_legacy(data: memoryview, budget: PickleBudget) -> dict[str, StoredTensor]:
    """Read a state dict in torch's older format: pickles, then the numbers of every storage.

    Raises:
        Refused: It is no such file, or anything else than a state dict.
    """
    return _state_dict(*_legacy(data, budget), budget)


def read_torch_tensors(data: memoryview, budget: PickleBudget) -> dict[str, StoredTensor]:
    """Read the tensors that `torch.save` wrote, in either format: one alone is called "", others by name.

    Raises:
        Refused: It is no such file, or holds neither a tensor nor a dictionary with some.
    """
    value, storages = _legacy(data, budget) if is_torch_legacy(data) else _zipped(data, budget)
    named = value if isinstance(value, dict) else {"": value}
    found = {str(name): node for name, node in named.items() if isinstance(node, Made)}
    if not found:
        raise Refused("it holds no tensor")
    return {name: stored_tensor(node, storages, budget) for name, node in found.items()}


def _zipped(data: memoryview, budget: PickleBudget) -> tuple[Any, dict[str, Storage]]:
    members = zip_members(data)
    pickles = [name for name in members if name.rpartition("/")[2] == "data.pkl"]
    if len(pickles) != 1:
        raise Refused("it is a zip file, but not one that torch wrote: it has no data.pkl")
    root = pickles[0].removesuffix("data.pkl")
    if bytes(members.get(f"{root}byteorder", b"little")) != b"little":
        raise Refused("its numbers are big-endian")
    value = PickleMachine(members[pickles[0]], _STATE_DICT_GLOBALS, budget).load()
    storages: dict[str, Storage] = {}
    for reference in _references(value):
        kind, key, count = _storage_facts(reference)
        numbers = members.get(f"{root}data/{key}")
        if numbers is None:
            raise Refused("it refers to numbers that are not in it")
        storages[key] = _checked(Storage(kind, numbers), count)
    return value, storages


def is_torch_legacy(data: memoryview) -> bool:
    """Whether data begins as torch's older format does."""
    return bytes(data[:14]) == b"\x80\x02\x8a\x0a" + _MAGIC.to_bytes(10, "little")[:9] + b"\x19"


def _state_dict(
    value: object, storages: Mapping[str, Storage], budget: PickleBudget
) -> dict[str, StoredTensor]:
    """Find the state dict in what was saved: itself, or inside under a name that training scripts use."""
    for _ in range(_DEEPEST_STATE):
        if not isinstance(value, dict):
            break
        inner = next((value[name] for name in _STATE_NAMES if isinstance(value.get(name), dict)), None)
        if inner is None:
            break
        value = inner
    if not isinstance(value, dict) or not value:
        raise Refused("it holds no state dict")
    return {str(name): stored_tensor(node, storages, budget) for name, node in value.items()}


def _pickled_storage(node: Made, budget: PickleBudget) -> Storage:
    """A storage whose pickle holds a whole file of the older format."""
    if len(node.arguments) != 1 or not isinstance(node.arguments[0], memoryview):
        raise Refused("it has a tensor without numbers")
    value, storages = _legacy(node.arguments[0], budget)
    return _referenced(value, storages)


def _legacy(data: memoryview, budget: PickleBudget) -> tuple[Any, dict[str, Storage]]:
    machine = PickleMachine(data, _STATE_DICT_GLOBALS, budget)
    if machine.load() != _MAGIC or machine.load() != _PROTOCOL:
        raise Refused("it has numbers in a format that is not torch's")
    system = machine.load()
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise Refused("its numbers are big-endian")
    value = machine.load()
    keys = machine.load()
    facts = {key: (kind, count) for kind, key, count in map(_storage_facts, _references(value))}
    if not isinstance(keys, list) or set(map(str, keys)) != set(facts) or len(keys) != len(facts):
        raise Refused("its list of tensors is damaged")
    storages: dict[str, Storage] = {}
    position = machine.position
    for key in map(str, keys):
        kind, count = facts[key]
        if position + 8 > len(data):
            raise Refused("it is cut short")
        (stored,) = struct.unpack("<q", data[position : position + 8])
        end = position + 8 + count * np.dtype(_TYPES[kind]).itemsize
        if stored != count or end > len(data):
            raise Refused("it is cut short" if stored == count else "its list of tensors is damaged")
        storages[key] = Storage(kind, data[position + 8 : end])
        position = end
    return value, storages


def _references(value: object) -> list[Persistent]:
    """Collect the storages that a value refers to, one of each, however its parts are shared."""
    found: dict[str, Persistent] = {}
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, Persistent):
            found[_storage_facts(item)[1]] = item
        elif isinstance(item, Made):
            waiting.extend(item.arguments)
        elif isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list | tuple):
            waiting.extend(item)
    return list(found.values())


def _storage_facts(reference: Persistent) -> tuple[str, str, int]:
    """Kind, key and count of a reference ('storage', kind, key, device, count, no view)."""
    key = reference.key
    if not isinstance(key, tuple) or len(key) < 5 or key[0] != "storage" or any(key[5:]):
        raise Refused("it refers to something outside")
    kind, name, count = key[1], key[2], key[4]
    if not isinstance(kind, Global) or kind.name not in _TYPES or not isinstance(name, str):
        raise Refused("it refers to something outside")
    if not _is_count(count):
        raise Refused("it declares a tensor of impossible size")
    return kind.name, name, count


def _referenced(reference: object, storages: Mapping[str, Storage]) -> Storage:
    if not isinstance(reference, Persistent):
        raise Refused("it has a tensor without numbers")
    kind, key, count = _storage_facts(reference)
    storage = storages.get(key)
    if storage is None or storage.kind != kind:
        raise Refused("it refers to numbers that are not in it")
    return _checked(storage, count)


def _checked(storage: Storage, count: int) -> Storage:
    if storage.count != count:
        raise Refused(f"it declares {count} numbers where there are {storage.count}")
    return storage


def _window(storage: Storage, offset: object, size: object, stride: object) -> StoredTensor:
    if not isinstance(size, tuple) or not isinstance(stride, tuple) or len(size) != len(stride):
        raise Refused("it has a tensor without a shape")
    if len(size) > _MOST_DIMENSIONS or not all(map(_is_count, (offset, *size, *stride))):
        raise Refused("it has a tensor of impossible shape")
    assert isinstance(offset, int)
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    count = prod(size)
    if count > storage.count or (count and last >= storage.count):
        raise Refused(f"it declares a tensor of shape {list(size)} but has {storage.count} numbers for it")
    steps = tuple(step if length > 1 and count else 0 for length, step in zip(size, stride, strict=True))
    return StoredTensor(storage, offset, size, steps)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**60
