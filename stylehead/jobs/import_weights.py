"""Importing published files: a snapshot becomes a generator, a stylised generator a style."""

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from stylehead.architecture import GeneratorConfig
from stylehead.errors import JobError, MissingError, UsageError, quoted
from stylehead.files import check_parents
from stylehead.jobs.report import Report, Result
from stylehead.weights import catalogue
from stylehead.weights.catalogue import Entry
from stylehead.weights.pickle_machine import Refused, shown
from stylehead.weights.prefixes import find_prefix, without_prefix
from stylehead.weights.recognise import Kind, recognise, use_of
from stylehead.weights.snapshot import (
    LICENCE_KEY,
    ImportedSnapshot,
    import_snapshot,
    inherited_licence,
    map_file,
    origin,
    read_generator,
    refused,
)
from stylehead.weights.state_dicts import StateDict, detect, read_arrays, read_state_dict
from stylehead.weights.torch_files import Array

if TYPE_CHECKING:
    from stylehead.generator import PanoHead

PANOHEAD = "panohead"


class ImportRequest(NamedTuple):
    """What to import, and as what."""

    file: Path
    out: Path | None
    base: Path | None
    entry_id: str | None
    overwrite: bool


Ask = Callable[[Entry], None]
"""Makes sure that a licence is accepted, or raises `LicenseError`."""


def import_weights(request: ImportRequest, report: Report, ask: Ask, *, interactive: bool) -> Result:
    """Find out what the file is, and make of it what it can be.

    Args:
        request: What to import.
        report: Where notes and warnings go.
        ask: Asks for a licence.
        interactive: Somebody is there to be asked.

    Raises:
        UsageError: The options do not go together, or there is no such file.
        JobError: The file is refused.
        MissingError: A style needs its generator, and none is registered.
        LicenseError: The user was asked and did not accept the licence.
    """
    if request.entry_id is not None:
        return _import_folder(request, request.entry_id, ask)
    if request.file.is_dir():
        raise UsageError(
            f"{request.file} is a folder: `--id` must say which weights it is.", "stylehead weights list"
        )
    data = map_file(request.file)
    state = None
    if detect(data) != "snapshot":
        try:
            state = read_state_dict(request.file, data)
            is_generator = state.config() is not None
        except Refused as refusal:
            raise refused(request.file, refusal) from refusal
        if not is_generator:
            return _import_style(request, state, len(data), report)
    if request.base is not None:
        return _import_difference(request, request.base, report)
    return _import_generator(request, report, ask if interactive else _ask_nobody)


def _ask_nobody(entry: Entry) -> None:
    """Leave the licence open: weights are registered, and used once it is accepted."""


def _import_generator(request: ImportRequest, report: Report, ask: Ask) -> Result:
    """Register a generator for the panohead preset, or write it where `--out` says."""
    if request.out is not None:
        _check_free(request.out, overwrite=request.overwrite)
        imported = import_snapshot(request.file, request.out)
        _say_licence(report)
        hint = ""
        if (base := catalogue.local_path(PANOHEAD)) is not None:
            again = f"stylehead weights import {_quoted(request.file)} --base {_quoted(base)}"
            hint = f"{again} (a style of what differs, to render with)"
        return _generator_result(imported, request.out, report, hint)
    from stylehead.weights.register import register_generator

    registered = register_generator(
        request.file, overwrite=request.overwrite, agree=lambda: ask(catalogue.find(PANOHEAD))
    )
    if registered.imported is None:
        report.note("The same file was imported before.")
    if registered.replaced:
        report.warn("It replaces another generator: styles that were trained on that one do not fit it.")
    _say_licence(report)
    hint = "stylehead render --preset panohead --seed 42 --yaw-steps 36"
    if not catalogue.accepted(PANOHEAD):
        hint = f"stylehead weights fetch {PANOHEAD} --accept-license {PANOHEAD} (before it can be used)"
    return _generator_result(registered.imported, registered.record.path, report, hint)


def _say_licence(report: Report) -> None:
    report.note(f"Licence: {inherited_licence()}")


def _generator_result(imported: ImportedSnapshot | None, path: Path, report: Report, hint: str) -> Result:
    rows: list[tuple[str, Path | str]] = [("generator", path)]
    data: dict[str, object] = {"kind": "generator", "path": path, "licence": inherited_licence()}
    if imported is not None:
        for note in imported.notes:
            report.warn(note)
        config = imported.config
        texels, slices = config.rendering.triplane_size, config.rendering.triplane_depth
        rows += [
            ("image", f"{config.img_resolution} pixels (raw {config.neural_rendering_resolution})"),
            ("tri-grid", f"{texels} texels, {slices} slice{'s' if slices > 1 else ''}"),
            ("tensors", f"{imported.tensors} with {imported.numbers:,} numbers"),
        ]
        data |= {"config": config.to_dict(), "notes": imported.notes, "tensors": imported.tensors}
    return Result(primary=(path,), rows=tuple(rows), data=data, next=(hint,) if hint else ())


