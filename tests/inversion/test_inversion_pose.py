"""Poses as six numbers, and cameras."""

import math

import torch

from stylehead.geometry import camera_from_angles, mirror
from stylehead.inversion.pose import label_of_pose, pose, pose_of_label, rotation_between_deg


def random_poses(count: int) -> torch.Tensor:
    spread = torch.tensor([1.3, 0.6, 0.5, 0.1, 0.1, 0.2])
    return (torch.rand(count, 6, generator=torch.Generator().manual_seed(3)) * 2 - 1) * spread


def test_a_pose_without_the_rest_is_the_plain_camera() -> None:
    yaw, pitch = torch.tensor([0.4, -1.0]), torch.tensor([0.2, -0.3])
    assert torch.allclose(label_of_pose(pose(yaw, pitch)), camera_from_angles(yaw, pitch), atol=1e-6)


def test_poses_come_back_from_their_cameras() -> None:
    poses = random_poses(50)
    assert torch.allclose(pose_of_label(label_of_pose(poses)), poses, atol=2e-5)


def test_mirroring_a_camera_negates_yaw_roll_and_nothing_else() -> None:
    poses = random_poses(20)
    poses[:, 3] = 0  # the mirror keeps the principal point where it is
    signs = torch.tensor([-1.0, 1.0, -1.0, 1.0, 1.0, 1.0])
    assert torch.allclose(pose_of_label(mirror(label_of_pose(poses))), poses * signs, atol=2e-5)


def test_cameras_follow_gradients() -> None:
    poses = random_poses(2).requires_grad_(True)
    label_of_pose(poses).square().sum().backward()
    assert poses.grad is not None
    assert torch.isfinite(poses.grad).all()
    assert (poses.grad[:, [3, 4, 5]].abs() > 0).all()


def test_the_angle_between_cameras() -> None:
    front = camera_from_angles(0.0)
    for degrees in (0.0, 0.5, 30.0, 90.0, 179.0):
        turned = camera_from_angles(math.radians(degrees))
        assert abs(float(rotation_between_deg(front, turned)) - degrees) < 0.05
