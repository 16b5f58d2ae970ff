"""Meshes are closed, look outwards, stand upright, keep their colours, and open in another program."""

import dataclasses
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from mesh_viewer import drawn_unlit

from stylehead.errors import JobError, MissingError, UsageError
from stylehead.export.mesh import PAINTED_VIEWS, Mesh, extract_mesh, require_mesh_tools
from stylehead.export.mesh_files import AXES, mesh_outputs, save_mesh
from stylehead.export.recipe import read_recipe
from stylehead.export.surface import (
    ClosedSurface,
    extract_surface,
    is_closed,
    simplified,
    surface,
    vertex_normals,
)
from stylehead.export.unwrap import unwrap
from stylehead.export.views import latent_from_seed
from stylehead.generator import GeneratorConfig, PanoHead, TriGrid
from stylehead.generator.field import HeadField
from stylehead.geometry import camera_from_angles
from stylehead.images import psnr, to_01
from stylehead.weights.presets import MINI_WEIGHTS

RECIPE = {"prompt": "statue", "seed": 7}


CENTRE = (0.1, -0.05, 0.15)


def ball(*, centre: tuple[float, float, float] = CENTRE, radius: float = 0.25) -> np.ndarray:
    """Density that passes 10 on a sphere, in a box of edge 1."""
    axis = np.linspace(-0.5, 0.5, 48)
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    distance = np.sqrt((x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2)
    return np.float32(10 + 100 * (radius - distance))


def colours_at(points: np.ndarray) -> np.ndarray:
    """A colour for every place of the box."""
    return np.uint8(np.clip((points + 0.5) * 255, 0, 255))


@pytest.fixture(scope="module")
def closed() -> ClosedSurface:
    vertices, faces = surface(ball(), level=10, box=1)
    return ClosedSurface(vertices, faces, vertex_normals(vertices, faces))


@pytest.fixture(scope="module")
def mesh(closed: ClosedSurface) -> Mesh:
    atlas = unwrap(closed.vertices, closed.faces, size=64)
    texture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    return Mesh(closed, colours_at(closed.vertices), atlas, texture)


def test_a_ball_comes_out_as_a_ball(closed: ClosedSurface) -> None:
    solid = trimesh.Trimesh(closed.vertices, closed.faces, process=True)
    assert solid.is_watertight
    assert solid.is_winding_consistent
    assert solid.volume == pytest.approx(4 / 3 * np.pi * 0.25**3, rel=0.02)  # positive: it looks outwards
    assert np.allclose(solid.center_mass, CENTRE, atol=2e-3)  # axes are not swapped


def test_normals_point_away_from_the_centre(closed: ClosedSurface) -> None:
    outwards = closed.vertices - np.array(CENTRE)
    outwards /= np.linalg.norm(outwards, axis=1, keepdims=True)
    assert (np.einsum("ij,ij->i", outwards, closed.normals) > 0.98).all()


def test_floating_crumbs_are_left_out() -> None:
    density = np.maximum(ball(radius=0.2), ball(centre=(-0.38, -0.38, -0.38), radius=0.05))
    vertices, faces = surface(density, level=10, box=1)
    assert trimesh.Trimesh(vertices, faces).body_count == 1
    assert vertices.min() > -0.3


def test_what_leaves_the_box_is_closed_with_a_cut() -> None:
    vertices, faces = surface(ball(centre=(0, -0.5, 0), radius=0.3), level=10, box=1)
    solid = trimesh.Trimesh(vertices, faces)
    assert solid.is_watertight
    assert solid.volume > 0


def test_no_surface_is_an_error_that_names_the_flag() -> None:
    with pytest.raises(JobError, match="no surface at density 99") as caught:
        surface(ball(), level=99, box=1)
    assert "--mesh-level" in str(caught.value.hint)


def test_fewer_triangles_are_still_that_ball() -> None:
    vertices, faces = surface(ball(), level=10, box=1)
    assert len(faces) > 5000
    fewer = trimesh.Trimesh(*simplified(vertices, faces, 800), process=False)
    assert len(fewer.faces) <= 800
    assert fewer.is_watertight
    assert fewer.is_winding_consistent
    assert fewer.volume == pytest.approx(4 / 3 * np.pi * 0.25**3, rel=0.03)


def test_what_is_pinched_is_not_closed() -> None:
    tetrahedron = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]], np.uint32)
    assert is_closed(tetrahedron)
    assert not is_closed(tetrahedron[:3])
    twins = np.concatenate([tetrahedron, np.array([[0, 1, 4], [0, 4, 5], [0, 5, 1], [1, 5, 4]], np.uint32)])
    assert not is_closed(twins)  # four triangles meet in the edge from 0 to 1


