"""Textures: what covers which pixel, charts without overlaps, and colours of the views that see a point."""

import itertools
import math

import numpy as np
import pytest
import torch
import trimesh
from torch import Tensor

from stylehead.export import rasterise as rasterise_module
from stylehead.export.bake import (
    PaintedView,
    Points,
    bake_texture,
    bleed,
    paint,
    surface_distance,
    texture_size,
)
from stylehead.export.rasterise import nearest_depth, rasterise
from stylehead.export.unwrap import smoothed, unwrap
from stylehead.generator import camera_rays
from stylehead.geometry import camera_from_angles, project_points

RADIUS = 0.25


# ------------------------------------------------------------------------------------------------ rasteriser


def slow_coverage(corners: np.ndarray, size: int) -> set[tuple[int, int]]:
    """(pixel, triangle) wherever a pixel's centre is on the inner side of all three edges."""
    found = set()
    for triangle, (a, b, c) in enumerate(corners):
        sides = ((a, b), (b, c), (c, a))
        for y, x in itertools.product(range(size), repeat=2):
            centre = np.array([x + 0.5, y + 0.5])
            turns = [np.cross(np.append(q - p, 0), np.append(centre - p, 0))[2] for p, q in sides]
            if all(turn > 0 for turn in turns) or all(turn < 0 for turn in turns):
                found.add((y * size + x, triangle))
    return found


@pytest.mark.parametrize("at_once", [7, 4_000_000])
def test_covered_pixels_are_those_of_a_slow_loop(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(rasterise_module, "_PIXELS_AT_ONCE", at_once)
    corners = np.random.default_rng(1).uniform(-3, 15, (12, 3, 2))
    parts = list(rasterise(corners, 12))
    found = {
        pair for part in parts for pair in zip(part.pixels.tolist(), part.triangles.tolist(), strict=True)
    }
    assert found == slow_coverage(corners, 12)
    for part in parts:
        centres = np.stack([part.pixels % 12 + 0.5, part.pixels // 12 + 0.5], axis=1)
        assert np.allclose((corners[part.triangles] * part.weights[..., None]).sum(axis=1), centres)


def test_triangles_of_no_area_and_outside_cover_nothing() -> None:
    flat = np.array([[[1, 1], [5, 5], [9, 9]], [[20, 20], [30, 20], [20, 30]]], float)
    assert sum(len(part.pixels) for part in rasterise(flat, 12)) == 0


def test_the_nearest_triangle_hides_the_other() -> None:
    square = np.array([[[0, 0], [8, 0], [0, 8]], [[8, 0], [8, 8], [0, 8]]], float)
    near = np.array([[[0, 0], [4, 0], [0, 4]]], float)
    depth = nearest_depth(
        np.concatenate([square, near]), np.array([[3.0] * 3, [3.0] * 3, [1.0, 2.0, 2.0]]), 10
    )
    assert depth[0, 0] == pytest.approx(1 + 1 / 4)
    assert depth[6, 6] == 3
    assert np.isinf(depth[9]).all()


# ----------------------------------------------------------------------------------------------------- atlas


@pytest.fixture(scope="module")
def sphere() -> trimesh.Trimesh:
    return trimesh.creation.icosphere(subdivisions=4, radius=RADIUS)  # 5,120 triangles: several pieces


@pytest.fixture(scope="module")
def atlas(sphere: trimesh.Trimesh):
    return unwrap(np.float32(sphere.vertices), np.uint32(sphere.faces), size=256)


def test_an_atlas_has_the_triangles_of_the_surface(sphere: trimesh.Trimesh, atlas) -> None:
    def listed(faces: np.ndarray) -> list[list[int]]:
        return sorted(sorted(face) for face in faces.tolist())

    assert listed(atlas.source[atlas.faces]) == listed(sphere.faces)
    assert len(atlas.source) < 1.4 * len(sphere.vertices)
    opened = trimesh.Trimesh(sphere.vertices[atlas.source], atlas.faces, process=False)
    assert opened.volume == pytest.approx(sphere.volume)  # triangles still look outwards


def test_no_two_triangles_share_a_place_in_an_atlas(atlas) -> None:
    assert atlas.uv.min() >= 0
    assert atlas.uv.max() <= 1
    parts = list(rasterise(atlas.uv.astype(float)[atlas.faces] * 512, 512))
    pixels = np.concatenate([part.pixels for part in parts])
    assert (np.bincount(pixels) > 1).mean() < 1e-4
    assert len(pixels) > 0.4 * 512**2


def test_smoothing_is_the_mean_of_neighbours() -> None:
    faces = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]], np.uint32)
    vertices = np.float32(np.random.default_rng(0).normal(size=(4, 3)))
    expected = [(vertices[i] + vertices[[j for j in range(4) if j != i]].mean(axis=0)) / 2 for i in range(4)]
    assert np.allclose(smoothed(vertices, faces, 1), expected, atol=1e-6)


# --------------------------------------------------------------------------------------------------- colours


