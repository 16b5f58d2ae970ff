"""The folder on this machine that remembers which weights are here and which licences were accepted.

`STYLEHEAD_HOME` names it; without that it is where the system keeps the data of programs. Inside:

    licences.json            accepted licences, with the date
    weights/<id>.json        one record for each entry of the catalogue that is here
    weights/<id>/...         files that are not in another program's cache
"""

import hashlib
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from stylehead.errors import JobError
from stylehead.files import clear_leftovers, let_go, new_lock, read_json, take, write_json
from stylehead.units import now

HOME_VARIABLE = "STYLEHEAD_HOME"
ACCEPT_VARIABLE = "STYLEHEAD_ACCEPT_LICENSES"
_RECORD_FORMAT = 1


class FileFacts(NamedTuple):
    """Size in bytes and sha256 of a file, as found when it was registered."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Record:
    """What is known of weights that are on this machine.

    Attributes:
        id: Entry of the catalogue.
        path: The file, or the folder, to load.
        files: Facts of every file, by path relative to the folder (of a single file: its name).
        source: Where the files came from, for people.
        revision: Commit of the Hub repository, or None.
        date: When they were registered, UTC, ISO 8601.
    """

    id: str
    path: Path
    files: dict[str, FileFacts]
    source: str
    revision: str | None
    date: str

    @property
    def root(self) -> Path:
        """The folder that the names of files are relative to."""
        return self.path if self.path.is_dir() else self.path.parent

    def missing(self) -> list[str]:
        """Names of files that are no longer there."""
        return [name for name in self.files if not (self.root / name).is_file()]

    def complete(self) -> bool:
        """Whether every file is there, unread."""
        return self.path.exists() and not self.missing()


def home() -> Path:
    """The folder; it need not exist."""
    if named := os.environ.get(HOME_VARIABLE):
        return Path(named).expanduser()
    import platformdirs

    return platformdirs.user_data_path("stylehead", appauthor=False)


def weights_folder(entry_id: str) -> Path:
    """Where the files of an entry go that are ours to keep; it need not exist."""
    return home() / "weights" / entry_id


@contextmanager
def locked_weights(entry_id: str) -> Iterator[None]:
    """Keep other processes from fetching or importing the same weights; freed when this process dies.

    Raises:
        JobError: Another process is at it.
    """
    folder = home() / "weights"
    folder.mkdir(parents=True, exist_ok=True)
    lock = new_lock(folder / f".{entry_id}.lock")
    if not take(lock):
        raise JobError(f"Another process is fetching or importing {entry_id}.", "wait for it")
    try:
        for inside in (folder, weights_folder(entry_id)):
            clear_leftovers(inside)
        yield
    finally:
        let_go(lock)


def read_record(entry_id: str) -> Record | None:
    """The record of an entry, or None if it was never registered.

    Raises:
        JobError: The record is damaged.
    """
    path = _record_path(entry_id)
    if not path.is_file():
        return None
    data = _read(path)
    try:
        files = {
            name: FileFacts(int(fact["bytes"]), str(fact["sha256"])) for name, fact in data["files"].items()
        }
        return Record(
            id=entry_id,
            path=home() / data["path"],  # an absolute path stays as it is
            files=files,
            source=str(data["source"]),
            revision=data["revision"],
            date=str(data["date"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise JobError(f"The record {path} is damaged.", f"rm {shlex.quote(str(path))}") from error


def write_record(record: Record) -> None:
    """Register weights; a path inside the home folder is kept relative to it, so that it can be moved."""
    inside = record.path.is_relative_to(home())
    data = asdict(record) | {
        "format": _RECORD_FORMAT,
        "path": record.path.relative_to(home()).as_posix() if inside else str(record.path.resolve()),
        "files": {name: facts._asdict() for name, facts in sorted(record.files.items())},
    }
    path = _record_path(record.id)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, data)


def hash_file(path: Path) -> FileFacts:
    """Read a file and return its size and sha256."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileFacts(path.stat().st_size, digest)


def licences() -> dict[str, str]:
    """Accepted licences: id of the entry, and when it was accepted."""
    path = home() / "licences.json"
    return (
        {str(key): str(value) for key, value in read_json(path, f"rm {shlex.quote(str(path))}").items()}
        if path.is_file()
        else {}
    )


def record_licence(entry_id: str) -> None:
    """Remember that a licence was accepted, today; an earlier date stays."""
    known = licences()
    if entry_id not in known:
        home().mkdir(parents=True, exist_ok=True)
        write_json(home() / "licences.json", known | {entry_id: now()})


def named_licences() -> set[str]:
    """Names in `STYLEHEAD_ACCEPT_LICENSES`, comma-separated."""
    return {name.strip() for name in os.environ.get(ACCEPT_VARIABLE, "").split(",") if name.strip()}


def _record_path(entry_id: str) -> Path:
    return home() / "weights" / f"{entry_id}.json"


def _read(path: Path) -> dict[str, Any]:
    return read_json(path, f"rm {shlex.quote(str(path))}")