def _import_style(request: ImportRequest, state: StateDict, size: int, report: Report) -> Result:
    """Write what a stylised generator changed in its base as a style file."""
    if state.metadata.get("stylehead.format", "").startswith("style"):
        raise UsageError(
            f"{request.file} is a style file already.", f"stylehead render --style {quoted(request.file)}"
        )
    prefix, left = find_prefix(state.tensors)
    tensors = without_prefix(state.tensors, prefix)
    kind = recognise({name: tensor.shape for name, tensor in tensors.items()})
    if kind is not None:
        raise _another_model(request.file, kind)
    base = request.base or catalogue.local_path(PANOHEAD)
    if base is None:
        raise MissingError(
            f"{request.file} holds a network without its options: as a style it needs the generator that it "
            "was trained from, and none is registered.",
            "import PanoHead's snapshot first, or add --base GENERATOR.safetensors",
        )
    if prefix:
        rest = f"; {left} other tensors are left out" if left else ""
        report.note(f"Its tensors are called `{shown(prefix)}...`: read without that{rest}.")

    def read(config: GeneratorConfig) -> Mapping[str, Array]:
        try:
            return read_arrays(tensors, config, size=size)
        except Refused as refusal:
            raise refused(request.file, refusal) from refusal

    return _write_style(request, base, read, report)


def _import_difference(request: ImportRequest, base: Path, report: Report) -> Result:
    """Write what a whole generator changed in its base, such as one tuned to a person, as a style file."""
    network = read_generator(request.file)

    def read(config: GeneratorConfig) -> Mapping[str, Array]:
        ours, its = config.to_dict(), network.config.to_dict()
        different = [name for name in ours if ours[name] != its[name]]
        if different:
            raise JobError(f"{request.file} is no variant of {base}: they differ in `{different[0]}`.")
        return network.arrays

    return _write_style(request, base, read, report)


def _write_style(
    request: ImportRequest,
    base: Path,
    read: Callable[[GeneratorConfig], Mapping[str, Array]],
    report: Report,
) -> Result:
    out = request.out or _beside(request.file)
    _check_free(out, overwrite=request.overwrite)
    from stylehead.generator import PanoHead, save_style

    reference, generator = PanoHead.load(base), PanoHead.load(base)
    arrays = read(generator.config)
    changed = _load(generator, arrays)
    if not changed:
        raise JobError(f"{request.file} is the generator {base} itself: nothing is changed.")
    strange = sorted(name for name in changed if name.startswith(("backbone.mapping.", "decoder.")))
    if strange:
        report.warn(f"`{strange[0]}` differs, which stylising leaves alone: is {base.name} the right base?")
    save_style(out, generator, reference, _style_header(request.file))
    _say_licence(report)
    data = {"kind": "style", "path": out, "base": base, "tensors": changed}
    rows = (("style", out), ("base", base), ("changed", f"{len(changed)} of {len(arrays)} tensors"))
    preset = "" if request.base else "--preset panohead "
    hint = f"stylehead render {preset}--seed 42 --yaw-steps 36 --style {_quoted(out)}"
    return Result(primary=(out,), rows=rows, data=data, next=(hint,))


def _another_model(file: Path, kind: Kind) -> JobError:
    """The error of a file that is a model, but no head generator."""
    hint = use_of(kind, file) or "stylehead weights import --help says what can be imported"
    return JobError(f"{file} is {kind.title}, not a head generator of PanoHead's kind.", hint)


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def _load(generator: "PanoHead", arrays: Mapping[str, object]) -> list[str]:
    """Put arrays into a network; returns the names of those that differ from what was there."""
    import torch

    changed = []
    for name, tensor in generator.state_dict().items():
        value = torch.as_tensor(arrays[name])
        if not torch.equal(tensor, value):
            tensor.copy_(value)
            changed.append(name)
    return changed


def _style_header(file: Path) -> dict[str, str]:
    header = {
        "stylehead.prompt": file.stem,
        "stylehead.method": "imported",
        "stylehead.preset": PANOHEAD,
        LICENCE_KEY: inherited_licence(),
    }
    return header | origin(file)


def _import_folder(request: ImportRequest, entry_id: str, ask: Ask) -> Result:
    from stylehead.weights.fetch import register_folder

    if request.out is not None or request.base is not None:
        raise UsageError(
            "`--id` registers a folder where it lies; it goes with neither `--out` nor `--base`."
        )
    if entry_id == PANOHEAD:
        raise UsageError("PanoHead is imported from its snapshot file, without `--id`.")
    entry = catalogue.find(entry_id)
    if not request.file.is_dir():
        raise UsageError(f"{request.file} is not a folder.")
    ask(entry)
    record = register_folder(entry, request.file)
    data = {"kind": "folder", "id": entry.id, "path": record.path, "files": list(record.files)}
    return Result(primary=(record.path,), rows=((entry.id, record.path),), data=data)


def _beside(file: Path) -> Path:
    """Name of the style in the current folder."""
    suffix = "-style" if file.suffix == ".safetensors" else ""
    return Path(f"{file.stem}{suffix}.safetensors")


def _check_free(path: Path, *, overwrite: bool) -> None:
    if path.is_dir():
        raise UsageError(f"`--out` (={path}) is a folder.", f"--out {quoted(path / 'generator.safetensors')}")
    if path.exists() and not overwrite:
        raise UsageError(f"{path} is there already.", "add --overwrite, or choose another --out")
    check_parents(path)
    path.parent.mkdir(parents=True, exist_ok=True)