# ------------------------------------------------------------------------------------------------------ files


@pytest.mark.parametrize("suffix", [".glb", ".obj"])
def test_another_program_reads_the_same_textured_mesh(tmp_path: Path, mesh: Mesh, suffix: str) -> None:
    path = tmp_path / f"head{suffix}"
    save_mesh(path, mesh, RECIPE)
    (again,) = trimesh.load_scene(path, process=False).geometry.values()
    source = mesh.atlas.source
    assert np.allclose(again.vertices, mesh.surface.vertices[source], atol=1e-5)
    assert np.allclose(again.vertex_normals, mesh.surface.normals[source], atol=1e-4)
    assert np.array_equal(again.faces, mesh.atlas.faces)
    assert np.allclose(again.visual.uv * [1, -1] + [0, 1], mesh.atlas.uv, atol=1e-5)
    image = again.visual.material.to_simple() if suffix == ".glb" else again.visual.material
    assert np.array_equal(np.asarray(image.image.convert("RGB")), mesh.texture)
    assert len(np.unique(again.visual.to_color().vertex_colors, axis=0)) > 100  # coloured, not grey
    recipe = read_recipe(path)
    assert (recipe["prompt"], recipe["seed"]) == ("statue", 7)


def test_a_ply_is_closed_and_coloured_and_says_which_way_is_up(tmp_path: Path, mesh: Mesh) -> None:
    path = tmp_path / "head.ply"
    save_mesh(path, mesh, RECIPE)
    again = trimesh.load(path, process=False)
    assert again.is_watertight
    assert np.allclose(again.vertices, mesh.surface.vertices, atol=1e-6)
    assert np.allclose(again.vertex_normals, mesh.surface.normals, atol=1e-5)
    assert np.array_equal(again.faces, mesh.surface.faces)
    assert np.array_equal(again.visual.vertex_colors[:, :3], mesh.colours)
    assert f"comment {AXES}".encode() in path.read_bytes()
    assert read_recipe(path)["seed"] == 7


def test_an_stl_is_the_closed_surface_and_says_that_it_carries_no_recipe(tmp_path: Path, mesh: Mesh) -> None:
    path = tmp_path / "head.stl"
    save_mesh(path, mesh, RECIPE)
    again = trimesh.load(path)  # merges corners, which the format repeats
    assert again.is_watertight
    assert again.volume == pytest.approx(4 / 3 * np.pi * 0.25**3, rel=0.02)
    with pytest.raises(JobError, match="carries no recipe"):
        read_recipe(path)


def test_an_obj_with_a_space_in_its_name_finds_its_texture(tmp_path: Path, mesh: Mesh) -> None:
    path = tmp_path / "my head.obj"
    save_mesh(path, mesh, RECIPE)
    assert {item.name for item in tmp_path.iterdir()} == {"my head.obj", "my_head.mtl", "my_head.png"}
    assert set(mesh_outputs(path)) == set(tmp_path.iterdir())
    again = trimesh.load(path, process=False, force="mesh")
    assert np.array_equal(np.asarray(again.visual.material.image.convert("RGB")), mesh.texture)


def test_a_glb_is_not_lit_again(tmp_path: Path, mesh: Mesh) -> None:
    save_mesh(tmp_path / "x.glb", mesh, RECIPE)
    data = (tmp_path / "x.glb").read_bytes()
    document = json.loads(data[20 : 20 + int.from_bytes(data[12:16], "little")])
    assert document["extensionsUsed"] == ["KHR_materials_unlit"]
    assert "KHR_materials_unlit" in document["materials"][0]["extensions"]
    assert set(document["meshes"][0]["primitives"][0]["attributes"]) == {"POSITION", "NORMAL", "TEXCOORD_0"}


@pytest.mark.parametrize("suffix", [".glb", ".obj", ".ply", ".stl"])
def test_equal_meshes_give_equal_bytes(tmp_path: Path, mesh: Mesh, suffix: str) -> None:
    paths = [tmp_path / name / f"head{suffix}" for name in ("one", "two")]
    for path in paths:
        path.parent.mkdir()
        save_mesh(path, mesh, RECIPE)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_other_suffixes_are_refused_before_anything_is_written(tmp_path: Path, mesh: Mesh) -> None:
    with pytest.raises(UsageError, match=r"must end in \.glb, \.ply, \.obj, \.stl"):
        save_mesh(tmp_path / "x.fbx", mesh, RECIPE)
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------------------------ generators


