"""The network in a snapshot: its modules with their attributes and tensors, as plain values."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stylehead.weights.pickle_machine import MAPPINGS, SET, Made, PickleBudget, PickleMachine, Refused, shown
from stylehead.weights.torch_files import STORAGE_GLOBALS, TENSOR_GLOBALS

PERSISTENT = "torch_utils.persistence._reconstruct_persistent_obj"
_PERSISTENT_VERSION = 6
_PLAIN_MODULES = {
    "torch.nn.modules.container.Sequential": "Sequential",
    "torch.nn.modules.activation.Softplus": "Softplus",
    "training.volumetric_rendering.ray_sampler.RaySampler": "RaySampler",
}
_SCALARS = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
_SCALAR_LAYOUTS = {"f8": "<d", "f4": "<f", "f2": "<e", "i8": "<q", "i4": "<i", "u1": "<B", "b1": "<?"}
SNAPSHOT_GLOBALS = (
    TENSOR_GLOBALS
    | STORAGE_GLOBALS
    | MAPPINGS
    | {PERSISTENT, SET, "numpy.dtype", *_SCALARS}
    | frozenset(_PLAIN_MODULES)
)
"""Everything that a snapshot may name; none of it is ever called."""

_MOST_MODULES = 1000  # the full network has 148
_MOST_NAMES = 300  # of anything in one module
_DEEPEST = 12


@dataclass(frozen=True)
class Module:
    """One module of a network.

    Attributes:
        kind: Name of its class.
        attributes: What is set on it beside tensors and modules.
        tensors: Its own parameters and buffers, as the pickle has them.
    """

    kind: str
    attributes: Mapping[str, Any]
    tensors: Mapping[str, Any]


def read_network(data: memoryview, budget: PickleBudget) -> dict[str, Module]:
    """Read the averaged generator (`G_ema`) of a snapshot.

    Args:
        data: The pickle.
        budget: What reading may cost.

    Returns:
        Modules by path; the generator itself has the path "".

    Raises:
        Refused: It is no snapshot, or holds something that snapshots do not.
    """
    value = PickleMachine(data, SNAPSHOT_GLOBALS, budget).load()
    network = value.get("G_ema") if isinstance(value, dict) else value
    if not isinstance(network, Made):
        raise Refused("it is no training snapshot: it has no generator G_ema")
    modules: dict[str, Module] = {}
    waiting = [("", network)]
    while waiting:
        path, node = waiting.pop()
        if len(modules) >= _MOST_MODULES or path.count(".") >= _DEEPEST:
            raise Refused("its generator has more modules than any")
        kind, state = _kind_and_state(node)
        modules[path] = Module(kind, _attributes(state), _tensors(state))
        prefix = f"{path}." if path else ""
        for name, child in _dictionary(state, "_modules").items():
            if child is not None:
                waiting.append((prefix + name, child))
    return modules


def tensors_by_name(modules: Mapping[str, Module]) -> dict[str, Any]:
    """Collect the tensors of all modules under their state-dict names."""
    return {
        f"{path}.{name}" if path else name: node
        for path, module in modules.items()
        for name, node in module.tensors.items()
    }


def _kind_and_state(node: object) -> tuple[str, dict[str, Any]]:
    """Class name and attributes of a pickled module; its source text is never looked at."""
    if isinstance(node, Made) and node.function == PERSISTENT and len(node.arguments) == 1:
        description = node.arguments[0]
        if not isinstance(description, dict) or description.get("type") != "class":
            raise Refused("it has a module without a class")
        if description.get("version") != _PERSISTENT_VERSION:
            raise Refused(f"it has a module in version {shown(description.get('version'))} of the format")
        kind, state = description.get("class_name"), description.get("state")
    elif isinstance(node, Made) and node.function in _PLAIN_MODULES:
        kind, state = _PLAIN_MODULES[node.function], node.state
    else:
        raise Refused("it has something else where a module belongs")
    if not isinstance(kind, str) or not isinstance(state, dict):
        raise Refused("it has a module without a class")
    if len(state) > _MOST_NAMES or not all(isinstance(name, str) for name in state):
        raise Refused("it has a module with too many attributes, or nameless ones")
    return kind, state


def _dictionary(state: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = state.get(name, {})
    if not isinstance(value, dict) or not all(isinstance(key, str) and "." not in key for key in value):
        raise Refused(f"it has a module whose {name} are damaged")
    if len(value) > _MOST_NAMES:
        raise Refused(f"it has a module with {len(value)} {name}")
    return value


def _tensors(state: Mapping[str, Any]) -> dict[str, Any]:
    found = {**_dictionary(state, "_parameters"), **_dictionary(state, "_buffers")}
    passing = state.get("_non_persistent_buffers_set", set())
    dropped = passing if isinstance(passing, set) else set()
    return {name: node for name, node in found.items() if node is not None and name not in dropped}


def _attributes(state: Mapping[str, Any]) -> dict[str, Any]:
    skipped = ("_parameters", "_buffers", "_modules")
    kept = {name: value for name, value in state.items() if name not in skipped and "_hooks" not in name}
    return plain_numbers(kept)


def plain_numbers(values: Mapping[str, Any]) -> dict[str, Any]:
    """Turn the numpy numbers among some values into Python's; what is inside of lists stays as it is."""
    return {
        name: _scalar(value) if isinstance(value, Made) and value.function in _SCALARS else value
        for name, value in values.items()
    }


def _scalar(node: Made) -> float | int:
    if len(node.arguments) == 2:
        kind, raw = node.arguments
        if isinstance(kind, Made) and kind.function == "numpy.dtype" and kind.arguments:
            layout = _SCALAR_LAYOUTS.get(kind.arguments[0]) if isinstance(kind.arguments[0], str) else None
            if layout is not None and isinstance(raw, memoryview) and len(raw) == struct.calcsize(layout):
                number: float | int = struct.unpack(layout, raw)[0]
                return number
    raise Refused("it has a number in a form that snapshots do not use")
