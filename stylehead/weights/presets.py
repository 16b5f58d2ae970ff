"""Presets: named sets of weight files that fit together."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from stylehead.errors import MissingError, UsageError

PresetName = Literal["auto", "mini", "panohead"]
MINI_WEIGHTS = Path(__file__).parents[1] / "mini" / "weights"
"""The embedded models, part of the package."""

_REINSTALL = "pip install --force-reinstall stylehead"


class WeightFile(NamedTuple):
    """A weight file as run manifests list it."""

    id: str
    sha256: str
    licence: str


@dataclass(frozen=True)
class Preset:
    """Weight files that fit together. The paths need not exist; see the `require_` methods."""

    name: str
    generator: Path
    """The generator, one safetensors file."""
    teacher: Path
    """Folder of the diffusion model in diffusers layout."""
    licence: str
    """Licence of all of these files, and what it means for results."""
    knows_few_styles: bool
    """The teacher was trained on a short list of styles and can place no other prompt."""
    repair: str
    """Command that brings missing files back."""

    def require_generator(self) -> Path:
        """Return the generator's path.

        Raises:
            MissingError: It is not there.
        """
        return self._require(self.generator, "generator", self.generator.is_file())

    def require_teacher(self) -> Path:
        """Return the teacher's folder.

        Raises:
            MissingError: It is not there.
        """
        return self._require(self.teacher, "teacher", self.teacher.is_dir())

    def companion(self, name: str) -> Path | None:
        """Return a further model beside the generator, such as `identity.safetensors`, or None without it."""
        path = self.generator.with_name(name)
        return path if path.is_file() else None

    def weight_files(self) -> list[WeightFile]:
        """Hash every file that a stylise job reads, for the run manifest; ids are relative to the preset."""
        root = self.generator.parent
        inside = sorted(path for path in self.teacher.rglob("*.safetensors") if path.is_file())
        return [
            WeightFile(f"{self.name}/{path.relative_to(root).as_posix()}", _sha256(path), self.licence)
            for path in [self.require_generator(), *inside]
        ]

    def _require(self, path: Path, role: str, there: bool) -> Path:
        if not there:
            raise MissingError(f"The {role} of the {self.name} preset is missing: {path}.", self.repair)
        return path


class Resolved(NamedTuple):
    """A preset, and one line that says which it is and why."""

    preset: Preset
    why: str


def mini_preset() -> Preset:
    """The embedded preset: heads and styles of a procedural world, on any laptop, offline."""
    return Preset(
        name="mini",
        generator=MINI_WEIGHTS / "generator.safetensors",
        teacher=MINI_WEIGHTS / "teacher",
        licence="Apache-2.0 (trained by this project on procedural heads)",
        knows_few_styles=True,
        repair=_REINSTALL,
    )


def resolve_preset(name: str = "auto") -> Resolved:
    """Choose the preset of a name.

    Args:
        name: `mini`, `panohead`, or `auto`: the full one when its weights are registered, else mini.

    Raises:
        UsageError: There is no such preset.
        MissingError: Its weights are not registered on this machine.
    """
    if name not in get_args(PresetName):
        raise UsageError(f"`--preset` (={name}) must be one of {', '.join(get_args(PresetName))}.")
    if name == "panohead":
        raise MissingError("The panohead preset needs weights, and none are registered.", "--preset mini")
    if name == "mini":
        return Resolved(mini_preset(), "preset mini: the embedded models, as asked")
    return Resolved(mini_preset(), "preset mini: the embedded models, as no panohead weights are registered")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
