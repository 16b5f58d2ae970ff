import numpy as np
import pytest

from stylehead.world.heads.curves import bump, curve, smoothstep
from stylehead.world.heads.phenotype import ancestry_weights, body_weights

pytest.importorskip("scipy", reason="needs the extra `mini`")

from stylehead.world.heads.subdivision import catmull_clark
from stylehead.world.heads.triangles import (
    Region,
    Surface,
    Topology,
    grid_triangles,
    join,
    make_part,
    split_quads,
    tube,
    unit,
)

CUBE_CORNERS = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
CUBE_QUADS = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])


def test_smoothstep_rises_and_falls():
    x = np.linspace(-1, 2, 31)
    rising, falling = smoothstep(0, 1, x), smoothstep(1, 0, x)
    assert rising[0] == 0
    assert rising[-1] == 1
    assert (np.diff(rising) >= 0).all()
    assert falling == pytest.approx(1 - rising)


def test_curve_and_bump():
    assert curve(np.array([-1.0, 0.5, 9]), [(0, 2), (1, 4)]) == pytest.approx([2, 3, 4])
    assert bump(np.array([0.0, 0.3]), 0.3) == pytest.approx([1, np.exp(-1)])


def test_a_subdivided_cube():
    quads, matrix = catmull_clark(CUBE_QUADS, 8)
    points = matrix @ CUBE_CORNERS
    assert quads.shape == (24, 4)
    assert points.shape == (8 + 12 + 6, 3)
    assert np.asarray(matrix.sum(axis=1)).ravel() == pytest.approx(1)
    assert points.mean(axis=0) == pytest.approx([0.5, 0.5, 0.5])
    assert points[20:] == pytest.approx(CUBE_CORNERS[CUBE_QUADS].mean(axis=1))  # the quads' own points
    corner = np.abs(points[:8] - 0.5)
    assert corner == pytest.approx(np.full((8, 3), 5 / 18))  # (Q + 2 R) / 3 of a cube's corner
    edges = np.sort(np.concatenate([quads[:, [i, (i + 1) % 4]] for i in range(4)]), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()  # still closed


def test_a_subdivided_sheet_stays_flat_and_keeps_its_border():
    x, y = np.meshgrid(np.arange(4.0), np.arange(3.0), indexing="ij")
    points = np.stack([x, y, 0 * x], axis=-1).reshape(-1, 3)
    quads = np.array(
        [[3 * i + j, 3 * i + j + 3, 3 * i + j + 4, 3 * i + j + 1] for i in range(3) for j in range(2)]
    )
    _, matrix = catmull_clark(quads, len(points) + 2)  # two vertices that no quad uses
    fine = matrix @ np.concatenate([points, [[9, 9, 9], [9, 9, 9]]])
    assert len(fine) == 12 + 17 + 6
    assert fine[:, 2] == pytest.approx(0)
    on_edge = np.isclose(fine[:, 0] % 3, 0) | np.isclose(fine[:, 1] % 2, 0)
    assert on_edge.sum() >= 16
    assert fine.max() <= 3


def test_normals_match_the_slow_way():
    random = np.random.default_rng(0)
    triangles = split_quads(CUBE_QUADS)
    points = CUBE_CORNERS + 0.1 * random.normal(size=(8, 3))
    slow = np.zeros((8, 3))
    for triangle in triangles:
        first, second, third = points[triangle]
        slow[triangle] += np.cross(second - first, third - first)
    assert Topology(triangles, 8).normals(points) == pytest.approx(unit(slow), abs=1e-6)


def test_normals_without_triangles_are_zero():
    assert Topology(np.array([[0, 1, 2]]), 4).normals(CUBE_CORNERS[:4])[3] == pytest.approx([0, 0, 0])


def test_a_region_is_the_same_surface():
    triangles = split_quads(CUBE_QUADS)[[2, 5]]
    region = Region(triangles)
    local = region.topology.triangles
    assert np.array_equal(region.vertices[local], triangles)
    whole = Topology(triangles, 8).normals(CUBE_CORNERS)[region.vertices]
    assert region.topology.normals(CUBE_CORNERS[region.vertices]) == pytest.approx(whole)


@pytest.mark.parametrize("closed", [False, True])
def test_grid_triangles_cover_a_tube_or_a_ring(closed):
    triangles = grid_triangles(5, 6, closed_rows=closed)
    assert len(triangles) == 2 * 6 * (5 if closed else 4)
    sides = np.concatenate([triangles[:, pair] for pair in ([0, 1], [1, 2], [2, 0])])
    edges = np.sort(sides, axis=1)
    counts = np.unique(edges, axis=0, return_counts=True)[1]
    assert (counts == 1).sum() == (0 if closed else 12)
    assert counts.max() == 2


def test_a_wire_has_its_radius_and_normals_that_point_out():
    angle = np.arange(40) / 40 * 2 * np.pi
    ring = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    wire = tube(ring, 0.1, closed=True)
    from_path = wire.positions.reshape(40, 8, 3) - ring[:, None]
    assert np.linalg.norm(from_path, axis=-1) == pytest.approx(0.1)
    assert (from_path.reshape(-1, 3) * wire.normals).sum(axis=-1) == pytest.approx(0.1)


def test_joined_surfaces_keep_their_triangles():
    wire = tube(np.array([[0.0, 0, 0], [1, 0, 0], [2, 0.5, 0]]), 0.1)
    both = join([wire, wire])
    corners = both.positions[both.triangles]
    assert corners[: len(wire.triangles)] == pytest.approx(corners[len(wire.triangles) :])


def test_parts_are_packed_in_the_documented_order():
    surface = Surface(np.full((2, 3), 1.0), np.full((2, 3), 2.0), np.array([[0, 1, 0]]))
    part = make_part("skin", surface, canonical=np.full((2, 3), 3.0), detail_b=np.array([4.0, 5.0]))
    assert part.vertices.dtype == np.float32
    assert part.vertices[1].tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3, 0, 0, 0, 0, 4, 5, 0, 0]


@pytest.mark.parametrize("age", [0.6, 0.7, 0.98])
def test_bodies_are_weighted_to_one(age):
    weights = body_weights(gender=0.3, age=age, muscle=0.8, weight=0.1)
    assert weights.shape == (54,)
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1)
    ancestry = ancestry_weights(np.array([0.2, 0.3, 0.5]), gender=0.3, age=age)
    assert ancestry.shape == (18,)
    assert ancestry.sum() == pytest.approx(1)


def test_a_body_at_a_stop_is_one_target():
    weights = body_weights(gender=1.0, age=1.0, muscle=0.5, weight=0.0)
    assert weights.max() == 1
    # female x old x average muscle x least weight
    assert int(weights.argmax()) == np.ravel_multi_index((1, 2, 1, 0), (2, 3, 3, 3))
