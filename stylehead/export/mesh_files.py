"""Mesh files that open elsewhere: GLB (binary glTF 2.0), PLY and OBJ, each with the recipe inside."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stylehead import __version__
from stylehead.errors import UsageError
from stylehead.export.mesh import Mesh
from stylehead.export.recipe import MESHES, Recipe, recipe_text
from stylehead.files import atomic_write

_FLOAT, _UINT16, _UINT32 = 5126, 5123, 5125  # glTF component types
_VERTICES, _INDICES = 34962, 34963  # glTF buffer targets


def save_mesh(path: Path, mesh: Mesh, recipe: Recipe) -> None:
    """Write a mesh, atomically; the suffix decides the format.

    Raises:
        UsageError: The suffix is none of .glb, .ply, .obj.
    """
    check_mesh_path(path)
    writers = {".glb": _glb, ".ply": _ply, ".obj": _obj}
    atomic_write(path, writers[path.suffix.lower()](mesh, recipe))


def check_mesh_path(path: Path) -> None:
    """Raise UsageError unless the suffix names a mesh format."""
    if path.suffix.lower() not in MESHES:
        raise UsageError(f"`--mesh` (={path}) must end in {', '.join(MESHES)}.")


def srgb_to_linear(colours: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Undo the sRGB curve: bytes to linear light in 0..1, which glTF wants at vertices."""
    encoded = colours / 255
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def _glb(mesh: Mesh, recipe: Recipe) -> bytes:
    linear = np.ones((len(mesh.vertices), 4))
    linear[:, :3] = srgb_to_linear(mesh.colours)
    parts = [
        (mesh.vertices.astype("<f4"), _FLOAT, "VEC3", _VERTICES),
        (mesh.normals.astype("<f4"), _FLOAT, "VEC3", _VERTICES),
        ((linear * 65535).round().astype("<u2"), _UINT16, "VEC4", _VERTICES),
        (mesh.faces.astype("<u4").ravel(), _UINT32, "SCALAR", _INDICES),
    ]
    views: list[dict[str, Any]] = []
    accessors: list[dict[str, Any]] = []
    binary = b""
    for index, (array, component, kind, target) in enumerate(parts):
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": array.nbytes, "target": target})
        accessors.append({"bufferView": index, "componentType": component, "count": len(array), "type": kind})
        binary += array.tobytes()
    accessors[0] |= {"min": mesh.vertices.min(0).tolist(), "max": mesh.vertices.max(0).tolist()}
    accessors[2]["normalized"] = True
    document = {
        "asset": {
            "version": "2.0",
            "generator": f"stylehead {__version__}",
            "extras": json.loads(recipe_text(recipe)),
        },
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "head"}],
        "meshes": [{"primitives": [_PRIMITIVE]}],
        "materials": [_SKIN],
        "buffers": [{"byteLength": len(binary)}],
        "bufferViews": views,
        "accessors": accessors,
    }
    return _glb_container(json.dumps(document, separators=(",", ":")).encode(), binary)


_PRIMITIVE = {"attributes": {"POSITION": 0, "NORMAL": 1, "COLOR_0": 2}, "indices": 3, "material": 0}
_SKIN = {"name": "skin", "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.9}}


def _glb_container(document: bytes, binary: bytes) -> bytes:
    document += b" " * (-len(document) % 4)
    binary += b"\0" * (-len(binary) % 4)
    chunks = _chunk(document, b"JSON") + _chunk(binary, b"BIN\0")
    return b"glTF" + _uint32(2) + _uint32(12 + len(chunks)) + chunks


def _chunk(data: bytes, kind: bytes) -> bytes:
    return _uint32(len(data)) + kind + data


def _uint32(number: int) -> bytes:
    return number.to_bytes(4, "little")


def _ply(mesh: Mesh, recipe: Recipe) -> bytes:
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"comment {recipe_text(recipe)}",
        f"element vertex {len(mesh.vertices)}",
        *(f"property float {name}" for name in ("x", "y", "z", "nx", "ny", "nz")),
        *(f"property uchar {name}" for name in ("red", "green", "blue")),
        f"element face {len(mesh.faces)}",
        "property list uchar uint vertex_indices",
        "end_header\n",
    ]
    vertex = np.zeros(len(mesh.vertices), dtype=[("p", "<f4", 3), ("n", "<f4", 3), ("c", "u1", 3)])
    vertex["p"], vertex["n"], vertex["c"] = mesh.vertices, mesh.normals, mesh.colours
    face = np.zeros(len(mesh.faces), dtype=[("count", "u1"), ("v", "<u4", 3)])
    face["count"], face["v"] = 3, mesh.faces
    return "\n".join(header).encode() + vertex.tobytes() + face.tobytes()


def _obj(mesh: Mesh, recipe: Recipe) -> bytes:
    lines = [f"# {recipe_text(recipe)}", "o head"]
    colours = mesh.colours / 255
    for (x, y, z), (red, green, blue) in zip(mesh.vertices, colours, strict=True):
        lines.append(f"v {x:.6f} {y:.6f} {z:.6f} {red:.4f} {green:.4f} {blue:.4f}")
    lines += [f"vn {x:.4f} {y:.4f} {z:.4f}" for x, y, z in mesh.normals]
    lines += [f"f {a}//{a} {b}//{b} {c}//{c}" for a, b, c in mesh.faces + 1]
    return ("\n".join(lines) + "\n").encode()
