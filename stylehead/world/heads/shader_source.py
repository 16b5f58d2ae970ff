"""Puts shader programs together from the files in `shaders/`, and packs the numbers that they read.

A program is one material in one style. `#include "file"` is resolved here; the names MATERIAL and STYLE in an
include stand for the chosen ones.
"""

import functools
import re
from collections.abc import Mapping
from importlib import resources

import numpy as np

_INCLUDE = re.compile(r'^#include "(.+)"$', re.MULTILINE)
_BLOCK = re.compile(r"uniform (\w+) \{(.*?)\}", re.DOTALL)
_FIELD = re.compile(r"^\s*(float|vec3|mat4) (\w+);", re.MULTILINE)

# Size and alignment in floats, by the rules of std140.
_TYPES = {"float": (1, 1), "vec3": (3, 4), "mat4": (16, 4)}


def vertex_shader() -> str:
    """Source of the vertex shader, the same for all programs."""
    return _complete("head.vert.glsl", ())


def fragment_shader(material: str, style: str) -> str:
    """Source of the fragment shader of a material in a style."""
    source = _complete("head.frag.glsl", (("MATERIAL", material), ("STYLE", style)))
    return source.replace("\n", f"\n#define MATERIAL_{material.upper()}\n", 1)


def _complete(name: str, chosen: tuple[tuple[str, str], ...]) -> str:
    return "#version 330\n" + _included(name, chosen)


def _included(name: str, chosen: tuple[tuple[str, str], ...]) -> str:
    def include(match: re.Match[str]) -> str:
        file = match[1]
        for placeholder, choice in chosen:
            file = file.replace(placeholder, choice)
        return _included(file, chosen)

    return _INCLUDE.sub(include, _file(name))


@functools.cache
def _file(name: str) -> str:
    return (resources.files("stylehead.world.heads") / "shaders" / name).read_text(encoding="utf-8")


class UniformBlock:
    """Layout of a uniform block, as `interface.glsl` declares it.

    Args:
        name: Of the block.
    """

    def __init__(self, name: str) -> None:
        body = dict(_BLOCK.findall(_file("interface.glsl")))[name]
        self._offsets: dict[str, tuple[int, int]] = {}
        end = 0
        for kind, field in _FIELD.findall(body):
            size, alignment = _TYPES[kind]
            start = -(-end // alignment) * alignment
            self._offsets[field] = (start, size)
            end = start + size
        self.size = 4 * (-(-end // 4) * 4)

    @property
    def fields(self) -> tuple[str, ...]:
        """Names in the order of the declaration."""
        return tuple(self._offsets)

    def pack(self, values: Mapping[str, float | np.ndarray]) -> bytes:
        """Lay out one value for every field; matrices are given in the usual order [4, 4].

        Raises:
            KeyError: A field has no value.
        """
        data = np.zeros(self.size // 4, np.float32)
        for field, (start, size) in self._offsets.items():
            value = np.asarray(values[field], np.float32)
            data[start : start + size] = value.T.reshape(-1)  # GLSL stores matrices column by column
        return data.tobytes()
