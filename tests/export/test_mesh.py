"""Meshes are closed, look outwards, stand upright, and open in another program."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from stylehead.errors import JobError, MissingError, UsageError
from stylehead.export.mesh import Mesh, extract_mesh, surface, vertex_normals
from stylehead.export.mesh_files import save_mesh, srgb_to_linear
from stylehead.export.recipe import read_recipe
from stylehead.generator import GeneratorConfig, PanoHead, TriGrid
from stylehead.generator.field import HeadField
from stylehead.geometry import camera_from_angles

RECIPE = {"prompt": "statue", "seed": 7}


CENTRE = (0.1, -0.05, 0.15)


def ball(*, centre: tuple[float, float, float] = CENTRE, radius: float = 0.25) -> np.ndarray:
    """Density that passes 10 on a sphere, in a box of edge 1."""
    axis = np.linspace(-0.5, 0.5, 48)
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    distance = np.sqrt((x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2)
    return np.float32(10 + 100 * (radius - distance))


@pytest.fixture
def mesh() -> Mesh:
    vertices, faces = surface(ball(), level=10, box=1)
    colours = np.uint8(np.clip((vertices + 0.5) * 255, 0, 255))
    return Mesh(vertices, faces, vertex_normals(vertices, faces), colours)


def reference(mesh: Mesh) -> trimesh.Trimesh:
    return trimesh.Trimesh(mesh.vertices, mesh.faces, process=True)


def test_a_ball_comes_out_as_a_ball(mesh: Mesh) -> None:
    solid = reference(mesh)
    assert solid.is_watertight
    assert solid.is_winding_consistent
    assert solid.volume == pytest.approx(4 / 3 * np.pi * 0.25**3, rel=0.02)  # positive: it looks outwards
    assert np.allclose(solid.center_mass, CENTRE, atol=2e-3)  # axes are not swapped


def test_normals_point_away_from_the_centre(mesh: Mesh) -> None:
    outwards = mesh.vertices - np.array(CENTRE)
    outwards /= np.linalg.norm(outwards, axis=1, keepdims=True)
    assert (np.einsum("ij,ij->i", outwards, mesh.normals) > 0.98).all()


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


@pytest.mark.parametrize("suffix", [".glb", ".ply", ".obj"])
def test_another_program_reads_the_same_mesh(tmp_path: Path, mesh: Mesh, suffix: str) -> None:
    path = tmp_path / f"head{suffix}"
    save_mesh(path, mesh, RECIPE)
    again = trimesh.load(path, process=False, force="mesh")
    assert np.allclose(again.vertices, mesh.vertices, atol=1e-5)
    assert np.array_equal(again.faces, mesh.faces)
    if suffix == ".glb":
        (head,) = trimesh.load_scene(path, process=False).geometry.values()
        linear = np.asarray(head.visual.vertex_attributes["color"])[:, :3] / 65535
        assert np.allclose(linear, srgb_to_linear(mesh.colours), atol=1e-4)
    else:
        assert np.array_equal(again.visual.vertex_colors[:, :3], mesh.colours)
    recipe = read_recipe(path)
    assert (recipe["prompt"], recipe["seed"]) == ("statue", 7)


def test_the_glb_is_well_formed(tmp_path: Path, mesh: Mesh) -> None:
    save_mesh(tmp_path / "x.glb", mesh, RECIPE)
    data = (tmp_path / "x.glb").read_bytes()
    assert data[:4] == b"glTF"
    assert int.from_bytes(data[8:12], "little") == len(data)
    length = int.from_bytes(data[12:16], "little")
    assert length % 4 == 0
    document = json.loads(data[20 : 20 + length])
    binary = data[28 + length :]
    assert document["buffers"][0]["byteLength"] <= len(binary)
    for view in document["bufferViews"]:
        assert view["byteOffset"] % 4 == 0
        assert view["byteOffset"] + view["byteLength"] <= len(binary)
    assert document["accessors"][0]["min"] == mesh.vertices.min(0).tolist()


def test_srgb_curve_has_its_known_points() -> None:
    linear = srgb_to_linear(np.array([0, 128, 255], np.uint8))
    assert linear.tolist() == pytest.approx([0.0, 0.2158605, 1.0], abs=1e-6)


def test_other_suffixes_are_refused_before_anything_is_written(tmp_path: Path, mesh: Mesh) -> None:
    with pytest.raises(UsageError, match=r"must end in \.glb, \.ply, \.obj"):
        save_mesh(tmp_path / "x.fbx", mesh, RECIPE)
    assert list(tmp_path.iterdir()) == []


def test_a_generator_gives_a_closed_coloured_mesh_inside_the_crop() -> None:
    torch.manual_seed(0)
    generator = PanoHead(GeneratorConfig.tiny()).eval()
    ws = generator.mapping(torch.randn(1, 32), torch.zeros(1, 25))
    grid = generator.prepare(generator.planes(ws))
    points = torch.rand(1, 4000, 3) * 0.8 - 0.4
    level = float(generator.sample_points(grid, points).density.detach().quantile(0.7))
    mesh = extract_mesh(generator, ws, resolution=40, level=level)
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces)
    assert solid.is_watertight
    assert solid.volume > 0
    assert np.abs(mesh.vertices[:, [0, 2]]).max() < 0.43
    # The colours are those of the raw render's colour layer at the vertices.
    sample = generator.sample_points(grid, torch.from_numpy(mesh.vertices[:50])[None])
    raw = generator.torgb(sample.features.transpose(1, 2)[..., None], ws[:, -1])[0, :, :, 0].T
    expected = ((raw.clamp(-1, 1) + 1) / 2 * 255).round()
    assert np.abs(mesh.colours[:50].astype(int) - expected.detach().numpy()).max() <= 1


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
    mesh = extract_mesh(generator, ws, resolution=64)
    radius = np.linalg.norm(mesh.vertices, axis=1)
    middle = camera_from_angles(0.0)
    with torch.no_grad():
        depth = generator.render_raw(generator.planes(ws), ws, middle).depth[0, 0, 8, 8]
    assert radius.mean() == pytest.approx(2.7 - float(depth), abs=0.035)


def test_a_head_of_fog_has_no_surface() -> None:
    generator = Ball(GeneratorConfig.tiny()).eval()
    generator.steepness, generator.most = 0.0, -3.0
    with pytest.raises(JobError, match="not solid anywhere"):
        extract_mesh(generator, torch.zeros(1, generator.num_ws, 32), resolution=32)


def test_a_missing_package_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    from stylehead.export.mesh import require_mesh_tools

    monkeypatch.setitem(__import__("sys").modules, "skimage.measure", None)
    with pytest.raises(MissingError, match="scikit-image") as caught:
        require_mesh_tools()
    assert caught.value.hint == 'pip install "stylehead[mesh]"'
