"""The one tree of needs: which weights a job reads, where they are, and why one is missing or refused.

A run asks `require`, which raises the first problem; `--dry-run`, `doctor` and `info` list them all. Both see
the same `Need`s, so they never disagree, and say it in the same words.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stylehead.errors import LicenseError, MissingError, StyleheadError, UsageError
from stylehead.jobs.inventory import Inventory, Need, parse_loras, teacher_paths
from stylehead.methods.config import StylizeConfig
from stylehead.methods.registry import method_class
from stylehead.mini.captions import place_prompt
from stylehead.teacher.sources import catalogue_entry, local_folder, local_model
from stylehead.weights import Preset, catalogue
from stylehead.weights.presets import find_preset

if TYPE_CHECKING:
    from stylehead.jobs.report import Report
    from stylehead.methods import Needs

ESTIMATORS = ("depth-anything-v2-small", "depth-anything-v2-base")
"""Catalogue entries that can estimate depth, the one that anybody may use first."""
IP2P = "instruct-pix2pix"
"""Catalogue entry of the editor of presets that have none of their own."""
CLIP = "clip-vit-b32"
"""Catalogue entry of the image-text network of presets that have none of their own."""
FACES = "insightface-buffalo_l"
"""Catalogue entry of the recogniser of faces of presets that have none of their own."""
CONTROLNETS = {"canny": "controlnet-canny", "depth": "controlnet-depth"}
"""Catalogue entries that complete a teacher which brings no ControlNet along."""
WITHOUT = {"canny": "--no-canny", "depth": "--depth none"}
"""How a job does without one."""
_MAY_BE_FILES = ("diffusion", "vae", "controlnet_canny", "controlnet_depth")
UNKNOWN_LICENCE = "not known to stylehead: see where it comes from"


def list_needs(config: StylizeConfig, preset: Preset) -> Inventory:
    """List the weights that a job needs, here or not.

    What the settings name comes first, then what the diffusion model's folder or the preset brings along; a
    teacher that is not whole is completed from the catalogue with what is on this machine.

    Raises:
        UsageError: The preset's own teacher cannot place the prompt, or a setting names a file where a folder
            belongs.
    """
    words = few_words(config, preset)
    if words is not None:
        check_prompt(config.prompt, words)
    needs = [_generator(preset)]
    asked = method_class(config.method).needed(config)
    if asked.teacher:
        needs += _checked(list(_teacher(config, asked, preset)), config)
    if asked.image_text:
        needs.append(_image_text(config, preset))
    if asked.faces:
        needs.append(_faces(preset))
    if asked.features:
        needs.append(_features(asked, preset))
    if asked.editor:
        needs.append(_editor(config, preset))
    return Inventory(config, preset, tuple(needs))


def lacks_of_run(manifest: Mapping[str, Any]) -> list[str]:
    """Return why a run cannot go on here: sentences about the weights that are missing or refused.

    Args:
        manifest: Its `run.json`.
    """
    try:
        config = StylizeConfig.from_dict(manifest.get("config", {}))
        preset = find_preset(manifest.get("preset", config.preset)).preset
        return [problem.message for problem in list_needs(config, preset).problems]
    except StyleheadError as error:
        return [error.message]


def few_words(config: StylizeConfig, preset: Preset) -> tuple[str, ...] | None:
    """Return the styles outside which the job's teacher can place no prompt; None: it can place any."""
    brought = any(config.source(role) is not None for role in ("diffusion", "bank", "editor"))
    return None if brought else preset.vocabulary


def check_prompt(prompt: str, vocabulary: Sequence[str]) -> None:
    """Refuse a prompt that a teacher of few words cannot place.

    Raises:
        UsageError: It names none of these styles, or several, or says what heads are already.
    """
    if place_prompt(prompt) not in vocabulary:
        raise UsageError(
            f'"{prompt}" is what heads are already; a style is what they become.',
            f"name one of: {', '.join(vocabulary)}",
        )


def _generator(preset: Preset) -> Need:
    problem, entry = preset.problem(), catalogue.CATALOGUE.get(preset.name)
    if preset.generator.is_file():
        size: int | None = preset.generator.stat().st_size
        return Need("generator", f"{preset.name}/generator", preset.generator, preset.licence, problem, size)
    size = None if entry is None else entry.bytes
    return Need("generator", preset.name, None, preset.licence, problem, size)


