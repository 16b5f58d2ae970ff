"""Style files: what they hold, how strongly they act, and on what."""

import copy
import math

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from stylehead.errors import JobError, MissingError, UsageError
from stylehead.generator import (
    GeneratorConfig,
    LowRank,
    PanoHead,
    changed_tensors,
    load_style,
    mix_styles,
    remove_styles,
    save_style,
    trainable_parameters,
)

ABOUT = {
    "prompt": "a rosa",
    "method": "ld",
    "iterations": "3",
    "seed": "0",
    "preset": "mini",
    "licence": "none",
}


def trained_from(base, seed):
    generator = copy.deepcopy(base)
    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, parameter in trainable_parameters(generator)[seed::2]:
            parameter += torch.randn(parameter.shape, generator=draws) * 0.1
    return generator


@pytest.fixture
def base(tiny) -> PanoHead:
    return copy.deepcopy(tiny)


@pytest.fixture
def trained(tiny) -> PanoHead:
    return trained_from(tiny, 0)


@pytest.fixture
def path(tiny, trained, tmp_path):
    save_style(tmp_path / "pixar.safetensors", trained, tiny, ABOUT)
    return tmp_path / "pixar.safetensors"


def same_weights(a, b):
    return all(
        torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


def test_file_holds_what_changed_and_where_it_is_from(path, tiny, trained):
    style = load_style(path)
    assert set(style.tensors) == {name for name, _ in trainable_parameters(trained)[::2]}
    assert style.base == tiny.fingerprint()
    assert style.metadata.items() >= ABOUT.items()
    assert {"stylehead.format", "stylehead.base", "stylehead.version"} <= set(style.metadata)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_strength_zero_is_the_base_and_one_the_trained_network(path, base, tiny, trained):
    style = load_style(path)
    style.apply(base, strength=0.0)
    assert same_weights(base, tiny)
    style.apply(base, strength=1.0)
    assert same_weights(base, trained)
    assert base.fingerprint() == trained.fingerprint()
    remove_styles(base)
    assert same_weights(base, tiny)


def test_strength_is_linear(path, base, tiny, trained):
    load_style(path).apply(base, strength=0.5)
    before, after = tiny.state_dict(), trained.state_dict()
    for name, tensor in base.state_dict().items():
        assert torch.allclose(tensor, (before[name] + after[name]) / 2, atol=1e-6), name


def test_strength_changes_by_applying_again(path, base, trained):
    style = load_style(path)
    style.apply(base, strength=0.3)
    style.apply(base)
    assert same_weights(base, trained)


def test_loading_weights_forgets_the_style(path, base, trained):
    load_style(path).apply(base)
    base.load_state_dict(trained.state_dict())
    remove_styles(base)
    assert same_weights(base, trained)


def test_copy_of_a_styled_network_can_be_unstyled(path, base, tiny):
    load_style(path).apply(base)
    twin = copy.deepcopy(base)
    remove_styles(twin)
    assert same_weights(twin, tiny)
    assert not same_weights(base, tiny)


def test_mixing_is_linear(path, base, tiny, trained, tmp_path):
    other = trained_from(tiny, 1)
    with torch.no_grad():
        other.backbone.synthesis.b4.const += 0.5  # changed in both
    save_style(tmp_path / "other.safetensors", other, tiny, ABOUT)
    mix = mix_styles([(load_style(path), 0.6), (load_style(tmp_path / "other.safetensors"), 0.5)])
    mix.apply(base, strength=0.5)
    states = [network.state_dict() for network in (tiny, trained, other)]
    for name, tensor in base.state_dict().items():
        start, first, second = (state[name] for state in states)
        expected = start + 0.3 * (first - start) + 0.25 * (second - start)
        assert torch.allclose(tensor, expected, atol=1e-6), name


def test_mix_with_one_full_share_is_that_style(path, base, trained):
    mix_styles([(load_style(path), 1.0)]).apply(base)
    assert same_weights(base, trained)


def test_mixing_needs_styles_of_one_base(path, base, trained, tmp_path):
    with pytest.raises(UsageError, match="at least one"):
        mix_styles([])
    save_style(tmp_path / "other.safetensors", base, trained, ABOUT)
    with pytest.raises(JobError, match="different generators"):
        mix_styles([(load_style(path), 0.5), (load_style(tmp_path / "other.safetensors"), 0.5)])


def test_another_base_is_refused_and_left_alone(path, base):
    with torch.no_grad():
        base.torgb.bias += 1
    before = copy.deepcopy(base)
    with pytest.raises(JobError, match="trained on another generator"):
        load_style(path).apply(base)
    assert same_weights(base, before)


def test_strength_must_be_a_number(path, base, tiny):
    with pytest.raises(UsageError, match="finite"):
        load_style(path).apply(base, strength=math.nan)
    assert same_weights(base, tiny)


def test_networks_of_another_size_have_no_style_between_them(tiny, tmp_path):
    other = PanoHead(GeneratorConfig.mini())
    with pytest.raises(JobError, match="different configurations"):
        save_style(tmp_path / "style.safetensors", other, tiny, ABOUT)


def test_damaged_files_are_refused_in_one_sentence(path, tiny, tmp_path):
    whole = path.read_bytes()
    for content in (whole[:-50], whole[:20], b"not a style", b""):
        path.write_bytes(content)
        with pytest.raises(JobError, match=r"damaged|empty or cut short") as caught:
            load_style(path)
        assert "pixar.safetensors" in caught.value.message
        assert "\n" not in caught.value.message
    with pytest.raises(MissingError, match="no file"):
        load_style(tmp_path / "nowhere.safetensors")
    tiny.save(path)
    with pytest.raises(JobError, match="not a style file"):
        load_style(path)


def test_styles_that_hold_no_numbers_are_refused(path):
    style = load_style(path)
    name = next(iter(style.tensors))
    save_file({name: torch.full_like(style.tensors[name], torch.inf)}, path, dict(style.metadata))
    with pytest.raises(JobError, match="not finite"):
        load_style(path)


@pytest.fixture
def small(tiny, trained, tmp_path):
    changed = changed_tensors(trained, tiny)
    save_style(
        tmp_path / "small.safetensors", trained, tiny, ABOUT, LowRank(tiny.state_dict(), changed).keep(0.3)
    )
    return tmp_path / "small.safetensors"


def test_a_small_file_is_as_good_as_a_full_one_of_what_it_says(small, base, tiny, tmp_path):
    style, twin = load_style(small), copy.deepcopy(tiny)
    style.apply(twin)
    assert not same_weights(twin, tiny)
    save_style(tmp_path / "full.safetensors", twin, tiny, ABOUT)
    for strength in (0.0, 0.4, 1.0):
        for path in (small, tmp_path / "full.safetensors"):
            load_style(path).apply(base if path == small else twin, strength)
        assert same_weights(base, twin)
    remove_styles(base)
    assert same_weights(base, tiny)


def test_small_and_full_files_mix(small, path, base, tiny):
    parts = load_style(small), load_style(path)
    mix_styles([(parts[0], 0.5), (parts[1], 0.25)]).apply(base)
    for name, tensor in tiny.state_dict().items():
        changes = [style.trained(name, tensor) - tensor for style in parts if name in style.changed]
        expected = tensor + sum(share * change for share, change in zip((0.5, 0.25), changes, strict=False))
        assert torch.allclose(base.state_dict()[name], expected, atol=1e-6), name


def test_half_a_change_is_damage(small, tmp_path):
    tensors, about = load_file(small), load_style(small).metadata
    left = next(name for name in tensors if name.endswith(".left"))
    for name, value in ((left, None), ("torgb.bias", torch.zeros(3)), (".change.odd", torch.zeros(3))):
        damaged = {**tensors, name: value}
        save_file(
            {key: item for key, item in damaged.items() if item is not None},
            tmp_path / "d.safetensors",
            about,
        )
        with pytest.raises(JobError, match="is damaged: `"):
            load_style(tmp_path / "d.safetensors")


def test_a_small_style_for_tensors_of_another_shape_is_refused(small, base, tiny):
    about = dict(load_style(small).metadata)
    for tensors in (
        {"torgb.weight.left": torch.zeros(2, 1), "torgb.weight.right": torch.zeros(1, 2)},
        {"torgb.bias.left": torch.zeros(3, 1), "torgb.bias.right": torch.zeros(1, 1)},
        {"torgb.bias.change": torch.zeros(9)},
        {"nowhere.change": torch.zeros(9)},
    ):
        save_file(tensors, small, about)
        with pytest.raises(JobError, match="does not have in that shape"):
            load_style(small).apply(base)
        assert same_weights(base, tiny)


def test_style_for_tensors_that_are_not_there_is_refused(path, base, tiny):
    style = load_style(path)
    save_file({"torgb.bias": torch.zeros(7)}, path, dict(style.metadata))
    with pytest.raises(JobError, match="`torgb"):
        load_style(path).apply(base)
    assert same_weights(base, tiny)


def test_header_entries_must_be_strings(tiny, trained, tmp_path):
    with pytest.raises(JobError, match="`seed`"):
        save_style(tmp_path / "style.safetensors", trained, tiny, {"seed": 1})
    assert not list(tmp_path.iterdir())


def test_own_entries_cannot_be_overwritten(tiny, trained, tmp_path):
    save_style(tmp_path / "style.safetensors", trained, tiny, {"stylehead.base": "forged"})
    with safe_open(tmp_path / "style.safetensors", framework="pt") as opened:
        assert opened.metadata()["stylehead.base"] == tiny.fingerprint()
