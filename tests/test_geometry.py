"""Cameras: the published convention as numbers, and laws for all angles."""

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from stylehead.geometry import (
    camera_from_angles,
    camera_label,
    conditioning_camera,
    fov_to_intrinsics,
    look_at,
    mirror,
    random_cameras,
    split_label,
    turntable,
)

GOLDEN = Path(__file__).parent / "data" / "golden"
yaws = st.floats(-math.pi, math.pi)
pitches = st.floats(-1.2, 1.2)


def test_published_camera_grid():
    given_angles = load_file(GOLDEN / "tiny_inputs.safetensors")["camgrid/yaw_pitch_deg"].deg2rad()
    expected = load_file(GOLDEN / "tiny_outputs.safetensors")
    yaw, pitch = given_angles.unbind(dim=1)
    centred = look_at(yaw, pitch)
    assert torch.allclose(centred, expected["camgrid/cam2world_pivot0"], atol=2e-6)
    raised = look_at(yaw, pitch, pivot=(0, 0, 0.2), radius=2.7)
    assert torch.allclose(raised, expected["camgrid/cam2world_pivot002_r2.7"], atol=2e-6)


def test_published_intrinsics():
    fovs = load_file(GOLDEN / "tiny_inputs.safetensors")["camgrid/fov_deg"]
    expected = load_file(GOLDEN / "tiny_outputs.safetensors")["camgrid/intrinsics"]
    actual = torch.stack([fov_to_intrinsics(fov) for fov in fovs.tolist()])
    assert torch.allclose(actual, expected, rtol=1e-6)
    assert fov_to_intrinsics()[0, 0].item() == pytest.approx(4.263391)


@given(yaws, pitches, st.floats(1.0, 5.0))
@settings(deadline=None)
def test_pose_is_a_rotation_on_the_sphere(yaw, pitch, radius):
    cam2world = look_at(torch.tensor(yaw, dtype=torch.float64), pitch, radius=radius)[0]
    rotation, origin = cam2world[:3, :3], cam2world[:3, 3]
    assert torch.allclose(rotation @ rotation.T, torch.eye(3, dtype=torch.float64), atol=1e-9)
    assert torch.linalg.det(rotation).item() == pytest.approx(1.0)
    assert origin.norm().item() == pytest.approx(radius)
    assert torch.allclose(rotation[:, 2], -origin / radius, atol=1e-9)
    assert rotation[1, 1].item() <= 1e-9  # the picture's down is never up
    assert cam2world[3].tolist() == [0, 0, 0, 1]


def test_directions_of_the_angles():
    front, left, behind = look_at([0.0, math.pi / 2, math.pi])[:, :3, 3]
    assert torch.allclose(front, torch.tensor([0.0, 0.0, 2.7]), atol=1e-5)
    assert torch.allclose(left, torch.tensor([2.7, 0.0, 0.0]), atol=1e-5)
    assert torch.allclose(behind, torch.tensor([0.0, 0.0, -2.7]), atol=1e-5)
    assert torch.allclose(look_at(0.0)[0, :3, :3], torch.diag(torch.tensor([1.0, -1.0, -1.0])), atol=1e-6)


def test_pitch_lowers_the_camera_but_is_not_the_elevation():
    height = look_at(0.0, math.pi / 6)[0, 1, 3].item()
    assert height == pytest.approx(-2.7 / 3, abs=1e-5)
    assert math.degrees(math.asin(height / 2.7)) == pytest.approx(-19.47, abs=0.01)


def test_poles_are_survived():
    for pitch in (math.pi / 2, -math.pi / 2, 3.0):
        assert torch.isfinite(look_at(torch.tensor(0.3, dtype=torch.float64), pitch)).all()


@given(yaws, pitches)
@settings(deadline=None)
def test_mirror_is_the_camera_at_the_opposite_yaw(yaw, pitch):
    label = camera_from_angles(yaw, pitch)
    assert torch.equal(mirror(mirror(label)), label)
    assert torch.allclose(mirror(label), camera_from_angles(-yaw, pitch), atol=1e-5)


def test_mirror_conjugates_by_the_reflection():
    cam2world, intrinsics = split_label(torch.randn(3, 25, generator=torch.Generator().manual_seed(0)))
    reflection = torch.diag(torch.tensor([-1.0, 1.0, 1.0, 1.0]))
    mirrored = mirror(camera_label(cam2world, intrinsics))
    expected = reflection @ cam2world @ reflection
    assert torch.allclose(split_label(mirrored)[0][:, :3, :3], expected[:, :3, :3])
    assert torch.equal(split_label(mirrored)[1], intrinsics)


@given(st.integers(1, 4), st.integers(0, 1000))
@settings(deadline=None)
def test_labels_split_and_join(count, seed):
    label = torch.randn(count, 25, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(camera_label(*split_label(label)), label)


def test_one_lens_serves_all_poses():
    poses = look_at([0.0, 1.0, 2.0])
    label = camera_label(poses, fov_to_intrinsics(30.0))
    assert label.shape == (3, 25)
    assert torch.equal(split_label(label)[1][2], fov_to_intrinsics(30.0))


def test_turntable_goes_once_around():
    labels = turntable(4, 0.1)
    assert torch.allclose(labels, camera_from_angles([0.0, math.pi / 2, math.pi, 1.5 * math.pi], 0.1))
    assert turntable(7).shape == (7, 25)


def test_conditioning_camera_is_frontal():
    assert torch.equal(conditioning_camera(), camera_from_angles(0.0))
    assert conditioning_camera(0.2)[0, 7] < 0


def test_random_cameras_stay_in_range_and_repeat():
    def draw(seed):
        return random_cameras(
            50,
            yaw_range_rad=(0.5, 1.0),
            pitch_range_rad=0.2,
            rng=torch.Generator().manual_seed(seed),
        )

    labels = draw(3)
    assert torch.equal(draw(3), labels)
    assert not torch.equal(draw(4), labels)
    origin = split_label(labels)[0][:, :3, 3]
    yaw = torch.atan2(origin[:, 0], origin[:, 2])
    assert yaw.min() >= 0.5
    assert yaw.max() <= 1.0
    assert origin[:, 1].abs().max() <= 2.7 * 0.4 / math.pi + 1e-5
    assert origin[:, 1].min() < 0 < origin[:, 1].max()


def test_gradients_reach_the_angles():
    yaw = torch.tensor([0.4], dtype=torch.float64, requires_grad=True)
    pitch = torch.tensor([-0.2], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(look_at, (yaw, pitch))
