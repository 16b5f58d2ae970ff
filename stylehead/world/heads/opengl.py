"""Draws heads with OpenGL, without a display: moderngl on EGL, for which Mesa's software will do."""

from typing import Any, NamedTuple

import moderngl
import numpy as np

from stylehead.errors import MissingError
from stylehead.world.heads.haircuts import HAIRCUTS
from stylehead.world.heads.head import Head
from stylehead.world.heads.identity import Identity
from stylehead.world.heads.shader_source import UniformBlock, fragment_shader, vertex_shader
from stylehead.world.heads.styles import STYLE_SHAPES, StyleName
from stylehead.world.heads.traits import SHIRTS
from stylehead.world.heads.triangles import MeshPart

_VERTEX_FORMAT = "3f 3f 3f 4f 4f"
_VERTEX_FIELDS = tuple(
    f"vertex_{name}" for name in ("position", "normal", "canonical", "detail_a", "detail_b")
)
_CAMERA_BINDING, _HEAD_BINDING = 0, 1
_NEARER, _FARTHER = 1.5, 1.9  # world units before and behind the world's origin that are drawn

# Materials of which one side is drawn only; all others are drawn from both.
_ONE_SIDED = {"eye": "back", "beard": "back", "skin": "back", "skin_inside": "front"}


# Fields of the block `Head` that are attributes of an identity.
_IDENTITY_FIELDS = (
    "hair_colour", "grey", "eye_colour", "shirt_colour", "melanin", "haemoglobin", "freckles", "wrinkles",
    "lip_colour", "makeup", "brow_thickness", "brow_arch", "light",
)  # fmt: skip


class View(NamedTuple):
    """One picture: image uint8 [R, R, 3] on white, mask uint8 [R, R], depth float16 [R, R] (0 outside)."""

    image: np.ndarray
    mask: np.ndarray
    depth: np.ndarray


class _Drawable(NamedTuple):
    array: moderngl.VertexArray
    culled: str | None