# --------------------------------------------------------------------------------------------------- teacher


def _teacher(config: StylizeConfig, asked: "Needs", preset: Preset) -> Iterator[Need]:
    source = config.source("diffusion") or preset.teacher_entry
    if asked.editing and config.source("diffusion") is None:
        yield _editing_teacher(preset)
        return
    base = _own_teacher(preset) if source is None else _named("diffusion", source)
    whole = source is None
    yield base
    for kind in CONTROLNETS:
        role = f"controlnet_{kind}"
        named = config.source(role)
        if named is not None:
            yield _named(role, named)
        elif kind in asked.controls and not (base.folder is not None and (base.folder / role).is_dir()):
            yield _controlnet(kind, None if whole else CONTROLNETS[kind], preset)
    if (vae := config.source("vae")) is not None:
        yield _named("vae", vae)
    for number, lora in enumerate(parse_loras(config), start=1):
        shown = lora.path.name if lora.strength == 1 else f"{lora.path.name}:{lora.strength:g}"
        size = lora.path.stat().st_size
        yield Need(f"lora_{number}", shown, lora.path, UNKNOWN_LICENCE, size=size)
    yield from _estimator(config, asked, whole=whole)


def _editing_teacher(preset: Preset) -> Need:
    """The editor that teaches: the preset's, else the catalogue's."""
    if "ip2p" in preset.companions:
        return _companion("diffusion", "ip2p", preset, without="--teacher text")
    return _named("diffusion", IP2P)


def _controlnet(kind: str, entry_id: str | None, preset: Preset) -> Need:
    """A ControlNet that the teacher does not bring along."""
    role, message = f"controlnet_{kind}", f"This teacher has no `{kind}` ControlNet."
    if entry_id is None:
        return Need(role, role, None, preset.licence, MissingError(message, WITHOUT[kind]))
    need = _named(role, entry_id)
    if need.problem is None:
        return need
    hint = f"{need.problem.hint}, or {WITHOUT[kind]}"
    return replace(need, problem=type(need.problem)(message, hint))


def _estimator(config: StylizeConfig, asked: "Needs", *, whole: bool) -> Iterator[Need]:
    named = config.source("depth_estimator")
    if asked.depth_estimator == "no" or (asked.depth_estimator == "optional" and whole and named is None):
        return
    if named is not None:
        yield _named("depth_estimator", named)
        return
    found = [_named("depth_estimator", entry_id) for entry_id in ESTIMATORS]
    here = next((need for need in found if need.problem is None), None)
    if here is not None:
        yield here
    elif asked.depth_estimator == "required":
        hint = f"stylehead weights fetch {ESTIMATORS[0]}, or --depth rendered"
        yield replace(found[0], problem=MissingError("There is no depth estimator on this machine.", hint))


def _checked(needs: list[Need], config: StylizeConfig) -> list[Need]:
    """Look into the teacher's folders as its loader does, as far as they are here."""
    here = tuple(need for need in needs if need.problem is None)
    paths = teacher_paths(here, config)
    if paths is None:
        return needs
    from stylehead.teacher.check import check_teacher

    try:
        check_teacher(paths)
    except StyleheadError as error:
        return [replace(need, problem=error) if need.role == "diffusion" else need for need in needs]
    return needs


# ------------------------------------------------------------------------------------------ other networks


def _image_text(config: StylizeConfig, preset: Preset) -> Need:
    """The image-text network: what the settings name, else the preset's own or that of the catalogue."""
    named = config.source("clip")
    if named is None and "image_text" in preset.companions:
        return _companion("clip", "image_text", preset)
    return _named("clip", named or CLIP)


def _faces(preset: Preset) -> Need:
    """The network that says who is in a picture: the preset's own, else ArcFace of the catalogue."""
    without = "--identity-weight 0"
    if "faces" in preset.companions:
        return _companion("faces", "faces", preset, without=without)
    need = _named("faces", FACES)
    if need.problem is None:
        return need
    message, hint = "Keeping who is in a picture needs ArcFace.", f"{need.problem.hint}, or {without}"
    return replace(need, problem=type(need.problem)(message, hint))


