"""Mesh files that open elsewhere, by trimesh: GLB and OBJ with the texture, PLY with colours, STL bare.

All but STL, whose format has no room for it, carry the recipe.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from stylehead import __version__
from stylehead.errors import UsageError
from stylehead.export.mesh import Mesh
from stylehead.export.recipe import MESHES, Recipe, recipe_text
from stylehead.folders import together

AXES = "y is up, the face looks along +z"
_UNLIT = "KHR_materials_unlit"


def save_mesh(path: Path, mesh: Mesh, recipe: Recipe) -> None:
    """Write a mesh, all of its files or none; the suffix decides the format.

    Raises:
        UsageError: The suffix is none of .glb, .ply, .obj, .stl.
        OSError: As the file system says; an earlier mesh of that name is then whole.
    """
    check_mesh_path(path)
    writers = {".glb": _glb, ".ply": _ply, ".obj": _obj, ".stl": _stl}
    files = writers[path.suffix.lower()](path, mesh, recipe)
    with together(path) as part:
        for name, data in files.items():
            (part / name).write_bytes(data)


def mesh_outputs(path: Path) -> tuple[Path, ...]:
    """Return all files that `save_mesh` writes for a path."""
    if path.suffix.lower() != ".obj":
        return (path,)
    return path, path.with_name(f"{_stem(path)}.mtl"), path.with_name(f"{_stem(path)}.png")


def check_mesh_path(path: Path) -> None:
    """Raise UsageError unless the suffix names a mesh format."""
    if path.suffix.lower() not in MESHES:
        raise UsageError(f"`--mesh` (={path}) must end in {', '.join(MESHES)}.")


def _stem(path: Path) -> str:
    """Name of the files beside an OBJ; its format can not refer to names with spaces."""
    return "_".join(path.stem.split())


def _textured(mesh: Mesh, material: Any) -> Any:
    """The surface, cut open, as trimesh takes it: v up."""
    import trimesh

    uv = mesh.atlas.uv.copy()
    uv[:, 1] = 1 - uv[:, 1]
    return trimesh.Trimesh(
        mesh.surface.vertices[mesh.atlas.source],
        mesh.atlas.faces,
        vertex_normals=mesh.surface.normals[mesh.atlas.source],
        visual=trimesh.visual.TextureVisuals(uv=uv, material=material),
        process=False,
    )


def _glb(path: Path, mesh: Mesh, recipe: Recipe) -> Mapping[str, bytes]:
    import trimesh
    from trimesh.exchange.gltf import export_glb

    def finish(tree: dict[str, Any]) -> None:
        # The colours are those of finished renders, with their light: a viewer must not light them again.
        tree["materials"][0].setdefault("extensions", {})[_UNLIT] = {}
        tree["extensionsUsed"] = [*tree.get("extensionsUsed", []), _UNLIT]
        tree["asset"]["generator"] = f"stylehead {__version__}"
        tree["asset"]["extras"] = json.loads(recipe_text(recipe))

    material = trimesh.visual.material.PBRMaterial(
        name="head", baseColorTexture=Image.fromarray(mesh.texture), metallicFactor=0.0, roughnessFactor=1.0
    )
    scene = trimesh.Scene({"head": _textured(mesh, material)})
    return {path.name: export_glb(scene, include_normals=True, tree_postprocessor=finish)}


def _obj(path: Path, mesh: Mesh, recipe: Recipe) -> Mapping[str, bytes]:
    import trimesh
    from trimesh.exchange.obj import export_obj

    white, black = [255, 255, 255, 255], [0, 0, 0, 255]
    material = trimesh.visual.material.SimpleMaterial(
        image=Image.fromarray(mesh.texture), diffuse=white, ambient=white, specular=black
    )
    material.name = stem = _stem(path)
    text, beside = export_obj(
        _textured(mesh, material),
        include_normals=True,
        return_texture=True,
        mtl_name=f"{stem}.mtl",
        header=recipe_text(recipe),
        digits=6,
    )
    return {path.name: f"{text.rstrip()}\n".encode(), **beside}


def _ply(path: Path, mesh: Mesh, recipe: Recipe) -> Mapping[str, bytes]:
    import trimesh
    from trimesh.exchange.ply import export_ply

    closed = trimesh.Trimesh(
        mesh.surface.vertices,
        mesh.surface.faces,
        vertex_normals=mesh.surface.normals,
        vertex_colors=mesh.colours,
        process=False,
    )
    first, second, rest = export_ply(closed, vertex_normal=True).split(b"\n", 2)
    comments = [f"comment {text}".encode() for text in (recipe_text(recipe), AXES)]
    return {path.name: b"\n".join([first, second, *comments, rest])}


def _stl(path: Path, mesh: Mesh, _recipe: Recipe) -> Mapping[str, bytes]:
    import trimesh
    from trimesh.exchange.stl import export_stl

    return {path.name: export_stl(trimesh.Trimesh(mesh.surface.vertices, mesh.surface.faces, process=False))}
