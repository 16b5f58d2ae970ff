"""Making a generator the one of the panohead preset."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from stylehead.errors import UsageError
from stylehead.files import atomic_path
from stylehead.units import now
from stylehead.weights import catalogue, store
from stylehead.weights.snapshot import ImportedSnapshot, import_snapshot, map_file, read_generator
from stylehead.weights.store import Record

GENERATOR = "panohead"


class Registered(NamedTuple):
    """What is registered now, and what became of the registered generator before.

    Attributes:
        record: Where it is.
        imported: What the import made; None when the same file was imported before.
        replaced: Another generator was registered, whose styles do not fit this one.
    """

    record: Record
    imported: ImportedSnapshot | None
    replaced: bool = False


def register_generator(
    source: Path, *, overwrite: bool = False, agree: Callable[[], None] = lambda: None
) -> Registered:
    """Import a generator and register it, so that `--preset panohead` finds it.

    Args:
        source: A snapshot, or a generator file of an earlier import.
        overwrite: Take the place of another generator.
        agree: Called once the file has been read and found good; what it raises leaves everything as it was.

    Raises:
        UsageError: There is no such file, or another generator is registered.
        JobError: The file is refused, or another process is importing.
    """
    (name,) = catalogue.find(GENERATOR).files
    target = store.weights_folder(GENERATOR) / name
    map_file(source)
    with store.locked_weights(GENERATOR):
        record = store.read_record(GENERATOR)
        if record is not None and record.complete() and not overwrite:
            if _source(source) == record.source:
                return Registered(record, None)
            read_generator(source)  # what is wrong with the file comes first
            raise UsageError(
                f"A generator is registered already, imported from {record.source.partition(' ')[0]}.",
                f"--base {shlex.quote(str(record.path))} makes a style of what differs, --overwrite replaces "
                "it, --out FILE.safetensors writes another file",
            )
        replaced = record is not None and record.complete() and record.source != _source(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(target) as part:
            imported = import_snapshot(source, part)
            agree()
        record = Record(GENERATOR, target, {name: store.hash_file(target)}, _source(source), None, now())
        store.write_record(record)
        return Registered(record, imported._replace(path=target), replaced)


def _source(path: Path) -> str:
    return f"{path.name} (sha256 {store.hash_file(path).sha256})"
