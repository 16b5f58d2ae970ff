"""The manifest of a bank: checked when it is read, whoever wrote it."""

import json
import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Self

from stylehead.errors import JobError, UsageError
from stylehead.files import write_json
from stylehead.geometry import LABEL_SIZE

MANIFEST = "bank.json"
BANK_FORMAT = 1
TRUE_EDITOR = "the procedural heads"
"""The editor of true pictures of the embedded world: what others have to guess."""
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True)
class BankView:
    """A person from a side."""

    name: str
    """Stem of the picture files, such as `0003_1`."""
    person: int
    """Whose row of `Manifest.people` it is."""
    yaw_deg: float
    pitch_deg: float
    camera: tuple[float, ...]
    """Camera label, 25 numbers."""
    render_sha256: str


@dataclass(frozen=True)
class BankPerson:
    """A person: a seed of the generator, or a latent that was given."""

    name: str
    """Stem of the latent file."""
    seed: int | None
    source: str | None
    """Where a given latent came from."""
    latent_sha256: str


@dataclass(frozen=True)
class EditRecord:
    """An edited picture that a filling wrote; pictures without such a record are the user's own."""

    file: str
    """Relative to the bank's folder, with forward slashes."""
    view: str
    """Name of the view that it edits."""
    sha256: str
    editor: str
    licence: str
    prompt: str
    instruction: str
    seed: int | None
    round: int = 0
    """0 for the first filling; a refresh counts on."""


@dataclass(frozen=True)
class Manifest:
    """What `bank.json` holds.

    Attributes:
        generator: Fingerprint of the generator that made the renders.
        preset: Its preset.
        psi: Truncation of the people that come from seeds.
        resolution: Edge of the renders.
        people: Everybody.
        views: Everybody's sides, person by person, equally many each.
        prompt: What the edits are made for; None while there are none.
        edits: What fillings wrote.
    """

    generator: str
    preset: str
    psi: float
    resolution: int
    people: tuple[BankPerson, ...]
    views: tuple[BankView, ...]
    prompt: str | None = None
    edits: tuple[EditRecord, ...] = field(default=())

    @property
    def views_each(self) -> int:
        """How many sides of each person there are."""
        return len(self.views) // len(self.people)

    def write(self, folder: Path) -> None:
        """Write `bank.json`, atomically."""
        write_json(folder / MANIFEST, {"format": BANK_FORMAT, **asdict(self)})

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read and check `bank.json`.

        Raises:
            UsageError: The folder is no bank.
            JobError: The manifest is damaged or of another format; the sentence says where.
        """
        path = folder / MANIFEST
        if not path.is_file():
            raise UsageError(f"{folder} is not a bank: it has no {MANIFEST}.", "stylehead bank new --out DIR")
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(content, dict):
                raise TypeError("it holds no JSON object")
            if content.get("format") != BANK_FORMAT:
                raise JobError(f"{path} has format {content.get('format')!r}, not {BANK_FORMAT}.")
            manifest = cls._of(content)
            _check(manifest)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            what = f"`{error.args[0]}` is missing" if isinstance(error, KeyError) else str(error)
            raise JobError(f"{path} is damaged: {what}.", "make it again with stylehead bank new") from error
        return manifest

    @classmethod
    def _of(cls, content: Mapping[str, Any]) -> Self:
        prompt = content.get("prompt")
        return cls(
            generator=str(content["generator"]),
            preset=str(content["preset"]),
            psi=float(content["psi"]),
            resolution=int(content["resolution"]),
            people=tuple(_record(BankPerson, entry) for entry in content["people"]),
            views=tuple(_record(BankView, entry) for entry in content["views"]),
            prompt=None if prompt is None else str(prompt),
            edits=tuple(_record(EditRecord, entry) for entry in content.get("edits", ())),
        )


def _record(kind: Any, entry: Mapping[str, Any]) -> Any:
    """Build a record from its JSON object, checking the types of its fields."""
    if not isinstance(entry, Mapping):
        raise TypeError(f"{entry!r} is no {kind.__name__}")
    values = {name: _value(name, value) for name, value in entry.items() if name in kind.__annotations__}
    missing = [n for n in kind.__annotations__ if n not in values and not hasattr(kind, n)]
    if missing:
        raise KeyError(missing[0])
    return kind(**values)


def _value(name: str, value: Any) -> Any:
    """Check one field by its name."""
    if name == "camera":
        return tuple(float(number) for number in value)
    if name.endswith("_deg"):
        return float(value)
    if name in ("person", "seed", "round"):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise TypeError(f"`{name}` is {value!r}, not a whole number")
        return value
    if value is not None and not isinstance(value, str):
        raise TypeError(f"`{name}` is {value!r}, not text")
    return value


def _check(manifest: Manifest) -> None:
    """Check what fields must be to each other.

    Raises:
        ValueError: Something does not fit; says what.
    """
    if not 1 <= manifest.resolution <= 8192:
        raise ValueError(f"`resolution` is {manifest.resolution}")
    _check_views(manifest)
    _check_names([view.name for view in manifest.views] + [person.name for person in manifest.people])
    known = {view.name for view in manifest.views}
    for edit in manifest.edits:
        _check_edit(edit, known)


def _check_views(manifest: Manifest) -> None:
    people, views = manifest.people, manifest.views
    if not people or not views or len(views) % len(people):
        raise ValueError(f"{len(views)} views cannot be shared evenly by {len(people)} people")
    for index, view in enumerate(views):
        if view.person != index // manifest.views_each:
            raise ValueError(f"view {view.name} is not of person {index // manifest.views_each}")
        if len(view.camera) != LABEL_SIZE or not all(map(math.isfinite, view.camera)):
            raise ValueError(f"the camera of view {view.name} is not {LABEL_SIZE} finite numbers")


def _check_names(names: Sequence[str]) -> None:
    """Check that names can be stems of files, and of no file elsewhere."""
    for name in names:
        if not name or name != PurePosixPath(name).name or name.startswith(".") or "\\" in name:
            raise ValueError(f"{name!r} is no name of a file")
    if len(set(names)) < len(names):
        raise ValueError("a name occurs twice")


def _check_edit(edit: EditRecord, known: Set[str]) -> None:
    parts = PurePosixPath(edit.file).parts
    if len(parts) != 2 or parts[0] != "edited" or "\\" in edit.file or edit.view not in known:
        raise ValueError(f"{edit.file!r} is no edit of a view")
    if len(edit.sha256) != 64 or not set(edit.sha256) <= _HEX:
        raise ValueError(f"the hash of {edit.file} is none")