def test_a_generator_gives_a_closed_coloured_mesh_inside_the_crop() -> None:
    torch.manual_seed(0)
    generator = PanoHead(GeneratorConfig.tiny()).eval()
    ws = generator.mapping(torch.randn(1, 32), torch.zeros(1, 25)).detach()
    grid = generator.prepare(generator.planes(ws))
    points = torch.rand(1, 4000, 3) * 0.8 - 0.4
    level = float(generator.sample_points(grid, points).density.detach().quantile(0.7))
    counts: list[int] = []
    mesh = extract_mesh(generator, ws, resolution=40, level=level, triangles=900, done=counts.append)
    solid = trimesh.Trimesh(mesh.surface.vertices, mesh.surface.faces, process=False)
    assert solid.is_watertight
    assert solid.volume > 0
    assert len(solid.faces) <= 900
    assert np.abs(mesh.surface.vertices[:, [0, 2]]).max() < 0.43
    assert mesh.colours.shape == mesh.surface.vertices.shape
    assert counts == sorted(counts)
    assert counts[-1] == PAINTED_VIEWS


@dataclasses.dataclass(frozen=True, eq=False)
class BallField(HeadField):
    """A ball, solid inside."""

    steepness: float = 400.0
    most: float = 1000.0

    def _of(self, points: torch.Tensor, owners: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        density = 10 + self.steepness * (0.25 - points.norm(dim=-1))
        return density.clamp(-20, self.most), torch.zeros(*points.shape[:-1], 32)


class Ball(PanoHead):
    """A generator whose density is a ball."""

    steepness = 400.0
    most = 1000.0

    def _field(self, grid: TriGrid, *_: object) -> HeadField:
        return BallField(grid, self.decoder, 1.0, steepness=self.steepness, most=self.most)


@pytest.mark.parametrize(("steepness", "most"), [(400.0, 1000.0), (4000.0, 40.0)])
def test_the_surface_lies_where_renders_see_it(steepness: float, most: float) -> None:
    tiny = GeneratorConfig.tiny()
    rendering = dataclasses.replace(tiny.rendering, depth_resolution=200, depth_resolution_importance=0)
    generator = Ball(dataclasses.replace(tiny, rendering=rendering)).eval()
    generator.steepness, generator.most = steepness, most
    ws = torch.zeros(1, generator.num_ws, tiny.w_dim)
    found = extract_surface(generator, ws, resolution=64)
    radius = np.linalg.norm(found.vertices, axis=1)
    middle = camera_from_angles(0.0)
    with torch.no_grad():
        depth = generator.render_raw(generator.planes(ws), ws, middle).depth[0, 0, 8, 8]
    assert radius.mean() == pytest.approx(2.7 - float(depth), abs=0.035)


def test_a_head_of_fog_has_no_surface() -> None:
    generator = Ball(GeneratorConfig.tiny()).eval()
    generator.steepness, generator.most = 0.0, -3.0
    with pytest.raises(JobError, match="not solid anywhere"):
        extract_surface(generator, torch.zeros(1, generator.num_ws, 32), resolution=32)


@pytest.mark.parametrize(("module", "name"), [("skimage", "scikit-image"), ("xatlas", "xatlas")])
def test_a_missing_package_names_the_command(monkeypatch: pytest.MonkeyPatch, module: str, name: str) -> None:
    found = importlib.util.find_spec
    without = {module: None}
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: without[name] if name in without else found(name)
    )
    with pytest.raises(MissingError, match=f"Meshes need {name}") as caught:
        require_mesh_tools()
    assert caught.value.hint == 'pip install "stylehead[mesh]"'


# ----------------------------------------------------------------------------- drawn by another program, slow


@pytest.mark.slow
@pytest.mark.parametrize("seed", [42, 7])
def test_a_turntable_of_the_file_by_another_program_looks_like_our_renders(tmp_path: Path, seed: int) -> None:
    generator = PanoHead.load(MINI_WEIGHTS / "generator.safetensors").eval().requires_grad_(False)
    ws = latent_from_seed(generator, seed, psi=0.75)
    path = tmp_path / "head.glb"
    save_mesh(path, extract_mesh(generator, ws, resolution=160), RECIPE)
    labels = camera_from_angles(torch.deg2rad(torch.arange(0.0, 360.0, 30.0)))
    drawn = torch.from_numpy(drawn_unlit(path, labels, generator.config.img_resolution))
    with torch.no_grad():
        grid = generator.prepare(generator.planes(ws))
        ours = [generator.render(grid, ws, label[None], background="white").image for label in labels]
    sides = psnr(to_01(torch.cat(ours).clamp(-1, 1)), drawn)
    assert sides.min() > 19
    assert sides.mean() > 20
