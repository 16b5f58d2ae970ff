"""Checking that weights are still what they were when they came."""

import base64
import importlib.metadata
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from stylehead.weights import store
from stylehead.weights.presets import MINI_WEIGHTS
from stylehead.weights.store import Record

State = Literal["ok", "changed", "missing", "not known"]


class Checked(NamedTuple):
    """A file, its sha256 as it is now (None: it is not there), and how that compares."""

    path: Path
    sha256: str | None
    state: State


def verify_record(record: Record) -> Iterator[Checked]:
    """Hash every file of weights that were fetched or imported."""
    for name, facts in record.files.items():
        path = record.root / name
        if not path.is_file():
            yield Checked(path, None, "missing")
        else:
            now = store.hash_file(path)
            yield Checked(path, now.sha256, "ok" if now == facts else "changed")


def verify_embedded() -> Iterator[Checked]:
    """Hash the embedded models; an installed package knows what they were, a source checkout does not."""
    known = _installed_hashes()
    for path in sorted(MINI_WEIGHTS.rglob("*.safetensors")):
        now = store.hash_file(path).sha256
        before = known.get(path.resolve())
        yield Checked(path, now, "not known" if before is None else "ok" if now == before else "changed")


def _installed_hashes() -> dict[Path, str]:
    """Hashes that the installer recorded for the files of this package."""
    try:
        files = importlib.metadata.distribution("stylehead").files or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    return {
        Path(str(file.locate())).resolve(): base64.urlsafe_b64decode(file.hash.value + "==").hex()
        for file in files
        if file.hash is not None and file.hash.mode == "sha256" and file.suffix == ".safetensors"
    }