class Rasteriser:
    """An OpenGL context and a canvas; to be used in the thread that made it.

    Args:
        resolution: Edge of the pictures, pixels.
        supersample: Samples along the edge of a pixel.

    Raises:
        MissingError: No OpenGL 3.3 driver with EGL was found.
    """

    def __init__(self, resolution: int, supersample: int) -> None:
        self.resolution, self.supersample = resolution, supersample
        self._context = _open_context()
        size = (resolution * supersample,) * 2
        self._colour = self._context.texture(size, 4)
        self._depth = self._context.texture(size, 1, dtype="f4")
        self._canvas = self._context.framebuffer(
            [self._colour, self._depth], self._context.depth_renderbuffer(size)
        )
        self._context.enable(moderngl.DEPTH_TEST)
        self._camera_block, self._head_block = UniformBlock("Camera"), UniformBlock("Head")
        self._camera_buffer = self._context.buffer(reserve=self._camera_block.size)
        self._head_buffer = self._context.buffer(reserve=self._head_block.size)
        self._programs: dict[tuple[str, str], moderngl.Program] = {}
        self._drawables: list[_Drawable] = []
        self._buffers: list[moderngl.Buffer] = []
        self._released = False

    def release(self) -> None:
        """Give the context back; the rasterizer cannot be used any more. Calling it again does nothing."""
        if self._released:
            return
        self._released = True
        with self._context:
            self._unload()
        self._context.release()

    def load(self, head: Head, identity: Identity, style: StyleName, *, shading: str | None = None) -> None:
        """Hand a head over to the graphics card, in place of the one before.

        Args:
            head: Built in the style.
            identity: Who it is.
            style: How it looks.
            shading: Another file in `shaders/styles/` to colour it by.
        """
        with self._context:  # another rasterizer may have been used since
            self._unload()
            self._head_buffer.write(self._head_block.pack(_head_values(head, identity, style)))
            for part in head.parts:
                materials = ("skin", "skin_inside") if part.material == "skin" else (part.material,)
                self._load_part(part, materials, shading or style)

    def draw(self, camera_label: np.ndarray) -> View:
        """Draw the head that is loaded.

        Args:
            camera_label: Camera [25]: OpenCV cam2world and normalised intrinsics.
        """
        with self._context:
            self._camera_buffer.write(self._camera_block.pack(_camera_values(camera_label)))
            self._draw_parts()
            return self._read()

    def _draw_parts(self) -> None:
        self._camera_buffer.bind_to_uniform_block(_CAMERA_BINDING)
        self._head_buffer.bind_to_uniform_block(_HEAD_BINDING)
        self._canvas.use()
        self._canvas.clear(0, 0, 0, 0)
        for array, culled in self._drawables:
            if culled:
                self._context.enable(moderngl.CULL_FACE)
                self._context.cull_face = culled
            else:
                self._context.disable(moderngl.CULL_FACE)
            array.render()

    def _load_part(self, part: MeshPart, materials: tuple[str, ...], shading: str) -> None:
        vertices = self._context.buffer(part.vertices)
        triangles = self._context.buffer(part.triangles)
        self._buffers += [vertices, triangles]
        for material in materials:
            program = self._program(material, shading)
            array = self._context.vertex_array(
                program, [(vertices, _VERTEX_FORMAT, *_VERTEX_FIELDS)], triangles, skip_errors=True
            )
            self._drawables.append(_Drawable(array, _ONE_SIDED.get(material)))

    def _program(self, material: str, shading: str) -> moderngl.Program:
        """The compiled program, kept for next time."""
        key = (material, shading)
        if key not in self._programs:
            program = self._context.program(
                vertex_shader=vertex_shader(), fragment_shader=fragment_shader(material, shading)
            )
            for name, binding in (("Camera", _CAMERA_BINDING), ("Head", _HEAD_BINDING)):
                block = program[name]
                assert isinstance(block, moderngl.UniformBlock)
                block.binding = binding
            self._programs[key] = program
        return self._programs[key]

    def _unload(self) -> None:
        for drawable in self._drawables:
            drawable.array.release()
        for buffer in self._buffers:
            buffer.release()
        self._drawables, self._buffers = [], []

    def _read(self) -> View:
        """Average the samples of each pixel: colours over white, depths over the covered samples."""
        edge = self.resolution * self.supersample
        samples = np.frombuffer(self._colour.read(), np.uint8).reshape(edge, edge, 4)[::-1]
        depths = np.frombuffer(self._depth.read(), np.float32).reshape(edge, edge)[::-1]
        covered = self._pixel_sums((samples[..., 3] > 0).view(np.uint8), np.uint32)
        colours = self._pixel_sums(samples, np.uint32)[..., :3]
        count = self.supersample**2
        image = (colours + (count - covered)[..., None] * 255 + count // 2) // count
        mask = (covered * 255 + count // 2) // count
        depth = self._pixel_sums(depths, np.float32) / np.maximum(covered, 1)
        return View(image.astype(np.uint8), mask.astype(np.uint8), depth.astype(np.float16))

    def _pixel_sums(self, samples: np.ndarray, dtype: type[np.generic]) -> np.ndarray:
        """Sums [R, R, ...] over the samples of each pixel."""
        step = self.supersample
        sums = np.zeros((self.resolution, self.resolution, *samples.shape[2:]), dtype)
        for row, column in np.ndindex(step, step):
            sums += samples[row::step, column::step]
        return sums


def _open_context() -> moderngl.Context:
    try:
        create: Any = moderngl.create_context  # its annotation of `backend` is wrong
        return create(standalone=True, backend="egl")
    except Exception as error:  # moderngl raises bare Exception
        hint = "install Mesa's EGL (on Debian and Ubuntu: apt install libegl1 libgl1-mesa-dri)"
        raise MissingError(f"Drawing heads needs OpenGL through EGL: {error}.", hint) from error


def _head_values(head: Head, identity: Identity, style: StyleName) -> dict[str, float | np.ndarray]:
    """The block `Head` of `interface.glsl`."""
    cut = HAIRCUTS.get(identity.hair)
    scalp_hair = {"bald": 0.0, "buzz": 1.0}.get(identity.hair, 2.0)
    return {name: getattr(identity, name) for name in _IDENTITY_FIELDS} | {
        "centre": head.centre,
        "scale": head.scale,
        "eye_radius": head.eye_radius,
        "shirt": float(SHIRTS.index(identity.shirt)),
        "shaved_beard": float(identity.beard in ("none", "stubble")),
        "scalp_hair": 2.0 if STYLE_SHAPES[style].furry else scalp_hair,
        "strand_wave": cut.strand_wave if cut else 0.25,
        "curl": cut.curl if cut else 0.0,
        "dark_frame": float(identity.glasses != "thin"),
    }


def _camera_values(camera_label: np.ndarray) -> dict[str, np.ndarray]:
    """The block `Camera`: OpenGL's matrices for a camera that looks along +z with y down."""
    cam2world = camera_label[:16].reshape(4, 4).astype(np.float64)
    intrinsics = camera_label[16:].reshape(3, 3).astype(np.float64)
    view = np.linalg.inv(cam2world @ np.diag([1.0, -1, -1, 1]))
    distance = float(np.linalg.norm(cam2world[:3, 3]))
    near, far = max(0.05, distance - _NEARER), distance + _FARTHER
    projection = np.zeros((4, 4))
    projection[0, 0], projection[0, 2] = 2 * intrinsics[0, 0], 1 - 2 * intrinsics[0, 2]
    projection[1, 1], projection[1, 2] = 2 * intrinsics[1, 1], 2 * intrinsics[1, 2] - 1
    projection[2, 2:] = (far + near) / (near - far), 2 * far * near / (near - far)
    projection[3, 2] = -1
    return {"view": view, "view_projection": projection @ view, "position": cam2world[:3, 3]}
