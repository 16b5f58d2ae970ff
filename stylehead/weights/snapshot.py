"""From published snapshots to safetensors files: read without running anything, checked, written whole."""

import mmap
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stylehead import __version__
from stylehead.architecture import (
    CONFIG_KEY,
    FORMAT_KEY,
    GENERATOR_FORMAT,
    UNUSED_TENSOR,
    GeneratorConfig,
    state_shapes,
)
from stylehead.errors import JobError, UsageError
from stylehead.files import check_parents, save_arrays
from stylehead.weights import catalogue, store
from stylehead.weights.modules import Module, read_network, tensors_by_name
from stylehead.weights.options import read_options
from stylehead.weights.pickle_machine import Budget, Refused, shown
from stylehead.weights.torch_files import Array, StoredTensor, stored_tensor

_PLANE_AXES = np.eye(3)[[[0, 1, 2], [0, 2, 1], [1, 2, 0]]]
_FILTER = np.outer((1, 3, 3, 1), (1, 3, 3, 1)) / 64


class Imported(NamedTuple):
    """What an import made."""

    path: Path
    config: GeneratorConfig
    notes: tuple[str, ...]
    """What the user should know of the file."""
    tensors: int
    numbers: int


def import_snapshot(src: str | os.PathLike[str], dst: str | os.PathLike[str]) -> Imported:
    """Turn a published training snapshot (`.pkl`) into a generator file (`.safetensors`).

    Nothing in the snapshot is executed, its embedded source texts included. The averaged generator `G_ema` is
    taken; every option, name and shape is checked, and the configuration and a licence note go into the
    header, so that ``PanoHead.load(dst)`` needs nothing else.

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
    data = map_file(source)
    budget = Budget()
    try:
        modules = read_network(data, budget)
        stored = {name: stored_tensor(node, {}, budget) for name, node in tensors_by_name(modules).items()}
        _check_axes(modules, budget)
        config, notes = read_options(modules, {name: item.shape for name, item in stored.items()})
        arrays = read_arrays(stored, config, size=len(data))
    except Refused as refusal:
        raise refused(source, refusal) from refusal
    save_arrays(target, arrays, generator_header(config, source))
    return Imported(target, config, notes, len(arrays), sum(array.size for array in arrays.values()))


def _check_axes(modules: Mapping[str, Module], budget: Budget) -> None:
    """Check that the three planes lie as ours do: the renderer keeps a table of their axes."""
    table = modules["renderer"].attributes.get("plane_axes") if "renderer" in modules else None
    if table is None:
        return
    stored = stored_tensor(table, {}, budget)
    if stored.shape != _PLANE_AXES.shape or not np.array_equal(stored.read(), _PLANE_AXES):
        raise Refused("its tri-grid has other planes (`renderer.plane_axes`) than this generator")


def generator_header(config: GeneratorConfig, source: Path) -> dict[str, str]:
    """Header entries of a generator file that came from somebody else's file."""
    entry = catalogue.find("panohead")
    return {
        FORMAT_KEY: GENERATOR_FORMAT,
        CONFIG_KEY: config.to_json(),
        "stylehead.version": __version__,
        "stylehead.licence": f"{entry.licence}. {entry.terms}",
        "stylehead.source": source.name.encode("utf-8", "replace").decode(),
        "stylehead.source_sha256": store.hash_file(source).sha256,
    }


def read_arrays(
    stored: Mapping[str, StoredTensor], config: GeneratorConfig, *, size: int
) -> dict[str, Array]:
    """Copy the tensors of a network out of its file, once all names and shapes are right.

    Args:
        stored: By state-dict name.
        config: What the network is.
        size: Bytes of the file; the tensors cannot have more.

    Raises:
        Refused: A tensor is missing, too many, of another shape, or holds numbers that cannot be.
    """
    expected = state_shapes(config)
    found = {name: item for name, item in stored.items() if name != UNUSED_TENSOR}
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
    return data


def refused(path: Path, refusal: Refused) -> JobError:
    """The error of a file that was not accepted."""
    return JobError(f"{path} was refused: {refusal}. Nothing in it was run.")