def colour_of(places: Tensor) -> Tensor:
    """A smooth colour [..., 3] in -1..1 of points on the sphere."""
    return places / RADIUS * 0.9


def seen_sphere(
    triangles: np.ndarray, yaw_deg: float, pitch_deg: float = 0.0, size: int = 128
) -> PaintedView:
    """A picture of the sphere in which every pixel has the colour of the point that it shows."""
    label = camera_from_angles(math.radians(yaw_deg), math.radians(pitch_deg))
    rays = camera_rays(label, size)
    along = -(rays.origins * rays.directions).sum(dim=-1)
    nearest = rays.origins + along[..., None] * rays.directions
    half = (RADIUS**2 - nearest.square().sum(dim=-1)).clamp(min=0).sqrt()
    hit = nearest - half[..., None] * rays.directions
    solid = (half > 0).float().reshape(1, 1, size, size)
    image = colour_of(hit).transpose(1, 2).reshape(1, 3, size, size) * solid + 1 - solid
    return PaintedView(image, solid, surface_distance(triangles, label, 2 * size), label)


def test_points_are_projected_to_the_pixels_whose_rays_meet_them() -> None:
    label = torch.cat([camera_from_angles(0.7, 0.2), camera_from_angles(-2.0, -0.3)])
    rays = camera_rays(label, 8)
    where, distance = project_points(rays.origins + 2.5 * rays.directions, label)
    centres = (torch.arange(8) + 0.5) / 4 - 1
    expected = torch.stack(torch.meshgrid(centres, centres, indexing="xy"), dim=-1).reshape(1, 64, 2)
    torch.testing.assert_close(where, expected.expand(2, -1, -1), atol=1e-4, rtol=0)
    torch.testing.assert_close(distance, torch.full_like(distance, 2.5))


def test_points_take_the_colours_of_the_views_that_see_them(sphere: trimesh.Trimesh) -> None:
    triangles = np.float32(sphere.triangles)
    views = [seen_sphere(triangles, yaw, pitch) for pitch in (-50.0, 0.0, 50.0) for yaw in range(0, 360, 45)]
    points = Points(np.float32(sphere.vertices), np.float32(sphere.vertex_normals))
    colours, seen = paint(points, views)
    expected = ((colour_of(torch.from_numpy(points.places)) + 1) * 127.5).numpy()
    assert seen.mean() > 0.95
    assert np.abs(colours[seen] - expected[seen]).mean() < 2
    assert np.abs(colours[seen] - expected[seen]).max() < 16


def test_what_is_turned_away_or_hidden_is_not_seen(sphere: trimesh.Trimesh) -> None:
    screen = trimesh.creation.box(extents=(0.2, 0.2, 0.01)).apply_translation((0, 0, 0.4))
    points = Points(np.float32(sphere.vertices), np.float32(sphere.vertex_normals))
    x, y, z = sphere.vertices.T
    alone = paint(points, [seen_sphere(np.float32(sphere.triangles), 0)])[1]
    behind = paint(
        points, [seen_sphere(np.float32(np.concatenate([sphere.triangles, screen.triangles])), 0)]
    )[1]
    assert alone[z > 0.12].all()
    assert not alone[z < 0.02].any()
    hidden = (np.abs(x) < 0.08) & (np.abs(y) < 0.08) & (z > 0)
    assert not behind[hidden].any()
    assert behind[(np.abs(x) > 0.13) & (z > 0.12)].all()


def test_a_texture_shows_the_colours_of_the_surface(sphere: trimesh.Trimesh, atlas) -> None:
    triangles = np.float32(sphere.triangles)
    views = [seen_sphere(triangles, yaw, pitch) for pitch in (-60.0, 0.0, 60.0) for yaw in range(0, 360, 60)]
    points = Points(np.float32(sphere.vertices), np.float32(sphere.vertex_normals))
    texture = bake_texture(points, atlas, views, size=256)
    places = np.minimum((atlas.uv * 256).astype(int), 255)
    found = texture[places[:, 1], places[:, 0]].astype(float)
    expected = ((colour_of(torch.from_numpy(points.places[atlas.source])) + 1) * 127.5).numpy()
    assert np.abs(found - expected).mean() < 4


def test_colours_bleed_to_the_nearest() -> None:
    texture, painted = np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), bool)
    texture[1, 1], texture[2, 5] = 50, 90
    painted[1, 1] = painted[2, 5] = True
    bled = bleed(texture, painted)[..., 0]
    assert bled[1, 1] == bled[0, 0] == bled[3, 1] == 50
    assert bled[2, 5] == bled[0, 5] == bled[3, 4] == 90
    assert (bleed(texture, np.zeros((4, 6), bool)) == texture).all()


@pytest.mark.parametrize(("image", "texture"), [(32, 256), (128, 1024), (256, 2048), (512, 2048)])
def test_textures_are_as_fine_as_renders(image: int, texture: int) -> None:
    assert texture_size(image) == texture
