"""What a stylise job needs before it can start: which weights, how many bytes, how much memory and time.

Nothing is loaded and nothing has to be there: sizes come from configurations, of the files that are here and
of the catalogue's models for those that are not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from stylehead.errors import LicenseError, MissingError
from stylehead.jobs.models import CLIP, ESTIMATORS, FACES, IMAGE_TEXT, choose_dtype, find_source, precision_of
from stylehead.memory import MEASURED, MemoryTier
from stylehead.methods.config import StylizeConfig
from stylehead.methods.registry import method_class
from stylehead.weights import Preset, catalogue, resolve_preset
from stylehead.weights.presets import TEACHER, mini_preset, panohead_preset

if TYPE_CHECKING:
    from stylehead.cost import Blueprint, Estimate, Rates

_PARTS = ("unet", "vae", "text_encoder")
LIBRARIES = 600_000_000
"""Bytes of a process that has loaded PyTorch and diffusers and nothing else, on a CPU; measured."""
NOT_MEASURED = "not measured"


class Need(NamedTuple):
    """Weights that a job needs.

    Attributes:
        role: What for.
        name: As in the catalogue, or as the user named them.
        folder: Where they are, or None when they are not here.
        bytes: On the disk, or to download; None when nobody knows.
        licence: Terms.
        fetch: The command that brings them, when they are not here.
    """

    role: str
    name: str
    folder: Path | None
    bytes: int | None
    licence: str
    fetch: str | None


@dataclass(frozen=True)
class Plan:
    """A job, and the weights that it needs, by role: `generator`, `diffusion`, and what is beside those."""

    config: StylizeConfig
    preset: Preset
    needs: Mapping[str, Need]

    @property
    def missing(self) -> list[Need]:
        """Return what has to be brought here first."""
        return [need for need in self.needs.values() if need.folder is None]


def choose_preset(name: str) -> tuple[Preset, str]:
    """Choose a preset, its weights here or not, and say why."""
    try:
        return resolve_preset(name)
    except (MissingError, LicenseError) as error:
        preset = panohead_preset() if name == "panohead" else mini_preset()
        return preset, f"preset {preset.name}, as asked: {error.message}"


def plan_job(config: StylizeConfig, preset: Preset) -> Plan:
    """List the weights that a job needs, here or not."""
    asked = method_class(config.method).needed(config)
    needs = {"generator": _generator(preset)}
    if asked.teacher:
        needs |= _teacher(config, preset)
    if asked.image_text:
        needs["clip"] = _clip(config, preset)
    faces = preset.companion(FACES) if asked.faces else None
    if faces is not None and preset.knows_few_styles:
        needs["faces"] = _here("faces", f"{preset.name}/identity", faces, preset.licence)
    return Plan(config, preset, needs)


def _teacher(config: StylizeConfig, preset: Preset) -> dict[str, Need]:
    roles: dict[str, tuple[str | None, str | None]] = {"diffusion": (config.source("diffusion"), TEACHER)}
    for kind in method_class(config.method).needed(config).controls:
        roles[f"controlnet_{kind}"] = (config.source(f"controlnet_{kind}"), f"controlnet-{kind}")
    if config.source("vae") is not None:
        roles["vae"] = (config.source("vae"), None)
    needs: dict[str, Need] = {}
    embedded = preset.knows_few_styles and config.source("diffusion") is None
    if embedded:
        needs["diffusion"] = _here("diffusion", f"{preset.name}/teacher", preset.teacher, preset.licence)
    for role, (named, entry_id) in roles.items():
        base = needs.get("diffusion")
        inside = base is not None and base.folder is not None and (base.folder / role).is_dir()
        if role not in needs and (named is not None or not inside):
            needs[role] = _look(role, named or str(entry_id))
    estimator = _estimator(config, embedded=embedded)
    return needs | ({} if estimator is None else {"depth_estimator": estimator})


def _clip(config: StylizeConfig, preset: Preset) -> Need:
    path = preset.companion(IMAGE_TEXT)
    if config.source("clip") is None and preset.knows_few_styles and path is not None:
        return _here("clip", f"{preset.name}/image_text", path, preset.licence)
    return _look("clip", config.source("clip") or CLIP)


def _estimator(config: StylizeConfig, *, embedded: bool) -> Need | None:
    wanted, named = (
        method_class(config.method).needed(config).depth_estimator,
        config.source("depth_estimator"),
    )
    if wanted == "no" or (wanted == "optional" and embedded):
        return None
    if named is not None:
        return _look("depth_estimator", named)
    found = [_look("depth_estimator", entry_id) for entry_id in ESTIMATORS]
    here = next((need for need in found if need.folder is not None), None)
    return here or (found[0] if wanted == "required" else None)


def _generator(preset: Preset) -> Need:
    if preset.generator.is_file():
        return _here("generator", f"{preset.name}/generator", preset.generator, preset.licence)
    entry = catalogue.CATALOGUE.get(preset.name)
    size = None if entry is None else entry.bytes
    fetch = preset.repair if entry is None else f"{preset.repair} {entry.id}"
    return Need("generator", preset.name, None, size, preset.licence, fetch)


def _look(role: str, name: str) -> Need:
    """Look for weights by their name."""
    try:
        source = find_source(role, name)
    except (MissingError, LicenseError) as error:
        entry = catalogue.CATALOGUE.get(name)
        size, licence = (None, "") if entry is None else (entry.bytes, entry.licence)
        return Need(role, name, None, size, licence, error.hint)
    return _here(role, source.name, source.folder, source.licence)


def _here(role: str, name: str, path: Path, licence: str) -> Need:
    return Need(role, name, path, _weights_size(role, path), licence, None)


def _weights_size(role: str, path: Path) -> int:
    """Bytes of the weight files that are read."""
    if path.is_file():
        return path.stat().st_size
    from stylehead.teacher import TeacherPaths
    from stylehead.weights.pretrained import weight_files

    files = TeacherPaths(path).weight_files().values() if role == "diffusion" else weight_files(path)
    return sum(file.stat().st_size for file in files)


# ------------------------------------------------------------------------------------------- what it costs


def blueprint(plan: Plan, device: str) -> "Blueprint":
    """Build the networks of a job without numbers."""
    import torch

    from stylehead.architecture import GeneratorConfig
    from stylehead.cost import Blueprint
    from stylehead.generator import PanoHead
    from stylehead.generator.checkpoint import read_config
    from stylehead.perception.depth import DepthEstimator
    from stylehead.teacher.shapes import depth_skeleton, teacher_on_paper

    generator = plan.needs["generator"].folder
    config = GeneratorConfig.full() if generator is None else read_config(generator)
    with torch.device("meta"):
        network = PanoHead(config).eval()
    dtype = choose_dtype(precision_of(plan.config), device)
    estimator = None
    if "depth_estimator" in plan.needs:
        skeleton = depth_skeleton(plan.needs["depth_estimator"].folder).to(dtype)
        estimator = DepthEstimator(skeleton)
    return Blueprint(network, teacher_on_paper(_folders(plan), dtype), estimator, device)


def _folders(plan: Plan) -> dict[str, Path | None]:
    """The folder of every network of the teacher, None for those of Stable Diffusion 1.5's size."""
    needs, base = plan.needs, plan.needs["diffusion"].folder
    folders: dict[str, Path | None] = {role: None if base is None else base / role for role in _PARTS}
    for kind in ("canny", "depth"):
        role = f"controlnet_{kind}"
        if role in needs:
            folders[role] = needs[role].folder
        elif base is not None and (base / role).is_dir():
            folders[role] = base / role
    return folders | ({"vae": needs["vae"].folder} if "vae" in needs else {})


