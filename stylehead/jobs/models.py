"""The models of a stylise job: which folders they come from, under which licences, and loading them."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stylehead.errors import MissingError
from stylehead.methods.config import StylizeConfig, TeacherSettings
from stylehead.methods.registry import method_class
from stylehead.teacher.sources import catalogue_entry, local_folder
from stylehead.weights import Preset, WeightFile, catalogue
from stylehead.weights.store import hash_file

if TYPE_CHECKING:
    import torch

    from stylehead.methods import FeatureMaps, Needs, Perception, Stylizer
    from stylehead.perception.depth import DepthEstimator
    from stylehead.teacher import Teacher, TeacherPaths

ESTIMATORS = ("depth-anything-v2-small", "depth-anything-v2-base")
"""Catalogue entries that can estimate depth, the one that anybody may use first."""
CLIP = "clip-vit-b32"
"""Catalogue entry of the image-text network at full scale."""
IMAGE_TEXT = "image_text.safetensors"
"""File of the embedded one."""
FACES = "identity.safetensors"
"""File of the embedded network that says who is in a picture; there is none at full scale to learn from."""
UNKNOWN_LICENCE = "not known to stylehead: see where it comes from"


@dataclass(frozen=True)
class Source:
    """A model that a job uses: role, what the user would call it, folder (or file) and licence."""

    role: str
    name: str
    folder: Path
    licence: str


@dataclass(frozen=True)
class Sources:
    """Where the frozen networks of a job come from; what the diffusion model brings along is not listed."""

    diffusion: Source | None
    controlnet_canny: Source | None = None
    controlnet_depth: Source | None = None
    vae: Source | None = None
    depth_estimator: Source | None = None
    clip: Source | None = None
    faces: Source | None = None

    def listed(self) -> list[Source]:
        """Return all that are there."""
        every = (
            self.diffusion, self.controlnet_canny, self.controlnet_depth, self.vae,
            self.depth_estimator, self.clip, self.faces,
        )  # fmt: skip
        return [source for source in every if source is not None]

    def teacher_paths(self) -> "TeacherPaths | None":
        """Return the folders as the teacher's loader wants them, or None for a job without a teacher."""
        from stylehead.teacher import TeacherPaths

        if self.diffusion is None:
            return None
        canny, depth, vae = (
            None if source is None else source.folder
            for source in (self.controlnet_canny, self.controlnet_depth, self.vae)
        )
        return TeacherPaths(self.diffusion.folder, canny, depth, vae)


def find_sources(config: StylizeConfig, preset: Preset) -> Sources:
    """Find the folders of a job's frozen networks.

    What the settings name comes first, then what the diffusion model's folder or the preset brings along;
    a teacher that is not embedded is completed from the catalogue with what is on this machine.

    Raises:
        MissingError: Something that is named is not here.
        LicenseError: Its licence is not accepted.
    """
    needs, named = _needs(config), config.source("diffusion")
    clip = _clip(config, preset) if needs.image_text else None
    faces = _faces(preset) if needs.faces else None
    if not needs.teacher:
        return Sources(None, clip=clip, faces=faces)
    if named is None:
        base = Source("diffusion", f"{preset.name}/teacher", preset.require_teacher(), preset.licence)
    else:
        base = find_source("diffusion", named)
    complete = named is not None or not preset.knows_few_styles
    return Sources(
        base,
        controlnet_canny=_controlnet(config, base, "canny", complete=complete),
        controlnet_depth=_controlnet(config, base, "depth", complete=complete),
        vae=_named(config, "vae"),
        depth_estimator=_estimator(config, complete=complete),
        clip=clip,
        faces=faces,
    )


def find_source(role: str, source: str) -> Source:
    """Find a model by the name that a user gave it.

    Raises:
        UsageError: It is a single file.
        MissingError: It is not here.
        LicenseError: Its licence is not accepted.
    """
    folder = local_folder(source, "--" + role.replace("_", "-"))
    entry = catalogue_entry(source)
    name = folder.name if Path(source).expanduser().is_dir() else source
    return Source(role, name, folder, _licence_in(folder) if entry is None else entry.licence)


def _needs(config: StylizeConfig) -> "Needs":
    return method_class(config.method).needed(config)


def _named(config: StylizeConfig, role: str) -> Source | None:
    """The model that the user named for a role."""
    named = config.source(role)
    return None if named is None else find_source(role, named)


def _listed(role: str, entry_id: str) -> Source | None:
    """A catalogue entry that is here and may be used, or None."""
    path = catalogue.local_path(entry_id) if catalogue.accepted(entry_id) else None
    return None if path is None else Source(role, entry_id, path, catalogue.find(entry_id).licence)


def _controlnet(config: StylizeConfig, base: Source, kind: str, *, complete: bool) -> Source | None:
    role = f"controlnet_{kind}"
    named = _named(config, role)
    if named is not None:
        return named
    if kind not in _needs(config).controls or not complete or (base.folder / role).is_dir():
        return None
    return _listed(role, f"controlnet-{kind}")


def _estimator(config: StylizeConfig, *, complete: bool) -> Source | None:
    wanted = _needs(config).depth_estimator
    if wanted == "no":
        return None
    named = _named(config, "depth_estimator")
    if named is not None:
        return named
    if wanted == "optional" and not complete:
        return None
    found = (_listed("depth_estimator", entry_id) for entry_id in ESTIMATORS)
    source = next((source for source in found if source is not None), None)
    if source is None and wanted == "required":
        hint = f"stylehead weights fetch {ESTIMATORS[0]}, or --depth rendered"
        raise MissingError("There is no depth estimator on this machine.", hint)
    return source


