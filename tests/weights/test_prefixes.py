"""What wrappers put before the names of a network is taken off, and of several networks one is chosen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stylehead.weights.prefixes import find_prefix, without_prefix

NAMES = ("backbone.mapping.fc0.weight", "backbone.mapping.fc1.bias", "decoder.net.0.bias")


def named(prefix: str) -> dict[str, int]:
    return {prefix + name: index for index, name in enumerate(NAMES)}


@given(st.lists(st.sampled_from(["module", "G_ema", "G", "generator", "model"]), max_size=3))
def test_any_chain_of_wrappers_comes_off(wrappers: list[str]) -> None:
    prefix = "".join(f"{wrapper}." for wrapper in wrappers)
    found = find_prefix(named(prefix))
    assert found == (prefix, 0)
    assert without_prefix(named(prefix), found.prefix) == named("")


@pytest.mark.parametrize(
    ("prefixes", "chosen"),
    [
        (("G.", "G_ema."), "G_ema."),
        (("generator.", "generator_ema."), "generator_ema."),
        (("module.G.", "G."), "G."),
        (("", "G_ema."), ""),
    ],
)
def test_of_several_generators_the_averaged_one_is_taken(prefixes: tuple[str, ...], chosen: str) -> None:
    names = {name: value for prefix in prefixes for name, value in named(prefix).items()}
    found = find_prefix(names | {"D.b4.conv.weight": 9})
    assert found.prefix == chosen
    if chosen:
        assert found.left == len(NAMES) * (len(prefixes) - 1) + 1
        assert without_prefix(names, chosen) == named("")


def test_names_without_a_generator_stay_as_they_are() -> None:
    assert find_prefix({"a.b": 1, "notabackbone.mapping.fc0.weight": 2}) == ("", 0)
    assert without_prefix({"a.b": 1}, "") == {"a.b": 1}
