"""From published snapshots to safetensors files: read without running anything, checked, written whole."""

import mmap
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stylehead import __version__
from stylehead.architecture import CONFIG_KEY, FORMAT_KEY, GENERATOR_FORMAT, GeneratorConfig
from stylehead.errors import JobError, UsageError
from stylehead.files import check_parents, save_arrays
from stylehead.weights import catalogue, store
from stylehead.weights.modules import Module, read_network, tensors_by_name
from stylehead.weights.pickle_machine import PickleBudget, Refused, shown
from stylehead.weights.snapshot_config import read_options
from stylehead.weights.state_dicts import detect, read_arrays, read_state_dict
from stylehead.weights.torch_files import Array, stored_tensor

LICENCE_KEY = "stylehead.licence"
_PACKED = (b"\x1f\x8b", b"7z\xbc\xaf\x27\x1c", b"Rar!")
_WEIGHTS = (".pkl", ".pth", ".pt", ".ckpt", ".safetensors", ".onnx")
_PLANE_AXES = np.eye(3)[[[0, 1, 2], [0, 2, 1], [1, 2, 0]]]


class ImportedSnapshot(NamedTuple):
    """What an import made."""

    path: Path
    config: GeneratorConfig
    notes: tuple[str, ...]
    """What the user should know of the file."""
    tensors: int
    numbers: int


def import_snapshot(src: str | os.PathLike[str], dst: str | os.PathLike[str]) -> ImportedSnapshot:
    """Turn a published training snapshot (`.pkl`) into a generator file (`.safetensors`).

    Nothing in the snapshot is executed, its embedded source texts included. The averaged generator `G_ema` is
    taken; every option, name and shape is checked, and the configuration and a licence note go into the
    header, so that `PanoHead.load(dst)` needs nothing else.

    Args:
        src: The snapshot.
        dst: File to write; its folder must exist.

    Raises:
        UsageError: There is no such file or folder.
        JobError: The file is refused; says why, and names what it holds that it should not.
    """
    source, target = Path(src), Path(dst)
    if target.is_dir() or not target.parent.is_dir():
        raise UsageError(f"{target} cannot be written: it needs to be a file in a folder that exists.")
    check_parents(target)
    read = read_generator(source)
    save_arrays(target, read.arrays, _header(read, source))
    numbers = sum(array.size for array in read.arrays.values())
    return ImportedSnapshot(target, read.config, read.notes, len(read.arrays), numbers)


class Network(NamedTuple):
    """A generator as its file has it: numbers by published name, configuration, notes and licence."""

    arrays: Mapping[str, Array]
    config: GeneratorConfig
    notes: tuple[str, ...]
    licence: str


def read_generator(path: Path) -> Network:
    """Read a whole generator: a training snapshot, or what an earlier import made of one.

    Raises:
        UsageError: There is no such file.
        JobError: The file is refused; says why, and names what it holds that it should not.
    """
    data = map_file(path)
    kind = detect(data)
    try:
        if kind == "safetensors":
            return _read_generator_file(path, data)
        if kind == "snapshot":
            return _read_snapshot(data)
        read_state_dict(path, data)
        raise Refused(
            "it is a state dict, which does not say how its network is built (a style needs its --base)"
        )
    except Refused as refusal:
        raise refused(path, refusal) from refusal


def _read_snapshot(data: memoryview) -> Network:
    budget = PickleBudget()
    modules = read_network(data, budget)
    if modules[""].kind == "TriPlaneGenerator" and "t_mapping" not in modules:
        raise Refused("it is an EG3D network (tri-plane); only PanoHead's (tri-grid) are read")
    tensors = {name: stored_tensor(node, {}, budget) for name, node in tensors_by_name(modules).items()}
    _check_axes(modules, budget)
    config, notes = read_options(modules, {name: tensor.shape for name, tensor in tensors.items()})
    return Network(read_arrays(tensors, config, size=len(data)), config, notes, inherited_licence())


def _read_generator_file(path: Path, data: memoryview) -> Network:
    """Read a file that an earlier import made."""
    state = read_state_dict(path, data)
    config = state.config()
    if config is None:
        raise Refused("its header has no configuration of a generator")
    licence = state.metadata.get(LICENCE_KEY, inherited_licence())
    return Network(read_arrays(state.tensors, config, size=len(data)), config, (), licence)


def _check_axes(modules: Mapping[str, Module], budget: PickleBudget) -> None:
    """Check that the three planes lie as ours do: the renderer keeps a table of their axes."""
    table = modules["renderer"].attributes.get("plane_axes") if "renderer" in modules else None
    if table is None:
        return
    stored = stored_tensor(table, {}, budget)
    if stored.shape != _PLANE_AXES.shape or not np.array_equal(stored.read(), _PLANE_AXES):
        raise Refused("its tri-grid has other planes (`renderer.plane_axes`) than this generator")


def _header(network: Network, source: Path) -> dict[str, str]:
    return {
        FORMAT_KEY: GENERATOR_FORMAT,
        CONFIG_KEY: network.config.to_json(),
        "stylehead.version": __version__,
        LICENCE_KEY: network.licence,
        **origin(source),
    }


def inherited_licence() -> str:
    """The licence note of whatever comes from PanoHead's weights."""
    entry = catalogue.find("panohead")
    return f"{entry.licence}. {entry.terms}"


def origin(source: Path) -> dict[str, str]:
    """Header entries that say which file something came from."""
    return {
        "stylehead.source": source.name.encode("utf-8", "replace").decode(),
        "stylehead.source_sha256": store.hash_file(source).sha256,
    }


def map_file(path: Path) -> memoryview:
    """Look into a file without reading it into memory.

    Raises:
        UsageError: There is no such file.
        JobError: It is empty, or plainly something else than weights.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder, not a file.")
    if not path.exists():
        raise UsageError(f"{path} does not exist.")
    if path.stat().st_size == 0:
        raise JobError(f"{path} is empty.", "download it again")
    with path.open("rb") as file:
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    start = bytes(data[:200]).lstrip().lower()
    if start.startswith((b"<!doctype", b"<html")):
        raise JobError(f"{path} is a web page, not weights.", "download the file itself, in a browser")
    if start.startswith(b"version https://git-lfs"):
        raise JobError(f"{path} only says where the weights are (git LFS).", "git lfs pull")
    if (inside := packed(path, data)) is not None:
        raise JobError(f"{path} is a packed archive{inside}.", "unpack it first, then import what is in it")
    return data


def packed(path: Path, data: memoryview) -> str | None:
    """Say what a packed archive holds (" that holds NAME", or ""); None when the file is none.

    Files that torch wrote are zip archives too, and no packed ones.
    """
    if bytes(data[:4]) != b"PK\x03\x04":
        return "" if bytes(data[:6]).startswith(_PACKED) else None
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError):
        return None  # its own reader says what is wrong
    if any(name.rpartition("/")[2] == "data.pkl" for name in names):
        return None
    weights = [shown(name) for name in names if Path(name).suffix.lower() in _WEIGHTS]
    return f" that holds {weights[0]}" if weights else None


def refused(path: Path, refusal: Refused) -> JobError:
    """The error of a file that was not accepted."""
    whole = "cut short" not in str(refusal)
    hint = "stylehead weights import --help says what can be imported" if whole else "download it again"
    return JobError(f"{path} was refused, and nothing in it was run: {refusal}.", hint)
