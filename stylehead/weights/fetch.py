"""Fetching weights: the only code of this package that reaches the network.

Files of the Hugging Face Hub come through its own library and lie in its cache. Every file is hashed when it
comes; the hash must be the known one, the one that the Hub names, and from the second time on the recorded
one.
"""

import os
import re
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

from stylehead.errors import JobError, MissingError, StyleheadError
from stylehead.units import now
from stylehead.weights import archive, catalogue, store
from stylehead.weights.catalogue import Entry
from stylehead.weights.onnx_files import is_onnx
from stylehead.weights.store import FileFacts, Record

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""

_IGNORED = ("*.fp16.*", "*non_ema*", "*.bin", "*.ckpt", "*.msgpack", "*.h5")
_OFFLINE_WORDS = ("1", "ON", "YES", "TRUE")


class Plan(NamedTuple):
    """What a fetch would do.

    Attributes:
        commit: Of the repository, or None.
        files: Names of all files.
        bytes: To download; None: not known.
        cached: Everything is on this machine already.
    """

    commit: str | None
    files: tuple[str, ...]
    bytes: int | None
    cached: bool


class UnreachableError(JobError):
    """The Hub did not answer."""


def is_offline() -> bool:
    """Whether `HF_HUB_OFFLINE` forbids the network."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in _OFFLINE_WORDS


def plan_download(entry: Entry, *, endpoint: str | None = None) -> Plan:
    """Ask what there is to download.

    Args:
        entry: What to fetch.
        endpoint: Address of the Hub, for mirrors; None: the usual one.

    Raises:
        MissingError: It can only be had by hand, or the network is forbidden.
        UnreachableError: The Hub cannot be reached.
        JobError: It has nothing of the kind.
    """
    if entry.by_hand is not None:
        raise MissingError(f"{entry.title} cannot be fetched by a program.", entry.by_hand)
    if is_offline():
        raise _no_network(entry)
    if entry.repo_id is None:
        return foreseen(entry)
    import huggingface_hub

    record = store.read_record(entry.id)
    try:
        found = huggingface_hub.snapshot_download(
            entry.repo_id,
            revision=entry.revision or (record.revision if record else None),
            cache_dir=catalogue.hub_cache(),
            allow_patterns=list(entry.files),
            ignore_patterns=list(_IGNORED),
            tqdm_class=_silent_bar(None),
            dry_run=True,
            endpoint=endpoint,
        )
    except Exception as error:
        raise _hub_error(entry, error) from error
    assert isinstance(found, list)
    _check_patterns(entry, [item.filename for item in found])
    return Plan(
        found[0].commit_hash,
        tuple(item.filename for item in found),
        sum(item.file_size or 0 for item in found if item.will_download),
        cached=not any(item.will_download for item in found),
    )


def foreseen(entry: Entry) -> Plan:
    """Say what the catalogue knows of a download; nobody is asked."""
    return Plan(entry.revision, entry.files, entry.bytes, cached=False)


def fetch(
    entry: Entry, planned: Plan, *, progress: Progress | None = None, endpoint: str | None = None
) -> Record:
    """Download weights, check them and register them; what an earlier try left is gone on with.

    Args:
        entry: What to fetch; its licence is the caller's business.
        planned: From `plan_download`.
        progress: Told how far it is.
        endpoint: As for `plan_download`.

    Raises:
        JobError: The connection broke, or a file is not the one that was expected.
    """
    with store.locked_weights(entry.id):
        if entry.url is not None:
            folder = store.weights_folder(entry.id)

            def check(part: Path) -> None:
                _check_hashes(entry, part, _models(part))

            archive.fetch_models(entry.url, folder, progress, check)
            return _register(entry, folder, _models(folder), source=entry.url, revision=None)
        if entry.urls:
            folder = store.weights_folder(entry.id)
            archive.fetch_files(entry.urls, folder, progress)
            files = {name: store.hash_file(folder / name) for name in entry.urls}
            _check_hashes(entry, folder, files)
            return _register(entry, folder, files, source=", ".join(entry.urls.values()), revision=None)
        import huggingface_hub

        assert entry.repo_id is not None
        try:
            folder = Path(
                huggingface_hub.snapshot_download(
                    entry.repo_id,
                    revision=planned.commit,
                    cache_dir=catalogue.hub_cache(),
                    allow_patterns=list(planned.files),
                    tqdm_class=_silent_bar(progress),
                    endpoint=endpoint,
                )
            )
        except Exception as error:
            raise _hub_error(entry, error) from error
        files = {name: store.hash_file(folder / name) for name in planned.files}
        _check_hashes(entry, folder, files)
        return _register(entry, folder, files, source=entry.repo_id, revision=planned.commit)


def register_folder(entry: Entry, folder: Path) -> Record:
    """Register a local copy of weights, where it lies.

    Archives are often unpacked into a folder of their own name: a single folder inside is looked into too.

    Raises:
        JobError: It lacks files that the weights consist of, or one of them is no model.
    """
    folder = _innermost(entry, folder)
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    wanted = [name for name in names if any(fnmatch(name, pattern) for pattern in entry.files)]
    missing = [pattern for pattern in entry.files if not any(fnmatch(name, pattern) for name in wanted)]
    if missing:
        raise JobError(f"{folder} is not {entry.title}: it has no {', '.join(missing)}.")
    for name in wanted:
        if name.endswith(".onnx") and not is_onnx(folder / name):
            raise JobError(f"{folder / name} is no ONNX model: it is damaged or something else.")
    with store.locked_weights(entry.id):
        files = {name: store.hash_file(folder / name) for name in wanted}
        for name, facts in files.items():
            if entry.sha256.get(name, facts.sha256) != facts.sha256:
                raise JobError(f"{folder / name} is not the published file: its sha256 is another.")
        return _register(entry, folder, files, source=f"local folder {folder.name}", revision=None)


def _innermost(entry: Entry, folder: Path) -> Path:
    """The folder that holds the files themselves: the one given, or the only one inside of it."""
    inside = [path for path in folder.iterdir() if not path.name.startswith(".")]
    if len(inside) == 1 and inside[0].is_dir() and catalogue.is_complete(entry, inside[0]):
        return inside[0]
    return folder


def _register(
    entry: Entry, folder: Path, files: dict[str, FileFacts], *, source: str, revision: str | None
) -> Record:
    record = Record(entry.id, folder, files, source, revision, now())
    store.write_record(record)
    return record


def _check_patterns(entry: Entry, names: list[str]) -> None:
    missing = [pattern for pattern in entry.files if not any(fnmatch(name, pattern) for name in names)]
    if missing:
        raise JobError(
            f"{entry.repo_id} has no {', '.join(missing)}, which {entry.title} needs.",
            "put the files into a folder yourself, then: stylehead weights import FOLDER --id " + entry.id,
        )


def _models(folder: Path) -> dict[str, FileFacts]:
    return {path.name: store.hash_file(path) for path in sorted(folder.glob("*.onnx"))}


def _check_hashes(entry: Entry, folder: Path, files: dict[str, FileFacts]) -> None:
    """Compare with known hashes, with those that the Hub's cache carries in file names, and with a record."""
    record = store.read_record(entry.id)
    for name, facts in files.items():
        blob = (folder / name).resolve().name
        if len(blob) == 64 and set(blob) <= set("0123456789abcdef") and blob != facts.sha256:
            raise JobError(f"{name} of {entry.title} came damaged.", f"rm {(folder / name).resolve()}")
        if entry.sha256.get(name, facts.sha256) != facts.sha256 or not facts.sha256.startswith(_start(name)):
            message = f"{name} of {entry.title} is not the published file: its sha256 is another."
            raise JobError(message, f"rm {folder / name}")
        if record is not None and record.files.get(name, facts) != facts:
            raise JobError(
                f"{name} of {entry.title} is not what it was on {record.date[:10]}.",
                f"if you trust it: rm {store.home() / 'weights' / f'{entry.id}.json'}, and fetch again",
            )