class Forecast(NamedTuple):
    """What a tier would need on a device: estimates, and what was measured before, if anything was.

    Attributes:
        tier: What is traded for memory.
        estimate: Its parts.
        total_bytes: Their sum, with the process itself on a CPU.
        seconds: Of one iteration on an otherwise idle machine, or None when the device is not here.
        measured: What a run of this size once needed, for people.
    """

    tier: MemoryTier
    estimate: "Estimate"
    total_bytes: int
    seconds: float | None
    measured: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        found = self.estimate
        parts = {"weights": found.weights, "optimizer": found.optimizer, "activations": found.activations}
        return {
            "memory": self.tier.name,
            "does": self.tier.words(),
            "parts_bytes": parts,
            "offloaded_bytes": found.offloaded,
            "total_bytes": self.total_bytes,
            "seconds_per_iteration": self.seconds,
            "flops": {str(dtype).removeprefix("torch."): number for dtype, number in found.flops.items()},
            "measured_peak": self.measured,
        }


def forecast(
    networks: "Blueprint", config: StylizeConfig, tier: MemoryTier, rates: "Rates | None"
) -> Forecast:
    """Estimate what a job would need on the blueprint's device."""
    from stylehead.cost import estimate

    found = estimate(networks, config, tier)
    total = found.device_bytes + (LIBRARIES if networks.device == "cpu" else 0)
    full = networks.generator.config.img_resolution >= 512
    known = MEASURED.get((networks.device, tier.name)) if full else None
    seconds = None if rates is None else found.seconds(rates)
    return Forecast(tier, found, total, seconds, known or NOT_MEASURED)
