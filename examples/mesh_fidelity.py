"""How faithful are meshes? PSNR of a GLB, drawn by another program, to the renders that it was made from.

python examples/mesh_fidelity.py --style joker.safetensors --style pixar.safetensors --seeds 1 2

The file is read by trimesh and drawn unlit by OpenGL, and compared on white with the finished renders, from
the front, the sides and behind. Needs the extras `mesh` and `mini` (moderngl draws without a display).
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stylehead.export.frames import clean_white
from stylehead.export.mesh import extract_mesh
from stylehead.export.mesh_files import save_mesh
from stylehead.export.views import latent_from_seed
from stylehead.generator import PanoHead, load_style, remove_styles
from stylehead.geometry import camera_from_angles
from stylehead.images import psnr, resize, to_01
from stylehead.weights.presets import resolve_preset

SIDES = {"front": (-30.0, 0.0, 30.0), "sides": (-90.0, 90.0), "back": (150.0, 180.0, 210.0)}
VERTEX = """#version 330
in vec3 place; in vec2 uv; out vec2 at; uniform mat4 matrix;
void main() { gl_Position = matrix * vec4(place, 1); at = uv; }"""
FRAGMENT = """#version 330
in vec2 at; out vec4 colour; uniform sampler2D picture;
void main() { colour = vec4(texture(picture, at).rgb, 1); }"""
NEAR, FAR, FINER = 0.5, 6.0, 2


def fidelity(generator: PanoHead, ws: Tensor, triangles: int) -> dict[str, float]:
    """PSNR in dB of the mesh of a head [1, num_ws, w_dim] from the front, the sides and behind."""
    mesh = extract_mesh(generator, ws, triangles=triangles)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "head.glb"
        save_mesh(path, mesh, {"command": "example"})
        found = {}
        for name, yaws in SIDES.items():
            labels = camera_from_angles(torch.deg2rad(torch.tensor(yaws)))
            drawn = torch.from_numpy(drawn_unlit(path, labels, generator.config.img_resolution))
            found[name] = round(float(psnr(renders(generator, ws, labels), drawn).mean()), 2)
    return found


@torch.no_grad()
def renders(generator: PanoHead, ws: Tensor, labels: Tensor) -> Tensor:
    """Finished renders [B, 3, R, R] in 0..1, on clean white."""
    out = generator.synthesis(ws, labels, background="white")
    mask = resize(out.mask.clamp(0, 1), out.image.shape[-1])
    return to_01(clean_white(out.image.clamp(-1, 1), mask)[0])


def drawn_unlit(path: Path, labels: Tensor, size: int) -> np.ndarray:
    """Pictures [B, 3, size, size] in 0..1 of a textured mesh on white, from cameras [B, 25]."""
    import moderngl
    import trimesh

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


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print a line a style, or JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--style", type=Path, action="append", default=[], help="a style file; repeatable")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2], help="which heads")
    parser.add_argument("--triangles", type=int, default=40_000, help="most triangles of a mesh")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    generator = PanoHead.load(resolve_preset("auto").preset.require_generator()).requires_grad_(False)
    table = {}
    for path in (None, *options.style):
        remove_styles(generator)
        if path is not None:
            load_style(path).apply(generator)
        heads = [latent_from_seed(generator, seed, psi=0.75) for seed in options.seeds]
        found = [fidelity(generator, ws, options.triangles) for ws in heads]
        means = {side: round(sum(each[side] for each in found) / len(found), 2) for side in SIDES}
        table["untouched" if path is None else str(path)] = means
        if not options.json:
            words = ", ".join(f"{side} {value:.1f} dB" for side, value in means.items())
            print(f"{'untouched' if path is None else path}: {words}")
    if options.json:
        print(json.dumps(table))


if __name__ == "__main__":
    main()
