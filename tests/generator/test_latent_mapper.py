"""Styles that move style vectors: what the mapper computes, and how its file acts."""

import copy
import math

import pytest
import torch

from stylehead.errors import JobError
from stylehead.generator import (
    LatentMapper,
    PanoHead,
    Style,
    load_style,
    mapper_parameters,
    mix_styles,
    remove_styles,
    save_style,
)
from stylehead.generator.latent_mapper import GROUPS
from stylehead.geometry import camera_from_angles


def mapper_of(base: PanoHead, seed: int) -> LatentMapper:
    return LatentMapper.drawn(base.config.w_dim, rng=torch.Generator().manual_seed(seed))


def edited(base: PanoHead, seed: int) -> PanoHead:
    generator = copy.deepcopy(base)
    generator.latent_edits = ((mapper_of(base, seed).requires_grad_(False), 1.0),)
    return generator


@pytest.fixture
def base(tiny) -> PanoHead:
    return copy.deepcopy(tiny)


@pytest.fixture
def style(tiny, tmp_path) -> Style:
    save_style(tmp_path / "style.safetensors", edited(tiny, 0), tiny, {"prompt": "a rosa"})
    return load_style(tmp_path / "style.safetensors")


@pytest.fixture
def ws(tiny) -> torch.Tensor:
    return torch.randn(2, tiny.num_ws, tiny.config.w_dim, generator=torch.Generator().manual_seed(1))


LABEL = camera_from_angles(torch.tensor([0.4, -0.2]))


def test_it_is_pixel_norm_and_four_layers_for_each_group(tiny, ws):
    mapper = mapper_of(tiny, 3)
    moved = mapper(ws)
    assert moved.shape == ws.shape
    for name, (first, end) in GROUPS.items():
        for index in range(first, end or tiny.num_ws)[: 2 if end else None]:
            if index >= tiny.num_ws:
                continue
            x = ws[0, index].double()
            x = x / math.sqrt(sum(float(v) ** 2 for v in x) / len(x))
            for layer in mapper.get_submodule(name):
                x = layer.weight.double() @ x * 0.01 / math.sqrt(len(x)) + layer.bias.double() * 0.01
                x = torch.where(x > 0, x, 0.2 * x) * math.sqrt(2)
            torch.testing.assert_close(moved[0, index], (0.1 * x).float(), rtol=1e-3, atol=1e-5)


def test_a_fresh_mapper_moves_little_and_comes_from_its_seed(tiny, ws):
    before = torch.random.get_rng_state()
    one, again, other = (mapper_of(tiny, seed)(ws) for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert 0.02 < one.square().mean().sqrt() < 0.3


def test_a_picture_is_that_of_the_moved_vectors(tiny, base, style, ws):
    plain = tiny.synthesis(ws, LABEL, background="white")
    style.apply(base)
    ours = base.synthesis(ws, LABEL, background="white")
    moved = ws + mapper_of(tiny, 0)(ws)
    expected = tiny.synthesis(moved, LABEL, background="white")
    for one, two, before in zip(ours, expected, plain, strict=True):
        torch.testing.assert_close(one, two)
        assert not torch.equal(one, before)
    assert torch.equal(base.planes(ws), tiny.planes(moved))


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0, 1.7])
def test_strength_is_how_far_vectors_move(tiny, base, style, ws, strength):
    style.apply(base, strength)
    torch.testing.assert_close(base.edited(ws), ws + strength * mapper_of(tiny, 0)(ws))
    if strength == 0:
        assert torch.equal(base.synthesis(ws, LABEL).image, tiny.synthesis(ws, LABEL).image)


def test_styles_of_both_kinds_mix_and_are_taken_off(tiny, base, style, ws, tmp_path):
    changed = edited(tiny, 7)
    with torch.no_grad():
        weight = changed.get_parameter("superresolution.block1.torgb.weight")
        weight += 0.1
    save_style(tmp_path / "both.safetensors", changed, tiny, {"prompt": "a rosa"})
    both = load_style(tmp_path / "both.safetensors")
    mix_styles([(style, 0.5), (both, 0.25)]).apply(base)
    expected = ws + 0.5 * mapper_of(tiny, 0)(ws) + 0.25 * mapper_of(tiny, 7)(ws)
    torch.testing.assert_close(base.edited(ws), expected)
    name = "superresolution.block1.torgb.weight"
    torch.testing.assert_close(base.get_parameter(name), tiny.get_parameter(name) + 0.25 * 0.1)
    style.apply(base)  # what was there before is gone
    assert torch.equal(base.get_parameter(name), tiny.get_parameter(name))
    assert len(base.latent_edits) == 1
    remove_styles(base)
    assert base.edited(ws) is ws
    assert base.fingerprint() == tiny.fingerprint()


def test_the_file_holds_the_mapper_and_nothing_else(tiny, style):
    generator = edited(tiny, 0)
    assert style.tensors.keys() == mapper_parameters(generator).keys()
    assert all(name.startswith("latent_mapper.") for name in style.tensors)
    assert mapper_parameters(tiny) == {}


def test_a_mapper_of_another_size_is_refused(base, style):
    name = next(iter(style.tensors))
    broken = Style({**style.tensors, name: style.tensors[name][:-1]}, style.base, style.metadata)
    with pytest.raises(JobError, match="does not fit"):
        broken.apply(base)
    less = Style({k: v for k, v in style.tensors.items() if k != name}, style.base, style.metadata)
    with pytest.raises(JobError, match="does not fit"):
        less.apply(base)
