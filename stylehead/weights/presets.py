"""Presets: named sets of weight files that fit together."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from stylehead.errors import MissingError, StyleheadError, UsageError
from stylehead.weights import catalogue, store

PresetName = Literal["auto", "mini", "panohead"]
MINI_WEIGHTS = Path(__file__).parents[1] / "mini" / "weights"
"""The embedded models, part of the package."""

TEACHER = "realistic-vision-v5.1"
"""The diffusion model of the full preset."""

_COMPANIONS = {
    "image_text": "image_text.safetensors",
    "faces": "identity.safetensors",
    "recogniser": "style_classifier.safetensors",
    "style_judge": "style_judge.safetensors",
    "identity_judge": "identity_judge.safetensors",
    "guess": "guess.safetensors",
    "attributes": "attributes.safetensors",
    "ip2p": "ip2p",
    "instantid": "instantid",
}
"""The models beside the embedded generator, by role."""

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
    repair: str
    """Command that brings missing files back."""
    companions: Mapping[str, Path] = field(default_factory=dict)
    """Further models that belong to it, by role: files or folders, which need not exist."""
    entry: str | None = None
    """Catalogue entry of the generator; None: it is embedded."""
    teacher_entry: str | None = None
    """Catalogue entry of the teacher, which others complete; None: it is embedded, and whole."""
    vocabulary: tuple[str, ...] | None = None
    """The styles that its teacher knows and outside which it can place no prompt; None: any prompt."""

    def require_generator(self) -> Path:
        """Return the generator's path.

        Raises:
            MissingError: It is not there.
        """
        if not self.generator.is_file():
            raise self.misses("generator", self.generator)
        return self.generator

    def require_teacher(self) -> Path:
        """Return the teacher's folder.

        Raises:
            MissingError: It is not there.
        """
        if not self.teacher.is_dir():
            raise self.misses("teacher", self.teacher)
        return self.teacher

    def problem(self) -> StyleheadError | None:
        """Say why its generator cannot be used here, or return None when it can."""
        if self.entry is not None and catalogue.local_path(self.entry) is None:
            return MissingError(
                f"The {self.name} preset needs PanoHead's weights, and none are registered.",
                f"stylehead weights fetch {self.entry} (says where to get them), or --preset mini",
            )
        if self.entry is not None and not catalogue.accepted(self.entry):
            return catalogue.not_accepted(self.entry)
        return None if self.generator.is_file() else self.misses("generator", self.generator)

    def companion(self, role: str) -> Path | None:
        """Return the model of a role, such as `faces`, or None if the preset has none or its file is gone."""
        path = self.companions.get(role)
        return path if path is not None and path.exists() else None

    def lacks(self, role: str) -> MissingError:
        """Return the error of a companion that is not there."""
        what = role.replace("_", "-") if role not in self.companions else self.companions[role].name
        return MissingError(f"The {self.name} preset has no {what} here.", self.repair)

    def misses(self, part: str, path: Path) -> MissingError:
        """Return the error of a file or folder of this preset that is not there."""
        return MissingError(f"The {part} of the {self.name} preset is missing: {path}.", self.repair)


class Resolved(NamedTuple):
    """A preset, and one line that says which it is and why."""

    preset: Preset
    why: str


def mini_preset() -> Preset:
    """The embedded preset: heads and styles of a procedural world, on any laptop, offline."""
    from stylehead.mini.captions import PROMPTED_STYLES

    return Preset(
        name="mini",
        generator=MINI_WEIGHTS / "generator.safetensors",
        teacher=MINI_WEIGHTS / "teacher",
        licence="Apache-2.0 (trained by this project on procedural heads)",
        repair=_REINSTALL,
        companions={role: MINI_WEIGHTS / name for role, name in _COMPANIONS.items()},
        vocabulary=PROMPTED_STYLES,
    )


def panohead_preset() -> Preset:
    """The full-scale preset: whatever of the catalogue is on this machine. Its paths need not exist."""
    entry = catalogue.find("panohead")
    generator = catalogue.local_path("panohead") or store.weights_folder("panohead") / entry.files[0]
    return Preset(
        name="panohead",
        generator=generator,
        teacher=catalogue.local_path(TEACHER) or store.weights_folder(TEACHER),
        licence=f"{entry.licence}. {entry.terms}",
        repair="stylehead weights fetch",
        entry=entry.id,
        teacher_entry=TEACHER,
    )


def resolve_preset(name: str = "auto") -> Resolved:
    """Choose the preset of a name; see `find_preset`.

    Raises:
        UsageError: There is no such preset.
        MissingError: Its generator is not registered on this machine.
        LicenseError: Its licence is not accepted.
    """
    found = find_preset(name)
    if found.preset.entry is not None and (problem := found.preset.problem()) is not None:
        raise problem
    return found


def find_preset(name: str = "auto") -> Resolved:
    """Choose the preset of a name, its weights here or not.

    Args:
        name: `mini`, `panohead`, or `auto`: the full one when its generator is registered, its licence is
            accepted and a GPU is there, else mini.

    Raises:
        UsageError: There is no such preset.
    """
    if name not in get_args(PresetName):
        raise UsageError(f"`--preset` (={name}) must be one of {', '.join(get_args(PresetName))}.")
    if name == "mini":
        return Resolved(mini_preset(), "preset mini: the embedded models, as asked")
    if name == "panohead":
        full = panohead_preset()
        problem = full.problem()
        why = "the registered weights, as asked" if problem is None else "as asked"
        return Resolved(full, f"preset panohead: {why}")
    lacking = _what_panohead_lacks()
    if lacking is None:
        return Resolved(panohead_preset(), "preset panohead: its weights are registered and there is a GPU")
    return Resolved(mini_preset(), f"preset mini: the embedded models, {lacking}")


def _what_panohead_lacks() -> str | None:
    """Say why `auto` chooses the embedded models, or return None when it does not."""
    if catalogue.local_path("panohead") is None:
        return "which need no download; full scale is --preset panohead"
    if not catalogue.accepted("panohead"):
        return "as the licence of the panohead weights is not accepted"
    import torch

    return None if torch.cuda.is_available() else "as there is no GPU for the panohead preset"
