"""What a sweep can be told, by words and by a file, and the plan that this means."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from stylehead.config_files import ConfigFile, read_config_file
from stylehead.errors import UsageError
from stylehead.jobs.arguments import Device, Paths, StylizeArguments
from stylehead.methods.config import PROFILES, ProfileName
from stylehead.methods.qualities import QUALITIES, QualityName
from stylehead.settings import Natural, allowed_values, at_least, at_most, check_ranges
from stylehead.sweeps.plan import Axis, Planned, axes_of_file, make_plan, prompts_axis, values_of
from stylehead.weights.presets import resolve_preset

EngineName = Literal["local", "ray"]
EXAMPLE = 'stylehead sweep --prompt "Pixar character" --method ld,edit --seed 0-2'


@dataclass(frozen=True, kw_only=True)
class SweepArguments(Paths):
    """What `stylehead sweep` can be told."""

    file: Path | None = None
    """JSON, TOML or YAML with `base`, `vary` and any of the options below."""
    prompts: Path | None = None
    """Text file of prompts, one a line."""
    prompt: tuple[str, ...] = ()
    """Prompts."""
    method: str | None = None
    """Methods, joined by commas."""
    seed: str | None = None
    """Seeds, such as 0-2 or 1,5."""
    settings: tuple[str, ...] = ()
    """Other settings, NAME=VALUE or NAME=VALUE,VALUE."""
    profile: ProfileName = "default"
    """Settings to start from."""
    quality: QualityName | None = None
    """How long and careful each run is."""
    config: Path | None = None
    """File of settings to start from, as the `config.json` of a run."""
    engine: EngineName = "local"
    """Who runs them: processes of this machine, or Ray."""
    address: str | None = None
    """Of a Ray cluster."""
    workers: Annotated[int, at_least(1), at_most(4096)] | None = None
    """Runs at once; as many as processors and memory allow when not given."""
    device: Device = "auto"
    """Where to compute."""
    out: Path | None = None
    """Folder of the sweep; one under `sweeps` that goes by its plan when not given."""
    keep_checkpoints: Natural = 1
    """Checkpoints of each run that stay."""
    identities: Annotated[int, at_most(100_000)] = 40
    """People in the table at the end; 0 makes no table."""


_IN_FILE: Mapping[str, tuple[type, ...]] = {
    "engine": (str,), "address": (str,), "workers": (int,), "device": (str,), "out": (str,),
    "keep_checkpoints": (int,), "identities": (int,), "config": (str,), "profile": (str,),
    "quality": (str,),
}  # fmt: skip
"""What a sweep file may hold beside `base` and `vary`."""
_OF_BASE = ("profile", "quality", "config", "device", "keep_checkpoints")
"""What `base` may hold beside settings."""


@dataclass(frozen=True)
class Asked:
    """A sweep as it was asked for: arguments with those of the file in them, and its runs."""

    arguments: SweepArguments
    plan: list[Planned]


def read_sweep(arguments: SweepArguments) -> Asked:
    """Make the plan of a sweep; nothing is written.

    Raises:
        UsageError: Something in the words or in the file means nothing; the sentence says where it stands.
        JobError: A file cannot be read.
        MissingError: Weights are not here.
    """
    arguments, axes = _with_file(arguments)
    for axis in _typed_axes(arguments):
        axes[axis.name] = axis
    if "prompt" not in axes and arguments.config is None:
        raise UsageError("A sweep needs prompts.", EXAMPLE)
    check_sweep(arguments)
    from stylehead.jobs.needs import list_needs
    from stylehead.jobs.stylize import resolve_config, with_file

    start = StylizeArguments(profile=arguments.profile, quality=arguments.quality, config=arguments.config)
    base = with_file(start)
    preset = resolve_preset(_preset(axes, base))[0]

    def settled(varied: dict[str, Any]) -> Any:
        settings = {**base.settings, **varied, "preset": preset.name}
        config = resolve_config(replace(base, settings=settings))
        list_needs(
            config, preset
        ).require()  # a prompt that the teacher does not know, a model that is not here
        return config

    return Asked(arguments, make_plan(list(axes.values()), settled, full_scale=preset.vocabulary is None))


def check_sweep(arguments: SweepArguments) -> None:
    """Check what needs no file.

    Raises:
        UsageError: An argument makes no sense; the message names the option.
    """
    for name, value, known in (
        ("engine", arguments.engine, ("local", "ray")),
        ("profile", arguments.profile, PROFILES),
        ("quality", arguments.quality, QUALITIES),
        ("device", arguments.device, ("auto", "cpu", "cuda")),
    ):
        if value is not None and value not in known:
            raise UsageError(f"`--{name}` (={value}) must be one of {', '.join(known)}.")
    check_ranges(arguments)
    if arguments.identities < 0 or arguments.identities == 1:
        raise UsageError(f"`--identities` (={arguments.identities}) must be 0 or at least 2.")
    if arguments.address is not None and arguments.engine != "ray":
        raise UsageError("`--address` is of a Ray cluster.", "add --engine ray")


def _preset(axes: Mapping[str, Axis], base: StylizeArguments) -> Any:
    if "preset" not in axes:
        return base.settings.get("preset", "auto")
    axis = axes["preset"]
    if len(axis.values) > 1 or axis.values[0] not in ("auto", "mini", "panohead"):
        place = f"{axis.places[-1]}: " if axis.places[-1] else ""
        raise UsageError(f"{place}`preset` must be one of auto, mini, panohead.")
    return axis.values[0]


# ------------------------------------------------------------------------------------------------- from words


def _typed_axes(arguments: SweepArguments) -> list[Axis]:
    """What varies, as the words say."""
    found: list[Axis] = []
    if arguments.prompts is not None:
        found.append(prompts_axis(arguments.prompts))
    if arguments.prompt:
        prompts = (*(found[0].values if found else ()), *arguments.prompt)
        found = [_axis("prompt", prompts)]
    for name in ("method", "seed"):
        if (text := getattr(arguments, name)) is not None:
            found.append(_axis(name, values_of(name, text)))
    return [*found, *map(_setting, arguments.settings)]


def _axis(name: str, values: Any) -> Axis:
    if not values:
        raise UsageError(f"`--{name}` has no values.", EXAMPLE)
    return Axis(name, tuple(values), ("",) * len(values))


def _setting(text: str) -> Axis:
    name, equals, values = text.partition("=")
    name = name.strip().removeprefix("--").replace("-", "_")
    if not equals or not name:
        raise UsageError(f"`--set` (={text}) must be a setting and its values, like learning_rate=1e-3,4e-3.")
    _check_setting(name, "`--set`")
    place = f"`--set {text}`"
    found = values_of(name, values, place)
    if not found:
        raise UsageError(f"{place} has no values.", EXAMPLE)
    return Axis(name, tuple(found), (place,) * len(found))


def _check_setting(name: str, where: str) -> None:
    from stylehead.jobs.stylize import OF_THE_RUN, check_known

    if name in OF_THE_RUN:
        raise UsageError(f"{where}: `{name}` is no setting that can vary.", "stylehead sweep --help")
    check_known(name, where)


# ------------------------------------------------------------------------------------------------- from files


def _with_file(arguments: SweepArguments) -> tuple[SweepArguments, dict[str, Axis]]:
    """Return arguments with what a sweep file holds in the place of defaults, and what it lets vary."""
    if arguments.file is None:
        return arguments, {}
    file = read_config_file(arguments.file, option="FILE")
    for key in file.values:
        _check_key(file, key)
    base = file.values.get("base", {})
    if not isinstance(base, dict):
        raise UsageError(f"{file.place('base')}: `base` is no object of settings.")
    axes = {name: _base_axis(file, name, value) for name, value in base.items() if name not in _OF_BASE}
    for axis in axes_of_file(file, arguments.file.parent):
        _check_setting(axis.name, axis.places[0])
        axes[axis.name] = axis
    beside = {name: value for name, value in file.values.items() if name in _IN_FILE}
    held = {**{name: base[name] for name in _OF_BASE if name in base}, **beside}
    return _filled(arguments, file, held), {axis.name: axis for axis in axes.values()}


def _check_key(file: ConfigFile, key: str) -> None:
    known = ("base", "vary", *_IN_FILE)
    if key not in known:
        near = difflib.get_close_matches(key, known, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"it may hold {', '.join(known)}"
        raise UsageError(f"{file.place(key)}: there is no `{key}` in a sweep.", hint)


def _base_axis(file: ConfigFile, key: str, value: Any) -> Axis:
    """A setting of the base: something that varies over one value."""
    name, place = key.replace("-", "_"), file.place("base", key)
    _check_setting(name, place)
    return Axis(name, (value,), (place,))


def _filled(arguments: SweepArguments, file: ConfigFile, held: Mapping[str, Any]) -> SweepArguments:
    """Put what a file holds in the place of what was left at its default."""
    usual, changes = SweepArguments(), dict[str, Any]()
    for name, value in held.items():
        way = (name,) if name in file.values else ("base", name)
        if not isinstance(value, _IN_FILE[name]) or isinstance(value, bool):
            kinds = " or ".join(map(allowed_values, _IN_FILE[name]))
            raise UsageError(f"{file.place(*way)}: `{name}` (={value}) must be {kinds}.")
        if getattr(arguments, name) == getattr(usual, name):
            changes[name] = Path(str(value)).expanduser() if name in ("out", "config") else value
    return replace(arguments, **changes)
