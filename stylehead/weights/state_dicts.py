"""State dicts in somebody's file: torch's two formats and safetensors, told apart by their content."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import numpy as np
from safetensors import SafetensorError, safe_open

from stylehead.architecture import (
    CONFIG_KEY,
    FORMAT_KEY,
    GENERATOR_FORMAT,
    UNUSED_TENSOR,
    GeneratorConfig,
    state_shapes,
)
from stylehead.errors import StyleheadError
from stylehead.weights.pickle_machine import PickleBudget, Refused, shown
from stylehead.weights.torch_files import Array, is_torch_legacy, read_torch_legacy, read_torch_zip

Format = Literal["snapshot", "torch zip", "torch legacy", "safetensors"]
_FILTER = np.outer((1, 3, 3, 1), (1, 3, 3, 1)) / 64


class TensorInFile(Protocol):
    """A tensor that still lies in its file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""

    @property
    def bytes(self) -> int:
        """What its numbers take in the file."""

    def read(self) -> Array:
        """Copy the numbers into a contiguous float32 array."""


class SafeTensor(NamedTuple):
    """A tensor in a safetensors file."""

    path: Path
    name: str
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """At most this; the format itself forbids that tensors share numbers."""
        return 0

    def read(self) -> Array:
        """Copy the numbers into a contiguous float32 array."""
        try:
            with safe_open(self.path, framework="numpy") as file:
                return np.array(file.get_tensor(self.name), np.float32, order="C")
        except (SafetensorError, TypeError, ValueError, AttributeError) as error:
            raise Refused(
                f"its `{shown(self.name)}` holds numbers of a kind that networks do not have"
            ) from error


class StateDict(NamedTuple):
    """Tensors by name, and the header entries of a safetensors file (else none)."""

    tensors: Mapping[str, TensorInFile]
    metadata: Mapping[str, str]

    def config(self) -> GeneratorConfig | None:
        """The configuration in the header of a generator file; None when it is no such file.

        Raises:
            Refused: It is damaged.
        """
        if self.metadata.get(FORMAT_KEY) != GENERATOR_FORMAT:
            return None
        try:
            return GeneratorConfig.from_json(self.metadata.get(CONFIG_KEY, ""))
        except (StyleheadError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise Refused("the configuration in its header is damaged") from error


def detect(data: memoryview) -> Format:
    """Tell the format of a file by how it begins; what begins like none of the others may be a snapshot."""
    if bytes(data[:4]) == b"PK\x03\x04":
        return "torch zip"
    if is_torch_legacy(data):
        return "torch legacy"
    length = int.from_bytes(data[:8], "little")
    return "safetensors" if bytes(data[8:9]) == b"{" and 2 <= length <= len(data) - 8 else "snapshot"


def read_state_dict(path: Path, data: memoryview) -> StateDict:
    """Read the names and shapes in a file; the numbers stay there until they are asked for.

    Args:
        path: The file.
        data: Its content.

    Raises:
        Refused: It is damaged, or anything else than a state dict.
    """
    kind = detect(data)
    if kind == "safetensors":
        return _read_safetensors(path)
    if kind == "snapshot":
        raise Refused("it is no state dict")
    read = read_torch_zip if kind == "torch zip" else read_torch_legacy
    return StateDict(read(data, PickleBudget()), {})


def read_arrays(
    tensors: Mapping[str, TensorInFile], config: GeneratorConfig, *, size: int
) -> dict[str, Array]:
    """Copy the tensors of a network out of its file, once all names and shapes are right.

    Args:
        tensors: By state-dict name.
        config: What the network is.
        size: Bytes of the file; the tensors cannot have more.

    Raises:
        Refused: A tensor is missing, too many, of another shape, or holds numbers that cannot be.
    """
    expected = state_shapes(config)
    found = {name: item for name, item in tensors.items() if name != UNUSED_TENSOR}
    if not config.rendering.use_torgb_raw:
        found = {name: item for name, item in found.items() if not name.startswith("torgb.")}
    for name in sorted(expected.keys() - found.keys()):
        raise Refused(f"it has no tensor `{name}`")
    for name in sorted(found.keys() - expected.keys()):
        raise Refused(f"it has a tensor `{shown(name)}` that the generator does not have")
    for name, item in found.items():
        if item.shape != expected[name]:
            raise Refused(f"its `{name}` has shape {list(item.shape)}, not {list(expected[name])}")
    if sum(item.bytes for item in found.values()) > size:
        raise Refused("its tensors share their numbers, which those of a network never do")
    arrays = {name: item.read() for name, item in found.items()}
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise Refused(f"its `{name}` holds numbers that are not finite")
        if name.endswith("resample_filter") and not np.allclose(array, _FILTER, atol=1e-4):
            raise Refused(f"its `{name}` is not the one filter that the generator knows")
    return arrays


def _read_safetensors(path: Path) -> StateDict:
    try:
        with safe_open(path, framework="numpy") as file:
            names = list(file.keys())
            tensors = {
                name: SafeTensor(path, name, tuple(file.get_slice(name).get_shape())) for name in names
            }
            return StateDict(tensors, file.metadata() or {})
    except (SafetensorError, OSError, ValueError) as error:
        raise Refused("it is a damaged safetensors file") from error
