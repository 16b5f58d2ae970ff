"""Every number of every command has a sense: what is out of any is refused, what is unusual is said."""

import dataclasses
import math
import types
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from stylehead.errors import UsageError
from stylehead.jobs.arguments import EvaluateArguments, InvertArguments, RenderArguments, StylizeArguments
from stylehead.jobs.bank import NewBank
from stylehead.jobs.sweep_arguments import SweepArguments, check_sweep
from stylehead.methods.registry import BUILT_IN, settings_class
from stylehead.settings import Rate, check_ranges, check_settings, unusual, usually

NONSENSE = [math.nan, math.inf, -math.inf, 1e308, -1e308, 1e30, -1e30]
WHOLE_NONSENSE = [10**30, -(10**30)]
SIGNED = {"pitch", "conditioning_pitch_deg", "mesh_level"}
"""Numbers that may be negative."""
ARGUMENTS = [
    (StylizeArguments, check_ranges), (RenderArguments, check_ranges), (InvertArguments, check_ranges),
    (EvaluateArguments, check_ranges), (SweepArguments, check_sweep),
]  # fmt: skip


def plain(hint: Any) -> Any:
    """The type in an annotation, less its rules and the None that it may be."""
    if get_origin(hint) is Annotated:
        return plain(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        return plain(next(arg for arg in get_args(hint) if arg is not type(None)))
    return hint


def numbers(kind: Any) -> Iterator[tuple[str, Any]]:
    """Names and types of the fields of a dataclass that are one number."""
    hints = get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        if (found := plain(hints[field.name])) in (int, float):
            yield field.name, found


def refused(make: Any) -> bool:
    try:
        make()
    except UsageError as error:
        return "\n" not in error.message
    return False


SETTINGS = [(method, *item) for method in BUILT_IN for item in numbers(settings_class(method))]


@pytest.mark.parametrize(("method", "name", "kind"), SETTINGS)
def test_settings_out_of_any_sense_are_refused(method: str, name: str, kind: type) -> None:
    for value in [*NONSENSE, *WHOLE_NONSENSE] if kind is float else WHOLE_NONSENSE:
        assert refused(lambda value=value: settings_class(method)(prompt="x", **{name: value})), value
    if name not in SIGNED:
        assert refused(lambda: settings_class(method)(prompt="x", **{name: -1}))


@pytest.mark.parametrize(("kind", "look"), ARGUMENTS)
def test_arguments_out_of_any_sense_are_refused(kind: Any, look: Callable[[Any], None]) -> None:
    for name, sort in numbers(kind):
        for value in [*NONSENSE, *WHOLE_NONSENSE] if sort is float else WHOLE_NONSENSE:
            assert refused(lambda name=name, value=value: look(kind(**{name: value}))), (name, value)
        if name not in SIGNED:
            assert refused(lambda name=name: look(kind(**{name: -1}))), name


def test_banks_have_a_sense_too() -> None:
    usual = NewBank(people=4, views=2)
    check_ranges(usual)
    for name, _ in numbers(NewBank):
        for value in (-1, 10**30, math.nan):
            assert refused(
                lambda name=name, value=value: check_ranges(dataclasses.replace(usual, **{name: value}))
            )


@pytest.mark.parametrize("method", BUILT_IN)
def test_defaults_are_usual(method: str) -> None:
    assert unusual(settings_class(method)(prompt="x")) == []


@given(
    st.sampled_from(SETTINGS),
    st.floats() | st.integers() | st.sampled_from([0, 1, -1, 0.5, 1e-300, True]),
)
@hypothesis_settings(deadline=None, max_examples=200)
def test_any_number_is_taken_or_refused_in_a_sentence(setting: tuple[str, str, type], value: Any) -> None:
    method, name, kind = setting
    if refused(lambda: settings_class(method)(prompt="x", **{name: value})):
        return
    config = settings_class(method)(prompt="x", **{name: value})
    assert math.isfinite(getattr(config, name))
    assert kind is float or float(value).is_integer()
    assert settings_class(method).from_json(config.to_json()) == config


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"learning_rate": 0.05},
            "`--learning-rate` (=0.05) is unusual: it is from 1e-06 to 0.02 as a rule.",
        ),
        ({"cfg_scale": 300}, "`--cfg-scale` (=300) is unusual: it is from 0 to 200 as a rule."),
        ({"alpha_weight": 5000.0}, "`--alpha-weight` (=5000) is unusual: it is from 0 to 1000 as a rule."),
        ({"batch": 128}, "`--batch` (=128) is unusual: it is from 1 to 64 as a rule."),
        ({"iterations": 10**6}, "`--iterations` (=1000000) is unusual: it is from 1 to 100000 as a rule."),
    ],
)
def test_what_is_hardly_meant_is_said(values: dict[str, Any], said: str) -> None:
    assert unusual(settings_class("ld")(prompt="x", **values)) == [said]


def test_a_number_that_is_none_is_refused_by_name() -> None:
    @dataclasses.dataclass
    class Settings:
        rate: Annotated[Rate, usually(0.001, 0.01)] | None = 0.005

    check_settings(Settings())
    check_settings(Settings(rate=None))
    with pytest.raises(UsageError, match=r"`--rate` \(=x\) must be"):
        check_ranges(Settings(rate="x"))  # type: ignore[arg-type]
    assert len(unusual(Settings(rate=0.05))) == 2  # both habits
