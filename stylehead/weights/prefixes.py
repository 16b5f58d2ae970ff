"""Names in state dicts that wrappers lengthened: `module.`, `G_ema.` and their like are taken off again."""

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

Value = TypeVar("Value")
_ANCHOR = "backbone.mapping.fc0.weight"
"""Every generator has it, and nothing else does."""


class Unwrapped(NamedTuple):
    """A network's prefix among the names of a file, "" when it has none, and how many names are not its."""

    prefix: str
    left: int


def find_prefix(names: Mapping[str, object]) -> Unwrapped:
    """Find what stands before a generator's names; of several generators the averaged one is meant.

    Args:
        names: Of a state dict.
    """
    found = [name.removesuffix(_ANCHOR) for name in names if name.endswith(_ANCHOR)]
    whole = [prefix for prefix in found if not prefix or prefix.endswith(".")]
    prefix = min(whole, key=lambda text: ("ema" not in text.lower(), len(text), text), default="")
    if "" in whole:
        prefix = ""
    left = sum(not name.startswith(prefix) for name in names)
    return Unwrapped(prefix, left)


def without_prefix(values: Mapping[str, Value], prefix: str) -> dict[str, Value]:
    """Keep what has a prefix, under its name without it; without a prefix everything is kept."""
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}
