"""Which methods there are: those of this package, and those that other distributions bring.

A distribution brings one by an entry point in the group `stylehead.methods`, the method's name pointing to
its class. Names are listed without importing anything; a class is imported when its method is chosen.
"""

import importlib
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, NamedTuple

from stylehead.errors import JobError, UsageError

if TYPE_CHECKING:
    from stylehead.methods.config import StylizeConfig
    from stylehead.methods.contract import Method

DEFAULT = "ld"
"""The method of settings that name none; the default of jobs at full scale."""
EMBEDDED_DEFAULT = "edit"
"""The default of jobs over the embedded models."""
BUILT_IN: Mapping[str, str] = {
    "ld": "stylehead.methods.ld:LikelihoodDistillation",
    "edit": "stylehead.methods.edit:Edit",
    "sds": "stylehead.methods.sds:ScoreDistillation",
    "csd": "stylehead.methods.csd:ClassifierDistillation",
    "nada": "stylehead.methods.nada:Nada",
    "styleclip": "stylehead.methods.styleclip:StyleCLIP",
    "styleganfusion": "stylehead.methods.styleganfusion:StyleGANFusion",
    "diffusiongan3d": "stylehead.methods.diffusiongan3d:DiffusionGAN3D",
}
"""The methods of this package, in the order in which they are offered."""
TABLE_ORDER = ("styleclip", "nada", "styleganfusion", "diffusiongan3d", "sds", "csd", "ld", "edit")
"""The order of their rows in tables: the paper's, which comes last itself; others stand behind it."""
GROUP = "stylehead.methods"
"""The group of entry points."""

_DECLARED: dict[str, "type[Method[Any]]"] = {}


class Variant(NamedTuple):
    """A row that a method has in tables.

    Attributes:
        name: What `eval --methods` takes.
        title: What the table prints.
        settings: In what it differs from the method's defaults.
        step: Seconds of an iteration over the embedded models, where they are not those of the method's pace.
    """

    name: str
    title: str
    settings: Mapping[str, object] = {}
    step: float | None = None


def declare(method: "type[Method[Any]]") -> None:
    """Remember a class by its name; the contract does so for every method that is defined."""
    _DECLARED[method.name] = method


class MethodChoice(NamedTuple):
    """A method, and why it is that one."""

    method: str
    why: str


def choose_method(
    settings: Mapping[str, object], *, full_scale: bool, profile: str = "default"
) -> MethodChoice:
    """Return the method that settings name, imply, or leave to the default.

    Args:
        settings: Those that were given.
        full_scale: Whether the job is over models of the published size.
        profile: What the settings start from; those of publications are of the published method.
    """
    if named := settings.get("method"):
        return MethodChoice(str(named), "as asked")
    for setting, name in _IMPLIED.items():
        if settings.get(setting) is not None:
            return MethodChoice(name, f"which learns from a {setting}")
    if full_scale:
        return MethodChoice(DEFAULT, "the default at full scale")
    if profile != "default":
        return MethodChoice(DEFAULT, f"which has the profile {profile}")
    if own := _own_setting(DEFAULT, settings, EMBEDDED_DEFAULT):
        return MethodChoice(DEFAULT, f"which has --{own.replace('_', '-')}")
    return MethodChoice(EMBEDDED_DEFAULT, "the default of the embedded models")


def _own_setting(method: str, settings: Mapping[str, object], other: str) -> str | None:
    """Return a setting that was given and that a method has, but not another."""
    if method == other:
        return None
    known, foreign = settings_class(method).names(), settings_class(other).names()
    return next((name for name in settings if name in known and name not in foreign), None)


OF_BANKS = "edit"
"""The method that a bank is made for when nobody names one."""
_IMPLIED = {"bank": OF_BANKS}
"""Settings that mean one method, as no other learns from them."""


def method_names() -> tuple[str, ...]:
    """Return the names of all methods: built in, brought by distributions, and defined in this process."""
    return tuple(dict.fromkeys([*BUILT_IN, *sorted(_brought()), *_DECLARED]))


def method_class(name: str) -> "type[Method[Any]]":
    """Return the class of a method, imported if it was not.

    Raises:
        UsageError: There is no method of that name.
        JobError: A distribution brings it, and it cannot be imported or is no method.
    """
    if name in BUILT_IN:
        module, _, attribute = BUILT_IN[name].partition(":")
        found: type[Method[Any]] = getattr(importlib.import_module(module), attribute)
        return found
    if name in _DECLARED:
        return _DECLARED[name]
    brought = _brought()
    if name not in brought:
        raise UsageError(f"`--method` (={name}) must be one of {', '.join(method_names())}.")
    return _imported(brought[name])


def settings_class(name: str) -> "type[StylizeConfig]":
    """Return the settings of a method: a dataclass whose fields are those of `StylizeConfig` and its own."""
    return method_class(name).settings


def table_order() -> tuple[str, ...]:
    """Return the names of all methods in the order of their rows."""
    return tuple(dict.fromkeys([*TABLE_ORDER, *method_names()]))


def _brought() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP) if point.name not in BUILT_IN}


def _imported(point: EntryPoint) -> "type[Method[Any]]":
    """Import what an entry point names, and see that it is a method of that name."""
    where = f"The method {point.name} ({point.value})"
    try:
        found = point.load()
    except Exception as error:  # anything may happen in somebody else's module
        raise JobError(f"{where} cannot be imported: {type(error).__name__}: {error}.") from error
    if _DECLARED.get(point.name) is not found:
        raise JobError(f"{where} is no class derived from stylehead.methods.Method with that name.")
    return _DECLARED[point.name]
