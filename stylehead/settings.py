"""What frozen settings have in common: they check types and ranges, and their fields have one line of help.

A range stands beside the field it holds for, as part of its annotation; the help of a field is the attribute
docstring below it, so that everything about a setting stands in one place.
"""

import ast
import dataclasses
import functools
import inspect
import itertools
import math
import textwrap
import types
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal, NamedTuple, NoReturn, Union, get_args, get_origin, get_type_hints

from stylehead.errors import UsageError


class Rule(NamedTuple):
    """A range that a number must be in.

    Attributes:
        words: What follows "must be".
        holds: Whether a number keeps it.
    """

    words: str
    holds: Callable[[float], bool]


def at_least(low: float) -> Rule:
    """Return the rule low <= x."""
    return Rule(f"at least {low:.12g}", lambda value: value >= low)


def above(low: float) -> Rule:
    """Return the rule low < x."""
    return Rule(f"above {low:.12g}", lambda value: value > low)


def at_most(high: float) -> Rule:
    """Return the rule x <= high."""
    return Rule(f"at most {high:.12g}", lambda value: value <= high)


def between(low: float, high: float) -> Rule:
    """Return the rule low <= x <= high."""
    return Rule(f"between {low:.12g} and {high:.12g}", lambda value: low <= value <= high)


class Usual(NamedTuple):
    """A range that a number is in as a rule; outside it is taken, and said to be unusual.

    Attributes:
        words: What follows "it is".
        holds: Whether a number keeps to it.
    """

    words: str
    holds: Callable[[float], bool]


def usually(low: float, high: float) -> Usual:
    """Return the habit low <= x <= high."""
    return Usual(f"from {low:.12g} to {high:.12g} as a rule", lambda value: low <= value <= high)


# Every number of every command has a sense: the largest are far above what anybody needs, and finite.
Count = Annotated[int, at_least(1), at_most(10_000_000)]
"""A whole number from 1 on."""
Natural = Annotated[int, at_least(0), at_most(10_000_000)]
"""A whole number from 0 on."""
Few = Annotated[int, at_least(1), at_most(4096), usually(1, 64)]
"""How many are worked on at once."""
Seed = Annotated[int, between(0, 2**32 - 1)]
"""Of one head, or of noise."""
Weight = Annotated[float, at_least(0), at_most(1e6), usually(0, 1000)]
"""Factor on a term; 0 switches it off."""
Positive = Annotated[float, above(0), at_most(1e6)]
"""A number above 0."""
Share = Annotated[float, between(0, 1)]
"""A fraction."""
Guidance = Annotated[float, at_least(0), at_most(1000), usually(0, 200)]
"""How far a prediction goes beyond the one without words."""
Rate = Annotated[float, above(0), at_most(0.1), usually(1e-6, 0.02)]
"""A learning rate: with a larger one Adam only makes noise."""


def flag(name: str) -> str:
    """Return the command-line spelling of a setting, for messages and for the command line itself."""
    return "--" + name.replace("_", "-")


def refuse(name: str, value: object, rule: str) -> NoReturn:
    """Raise the UsageError that names a setting by its flag, its value and the rule that it breaks."""
    raise UsageError(f"`{flag(name)}` (={value}) must be {rule}.")


def check_settings(settings: Any) -> None:
    """Check every field of a dataclass against its annotation: first all types, then all ranges.

    Raises:
        UsageError: A value is of the wrong type or out of range; the message names the flag and the rule.
    """
    kind: Any = type(settings)  # mypy takes a dataclass for unhashable
    for name, hint in _hints(kind).items():
        value = getattr(settings, name)
        if not fits(value, hint):
            refuse(name, value, allowed_values(hint))
    check_ranges(settings)


def check_ranges(settings: Any) -> None:
    """Check the numbers of a dataclass against the ranges in its annotations; NaN is in none.

    Raises:
        UsageError: One is out of its range; the message names the flag and the rule.
    """
    for name, value, rule in _ruled(settings, Rule):
        if not isinstance(value, int | float) or not rule.holds(value):
            refuse(name, _shown(value), rule.words)


def unusual(settings: Any) -> list[str]:
    """Return a sentence for every number of a dataclass that is allowed, and hardly meant."""
    return [
        f"`{flag(name)}` (={_shown(value)}) is unusual: it is {habit.words}."
        for name, value, habit in _ruled(settings, Usual)
        if not habit.holds(value)
    ]


def _ruled(settings: Any, sort: type[Rule] | type[Usual]) -> Iterator[tuple[str, Any, Any]]:
    """Yield the name and value of every field with each of its rules of a sort."""
    kind: Any = type(settings)  # mypy takes a dataclass for unhashable
    for name, rules in _rules(kind).items():
        value = getattr(settings, name)
        yield from ((name, value, rule) for rule in rules if isinstance(rule, sort) and value is not None)


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


@functools.cache
def _rules(kind: Any) -> dict[str, list[Rule | Usual]]:
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: list(_rules_in(hints[field.name])) for field in dataclasses.fields(kind)}


def _rules_in(hint: Any) -> Iterator[Rule | Usual]:
    """Yield the rules in an annotation, also those of a part of a union."""
    yield from (extra for extra in getattr(hint, "__metadata__", ()) if isinstance(extra, Rule | Usual))
    if get_origin(hint) in (Union, types.UnionType):
        for part in get_args(hint):
            yield from _rules_in(part)


def fits(value: object, hint: Any) -> bool:
    """Whether a value is of an annotated type; whole numbers are fine where a float is annotated."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return value in args
    if origin in (Union, types.UnionType):
        return any(fits(value, arg) for arg in args)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        wanted = [args[0]] * len(value) if args[-1] is Ellipsis else list(args)
        return len(value) == len(wanted) and all(map(fits, value, wanted))
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def allowed_values(hint: Any) -> str:
    """Return in words what values a type has."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return "one of " + ", ".join(map(str, args))
    if origin in (Union, types.UnionType):
        return " or ".join("not given" if arg is type(None) else allowed_values(arg) for arg in args)
    if origin is tuple:
        if args[0] is str:
            return "texts"
        return "numbers" if args[-1] is Ellipsis else f"{len(args)} whole numbers"
    return {int: "a whole number", float: "a finite number", bool: "true or false", str: "text"}[hint]


@functools.cache
def field_help(kind: Any) -> dict[str, str]:
    """Return the one-line description of every field of a dataclass, in order of declaration.

    They are the attribute docstrings in its source and its bases'; a field without one, or of a class whose
    source is not at hand, has no entry.
    """
    described: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if dataclasses.is_dataclass(base):
            described |= _own_help(base)
    return {f.name: described[f.name] for f in dataclasses.fields(kind) if f.name in described}


def _own_help(kind: Any) -> dict[str, str]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    except (OSError, TypeError, SyntaxError):
        return {}
    body = tree.body[0].body  # type: ignore[attr-defined]
    return {
        statement.target.id: ast.literal_eval(follower.value)  # type: ignore[union-attr]
        for statement, follower in itertools.pairwise(body)
        if isinstance(statement, ast.AnnAssign) and isinstance(follower, ast.Expr)
    }
