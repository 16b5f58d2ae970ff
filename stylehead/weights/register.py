"""Making a generator the one of the panohead preset."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from stylehead.errors import UsageError
from stylehead.files import atomic_path
from stylehead.weights import catalogue, store
from stylehead.weights.snapshot import Imported, import_snapshot, map_file
from stylehead.weights.store import Record

GENERATOR = "panohead"


class Registered(NamedTuple):
    """What is registered now, and what the import made (None: the same file was imported before)."""

    record: Record
    imported: Imported | None


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
    with store.locked(GENERATOR):
        record = store.read_record(GENERATOR)
        if record is not None and record.complete() and not overwrite:
            if _source(source) == record.source:
                return Registered(record, None)
            raise UsageError(
                f"A generator is registered already, imported from {record.source.partition(' ')[0]}.",
                "add --overwrite to replace it, or --out FILE.safetensors to write another file",
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(target) as part:
            imported = import_snapshot(source, part)
            agree()
        record = Record(
            GENERATOR, target, {name: store.hash_file(target)}, _source(source), None, store.now()
        )
        store.write_record(record)
        return Registered(record, imported._replace(path=target))


def _source(path: Path) -> str:
    return f"{path.name} (sha256 {store.hash_file(path).sha256})"
