"""Draws a GLB without any of the package's own drawing: read by trimesh, drawn by OpenGL."""

from pathlib import Path

import numpy as np
import pytest
import trimesh
from torch import Tensor

VERTEX = """#version 330
in vec3 place; in vec2 uv; out vec2 at; uniform mat4 matrix;
void main() { gl_Position = matrix * vec4(place, 1); at = uv; }"""
FRAGMENT = """#version 330
in vec2 at; out vec4 colour; uniform sampler2D picture;
void main() { colour = vec4(texture(picture, at).rgb, 1); }"""
NEAR, FAR, FINER = 0.5, 6.0, 2


def drawn_unlit(path: Path, labels: Tensor, size: int) -> np.ndarray:
    """Pictures [B, 3, size, size] in 0..1 of a textured mesh on white, from cameras [B, 25]."""
    moderngl = pytest.importorskip("moderngl")
    mesh = trimesh.load(path, force="mesh", process=False)
    picture = np.asarray(mesh.visual.material.baseColorTexture.convert("RGB"))[::-1]
    edge = size * FINER
    with moderngl.create_standalone_context(backend="egl") as context:
        target = context.framebuffer(
            [context.texture((edge, edge), 4)], context.depth_renderbuffer((edge, edge))
        )
        program = context.program(vertex_shader=VERTEX, fragment_shader=FRAGMENT)
        context.texture(picture.shape[1::-1], 3, picture.tobytes()).use()
        corners = np.concatenate([mesh.vertices, mesh.visual.uv], axis=1).astype("f4")
        content = [(context.buffer(corners.tobytes()), "3f 2f", "place", "uv")]
        array = context.vertex_array(program, content, context.buffer(mesh.faces.astype("i4").tobytes()))
        pictures = []
        for label in labels.double().numpy():
            program["matrix"].write(_matrix(label).T.astype("f4").tobytes())
            target.use()
            target.clear(1, 1, 1, 1)
            context.enable(moderngl.DEPTH_TEST)
            array.render()
            pixels = np.frombuffer(target.read(components=3), np.uint8).reshape(edge, edge, 3)[::-1]
            pictures.append(pixels.reshape(size, FINER, size, FINER, 3).mean(axis=(1, 3)) / 255)
    return np.float32(pictures).transpose(0, 3, 1, 2)


def _matrix(label: np.ndarray) -> np.ndarray:
    """World to clip space of a camera [25]: x right, y down, z forward becomes OpenGL's."""
    world2cam, lens = np.linalg.inv(label[:16].reshape(4, 4)), label[16:].reshape(3, 3)
    depth = (FAR + NEAR) / (FAR - NEAR), -2 * FAR * NEAR / (FAR - NEAR)
    projection = np.array(
        [
            [2 * lens[0, 0], 0, 2 * lens[0, 2] - 1, 0],
            [0, -2 * lens[1, 1], 1 - 2 * lens[1, 2], 0],
            [0, 0, *depth],
            [0, 0, 1, 0],
        ]
    )
    return projection @ world2cam
