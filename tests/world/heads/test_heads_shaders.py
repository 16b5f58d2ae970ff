import re
from importlib import resources

import numpy as np
import pytest

from stylehead.world.heads import STYLES
from stylehead.world.heads.shader_source import UniformBlock, fragment_shader, vertex_shader
from stylehead.world.heads.styles import STYLE_SHAPES

SHADERS = resources.files("stylehead.world.heads") / "shaders"
MATERIALS = sorted(file.name.removesuffix(".glsl") for file in (SHADERS / "materials").iterdir())


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("material", MATERIALS)
def test_programs_are_put_together(material, style):
    source = fragment_shader(material, style)
    assert source.startswith(f"#version 330\n#define MATERIAL_{material.upper()}\n")
    assert "#include" not in source
    assert source.count("void main()") == 1
    assert source.count("layout(std140) uniform Head") == 1


def test_every_style_has_a_shape_and_a_file():
    files = {file.name.removesuffix(".glsl") for file in (SHADERS / "styles").iterdir()}
    assert files == {*STYLES, "defaults", "parts"}
    assert set(STYLE_SHAPES) == set(STYLES)


@pytest.mark.parametrize("style", STYLES)
def test_styles_only_define_what_the_defaults_know(style):
    """A misspelt name would silently leave the default in place."""
    known = set(re.findall(r"^#ifndef (\w+)", (SHADERS / "styles/defaults.glsl").read_text(), re.MULTILINE))
    text = (SHADERS / f"styles/{style}.glsl").read_text()
    assert set(re.findall(r"^#define (\w+)", text, re.MULTILINE)) <= known
    for function in re.findall(r"\b(style_\w+)\(.*\) \{", text):
        assert f"#define {function.upper()}\n" in text


def test_the_vertex_shader_takes_what_parts_have():
    inputs = re.findall(r"^in (\w+) vertex_(\w+);", vertex_shader(), re.MULTILINE)
    names = ["position", "normal", "canonical", "detail_a", "detail_b"]
    assert inputs == list(zip(["vec3"] * 3 + ["vec4"] * 2, names, strict=True))


def test_blocks_are_laid_out_by_the_rules_of_std140():
    block = UniformBlock("Camera")
    matrix = np.arange(16.0).reshape(4, 4)
    raw = block.pack({"view": matrix, "view_projection": -matrix, "position": np.array([7, 8, 9])})
    data = np.frombuffer(raw, np.float32)
    assert block.size == 2 * 64 + 16
    assert data[:16] == pytest.approx(matrix.T.reshape(-1))
    assert data[32:35].tolist() == [7, 8, 9]


def test_a_number_fills_the_gap_behind_a_colour():
    block = UniformBlock("Head")
    values = dict.fromkeys(block.fields, 0.0) | {
        name: np.zeros(3) for name in ("centre", "hair_colour", "eye_colour", "shirt_colour")
    }
    data = np.frombuffer(block.pack(values | {"centre": np.ones(3), "scale": 5.0}), np.float32)
    assert data[:8].tolist() == [1, 1, 1, 5, 0, 0, 0, 0]


def test_a_field_without_a_value_is_refused():
    with pytest.raises(KeyError, match="view"):
        UniformBlock("Camera").pack({})