def _start(name: str) -> str:
    """The first digits of a file's sha256 that torch's model files carry in their names, or nothing."""
    named = re.search(r"-([0-9a-f]{8})\.pth$", name)
    return named[1] if named else ""


def _no_network(entry: Entry) -> MissingError:
    return MissingError(
        f"{entry.title} is not on this machine, and --offline (HF_HUB_OFFLINE) forbids to fetch it.",
        f"HF_HUB_OFFLINE=0 stylehead weights fetch {entry.id}",
    )


def _hub_error(entry: Entry, error: Exception) -> StyleheadError:
    """What the Hub's library says, as one sentence; its exceptions are known by name, not imported."""
    chain = [error, error.__cause__]
    names = {cls.__name__ for link in chain if link is not None for cls in type(link).__mro__}
    if "GatedRepoError" in names:
        return JobError(
            f"{entry.repo_id} asks you to accept its terms first.", f"https://huggingface.co/{entry.repo_id}"
        )
    if names & {"RepositoryNotFoundError", "RevisionNotFoundError"}:
        return JobError(f"The Hub has no {entry.repo_id} (any more, or not for you).", "hf auth login")
    if isinstance(error, OSError) and error.errno is not None and "HTTPError" not in names:
        raise error  # the disk, not the network
    reason = " ".join(str(error.__cause__ or error).split())[:120]
    return UnreachableError(
        f"The Hugging Face Hub cannot be reached for {entry.repo_id} ({reason}).", "try again later"
    )


def _silent_bar(progress: Progress | None) -> Any:
    """A progress bar for the Hub's library that shows nothing and tells how many bytes have come."""
    from tqdm import tqdm

    class Bar(tqdm):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            options.pop("name", None)
            self._counts_bytes = options.get("unit") == "B"
            super().__init__(
                *arguments, **(options | {"file": _Nowhere(), "bar_format": "", "disable": False})
            )

        def update(self, n: float | None = 1) -> bool | None:
            shown = super().update(n)
            if self._counts_bytes and progress is not None and self.total:
                progress(int(self.n), int(self.total))
            return shown

    return Bar


class _Nowhere:
    """A file that keeps nothing."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None: ...