def _clip(config: StylizeConfig, preset: Preset) -> Source:
    """The image-text network: what the settings name, else the preset's own or that of the catalogue."""
    named = config.source("clip")
    if named is not None or not preset.knows_few_styles:
        return find_source("clip", named or CLIP)
    path = preset.companion(IMAGE_TEXT)
    if path is None:
        raise MissingError(f"The {preset.name} preset has no {IMAGE_TEXT} here.", preset.repair)
    return Source("clip", f"{preset.name}/image_text", path, preset.licence)


def _faces(preset: Preset) -> Source | None:
    """The preset's network that tells people apart."""
    path = preset.companion(FACES)
    if path is None or not preset.knows_few_styles:
        return None
    return Source("faces", f"{preset.name}/identity", path, preset.licence)


def _licence_in(folder: Path) -> str:
    """The licence that a model's card declares in its front matter, as the Hub's cards do."""
    card = folder / "README.md"
    with contextlib.suppress(OSError, UnicodeDecodeError):
        _, fence, rest = card.read_text(encoding="utf-8").partition("---\n")
        lines = rest.partition("\n---")[0].splitlines() if fence else []
        for line in lines:
            key, _, value = line.partition(":")
            if key.strip() in ("license", "licence") and value.strip():
                return value.strip()
    return UNKNOWN_LICENCE


# ------------------------------------------------------------------------------------------------- for people


def licence_of(preset: Preset, sources: Sources) -> str:
    """Say under which licences a job's result stands: the preset's, and those of models from elsewhere."""
    others = [f"{s.name}: {s.licence}" for s in sources.listed() if s.licence != preset.licence]
    return "; ".join([preset.licence, *others])


def weight_facts(preset: Preset, sources: Sources) -> list[WeightFile]:
    """Hash every file that a stylise job reads, for the run manifest; ids hold no local path."""
    generator = preset.require_generator()
    facts = [WeightFile(f"{preset.name}/{generator.name}", hash_file(generator).sha256, preset.licence)]
    by_role = {source.role: source for source in sources.listed()}
    paths = sources.teacher_paths()
    files: dict[str, Path] = {} if paths is None else paths.weight_files()
    for other in (sources.depth_estimator, sources.clip, sources.faces):
        if other is not None:
            found = sorted(other.folder.glob("*.safetensors")) if other.folder.is_dir() else [other.folder]
            files |= {f"{other.role}/{path.name}": path for path in found}
    for place, path in files.items():
        role, _, name = place.partition("/")
        source = by_role.get(role)
        own = f"{source.name}/{name}" if source is not None else f"{by_role['diffusion'].name}/{place}"
        licence = (source or by_role["diffusion"]).licence
        facts.append(WeightFile(own, hash_file(path).sha256, licence))
    return facts


# -------------------------------------------------------------------------------------------------- loading


def load_stylizer(config: StylizeConfig, preset: Preset, sources: Sources, device: str) -> "Stylizer":
    """Load the models of a job. The reference is loaded from the file again, so that nothing is shared.

    Raises:
        StyleheadError: A model is missing, damaged, or does not fit the others.
    """
    from stylehead.generator import PanoHead
    from stylehead.methods import Stylizer

    path = preset.require_generator()
    return Stylizer(
        PanoHead.load(path, device),
        PanoHead.load(path, device),
        _load_teacher(config, sources, device),
        config,
        features=_perceptual_features(config, preset, device),
        depth_estimator=_load_estimator(sources, device, choose_dtype(precision_of(config), device)),
        perception=_load_perception(sources, preset, device),
    )


def _load_teacher(config: StylizeConfig, sources: Sources, device: str) -> "Teacher | None":
    from stylehead.teacher import Teacher

    paths = sources.teacher_paths()
    if paths is None:
        return None
    assert isinstance(config, TeacherSettings), "a method that asks a teacher has them"
    dtype = choose_dtype(config.precision, device)
    return Teacher.load(paths, device=device, dtype=dtype, steps=config.ddim_steps)


def _load_perception(sources: Sources, preset: Preset, device: str) -> "Perception":
    from stylehead.methods import Perception
    from stylehead.perception.image_text import ClipSpace, EmbeddedSpace, ImageTextSpace

    space: ImageTextSpace | None = None
    if sources.clip is not None and sources.clip.folder.is_dir():
        space = ClipSpace.load(sources.clip.folder, device)
    elif sources.clip is not None:
        space = EmbeddedSpace.load(sources.clip.folder, preset.teacher / "tokenizer", device)
    if sources.faces is None:
        return Perception(space)
    from stylehead.perception.embedded import IdentityEncoder

    return Perception(space, IdentityEncoder.load(sources.faces.folder).to(device))


def precision_of(config: StylizeConfig) -> str:
    """The numbers that were asked for, of methods that ask a teacher."""
    return config.precision if isinstance(config, TeacherSettings) else "auto"


def choose_dtype(precision: str, device: str) -> "torch.dtype":
    """The numbers of text encoder, UNet, ControlNets and depth estimator."""
    import torch

    if precision == "auto":
        precision = "fp16" if device == "cuda" else "fp32"
    return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[precision]


def _load_estimator(sources: Sources, device: str, dtype: "torch.dtype") -> "DepthEstimator | None":
    from stylehead.perception.depth import DepthEstimator

    if sources.depth_estimator is None:
        return None
    return DepthEstimator.load(sources.depth_estimator.folder, device=device, dtype=dtype)


def _perceptual_features(config: StylizeConfig, preset: Preset, device: str) -> "FeatureMaps | None":
    """The feature network of the perceptual distance, if the job wants one and the preset has one."""
    from stylehead.perception.embedded import ImageTextEncoder

    path = preset.companion(IMAGE_TEXT)
    if not _needs(config).features or path is None:
        return None
    return ImageTextEncoder.load(path).to(device).trunk.maps
