"""Presets: named sets of weight files that fit together."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from stylehead.errors import MissingError, UsageError
from stylehead.weights import catalogue, store

PresetName = Literal["auto", "mini", "panohead"]
MINI_WEIGHTS = Path(__file__).parents[1] / "mini" / "weights"
"""The embedded models, part of the package."""

TEACHER = "realistic-vision-v5.1"
"""The diffusion model of the full preset."""

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
        return path if path.exists() else None

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


def panohead_preset() -> Preset:
    """The full-scale preset: whatever of the catalogue is on this machine. Its paths need not exist."""
    entry = catalogue.find("panohead")
    generator = catalogue.local_path("panohead") or store.weights_folder("panohead") / entry.files[0]
    return Preset(
        name="panohead",
        generator=generator,
        teacher=catalogue.local_path(TEACHER) or store.weights_folder(TEACHER),
        licence=f"{entry.licence}. {entry.terms}",
        knows_few_styles=False,
        repair="stylehead weights fetch",
    )


def resolve_preset(name: str = "auto") -> Resolved:
    """Choose the preset of a name.

    Args:
        name: `mini`, `panohead`, or `auto`: the full one when its generator is registered, its licence is
            accepted and a GPU is there, else mini.

    Raises:
        UsageError: There is no such preset.
        MissingError: Its generator is not registered on this machine.
        LicenseError: Its licence is not accepted.
    """
    if name not in get_args(PresetName):
        raise UsageError(f"`--preset` (={name}) must be one of {', '.join(get_args(PresetName))}.")
    if name == "mini":
        return Resolved(mini_preset(), "preset mini: the embedded models, as asked")
    if name == "panohead":
        _check_panohead()
        return Resolved(panohead_preset(), "preset panohead: the registered weights, as asked")
    lacking = _what_panohead_lacks()
    if lacking is None:
        return Resolved(panohead_preset(), "preset panohead: its weights are registered and there is a GPU")
    return Resolved(mini_preset(), f"preset mini: the embedded models, as {lacking}")


def _check_panohead() -> None:
    if catalogue.local_path("panohead") is None:
        raise MissingError(
            "The panohead preset needs PanoHead's weights, and none are registered.",
            "stylehead weights fetch panohead (says where to get them), or --preset mini",
        )
    catalogue.check_accepted("panohead")


def _what_panohead_lacks() -> str | None:
    """Why `auto` does not choose the full preset, or None when it does."""
    if catalogue.local_path("panohead") is None:
        return "no panohead weights are registered"
    if not catalogue.accepted("panohead"):
        return "the licence of the panohead weights is not accepted"
    import torch

    return None if torch.cuda.is_available() else "there is no GPU for the panohead preset"