def _features(asked: "Needs", preset: Preset) -> Need:
    """The network of perceptual distances: the preset's own, else LPIPS on the method's trunk."""
    without = "--perceptual-weight 0"
    if "image_text" in preset.companions:
        return _companion("features", "image_text", preset, without=without)
    need = _named("features", f"lpips-{asked.trunk}")
    if need.problem is None:
        return need
    problem = MissingError("The perceptual distance needs LPIPS.", f"{need.problem.hint}, or {without}")
    return replace(need, problem=problem)


def _editor(config: StylizeConfig, preset: Preset) -> Need:
    """The model that edits pictures: the folder that was named, else the preset's, else the catalogue's."""
    named = config.source("editor")
    if named is None and "ip2p" in preset.companions:
        return _companion("editor", "ip2p", preset, without="--bank FOLDER")
    need = _named("editor", named or IP2P)
    if named is not None and need.problem is None:
        return _checked_editor(need)
    if need.problem is None or named is not None:
        return need
    hint = f"{need.problem.hint}, or --bank FOLDER"
    return replace(need, problem=type(need.problem)(need.problem.message, hint))


def _checked_editor(need: Need) -> Need:
    """Look into the editor's folder before pictures are made for it."""
    from stylehead.teacher.editing import check_editor

    try:
        check_editor(need.path)
    except StyleheadError as error:
        return replace(need, problem=error)
    return need


def _companion(role: str, companion: str, preset: Preset, *, without: str | None = None) -> Need:
    """A model that belongs to the preset; some presets have none, and `without` is how a job does without."""
    path = preset.companion(companion)
    name = f"{preset.name}/{_SHOWN.get(companion, companion)}"
    if path is not None:
        return _of_preset(role, name, path, preset)
    lacks = preset.lacks(companion)
    hint = " or ".join(filter(None, (lacks.hint if companion in preset.companions else None, without)))
    return Need(role, name, None, preset.licence, MissingError(lacks.message, hint or None))


_SHOWN = {"faces": "identity"}
"""What manifests call a companion, where that is not its role."""


def _named(role: str, name: str) -> Need:
    """Weights by the name that a user, a preset or the catalogue gave them."""
    entry = catalogue_entry(name)
    try:
        find = local_model if role in _MAY_BE_FILES else local_folder
        folder = find(name, "--" + role.replace("_", "-"))
    except (MissingError, LicenseError) as error:
        size, licence = (None, "") if entry is None else (entry.bytes, entry.licence)
        return Need(role, name, None, licence, error, size)
    shown = folder.name if Path(name).expanduser().exists() else name
    licence = _licence_in(folder) if entry is None else entry.licence
    return Need(role, shown, folder, licence, size=_weights_size(role, folder))


def _own_teacher(preset: Preset) -> Need:
    """The teacher that is embedded with a preset."""
    name = f"{preset.name}/teacher"
    if preset.teacher.is_dir():
        return _of_preset("diffusion", name, preset.teacher, preset)
    return Need("diffusion", name, None, preset.licence, preset.misses("teacher", preset.teacher))


def _of_preset(role: str, name: str, path: Path, preset: Preset) -> Need:
    return Need(role, name, path, preset.licence, size=_weights_size(role, path))


_ENDINGS = {"features": "*.pth", "faces": "*.onnx"}
"""What is read from folders that hold no safetensors files."""


def _weights_size(role: str, path: Path) -> int:
    """Bytes of the weight files that are read."""
    if path.is_file():
        return path.stat().st_size
    from stylehead.teacher import TeacherPaths
    from stylehead.weights.pretrained import weight_files

    files = list(TeacherPaths(path).weight_files().values()) if role == "diffusion" else weight_files(path)
    if role in _ENDINGS:
        files = sorted(path.glob(_ENDINGS[role]))
    return sum(file.stat().st_size for file in files)


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


def warn_of_lost_words(needs: Inventory, report: "Report") -> None:
    """Name the end of a prompt that is longer than the teacher reads.

    Raises:
        UsageError: A teacher of few words does not read the one for the style.
    """
    lost = needs.lost_words()
    if lost is None:
        return
    message = f"The teacher does not read the end of the prompt: {lost!r} is lost."
    if few_words(needs.config, needs.preset) is not None:
        read = needs.config.prompt.strip().removesuffix(lost)
        try:
            place_prompt(read or "?")
        except UsageError as error:
            raise UsageError(message, "put the style first, and leave away what it need not know") from error
    report.warn(message)
