"""Poses of a head in an aligned picture as six numbers, and the cameras that they stand for.

A pose is [B, 6]: yaw, pitch and roll in radians (yaw and pitch as `stylehead.geometry.look_at` takes them;
positive roll turns the camera clockwise, so that the head in the picture leans anticlockwise), how far the
head's centre is to the right of and below the picture's centre (in picture edges), and the logarithm of its
magnification.
"""

import math

import torch
from torch import Tensor

from stylehead.geometry import DEFAULT_RADIUS, camera_label, fov_to_intrinsics, look_at, split_label

POSE_SIZE = 6


def pose(yaw_rad: Tensor, pitch_rad: Tensor) -> Tensor:
    """Centred poses [B, 6] without roll from angles [B]."""
    rest = yaw_rad.new_zeros(len(yaw_rad), POSE_SIZE - 2)
    return torch.cat([yaw_rad[:, None], pitch_rad[:, None], rest], dim=1)


def label_of_pose(poses: Tensor) -> Tensor:
    """Cameras [B, 25] of poses [B, 6]; differentiable.

    Shift and magnification are in the intrinsics: the camera stays on its sphere and looks at the origin.
    """
    yaw, pitch, roll, right, below, log_scale = poses.unbind(dim=1)
    cam2world = look_at(yaw, pitch)
    zero, one = torch.zeros_like(roll), torch.ones_like(roll)
    rows = [
        [torch.cos(roll), -torch.sin(roll), zero, zero],
        [torch.sin(roll), torch.cos(roll), zero, zero],
        [zero, zero, one, zero],
        [zero, zero, zero, one],
    ]
    turned = cam2world @ torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)
    focal = fov_to_intrinsics()[0, 0] * torch.exp(log_scale)
    lens = [[focal, zero, 0.5 + right], [zero, focal, 0.5 + below], [zero, zero, one]]
    return camera_label(turned, torch.stack([torch.stack(row, dim=-1) for row in lens], dim=-2))


def pose_of_label(labels: Tensor) -> Tensor:
    """The poses [B, 6] nearest to cameras [B, 25]: exact for those of `label_of_pose`."""
    cam2world, intrinsics = split_label(labels)
    origin = cam2world[:, :3, 3]
    radius = origin.norm(dim=1)
    yaw = torch.atan2(origin[:, 0], origin[:, 2])
    pitch = -origin[:, 1] * math.pi / (2 * radius)
    rotation = cam2world[:, :3, :3]
    relative = look_at(yaw, pitch)[:, :3, :3].transpose(1, 2) @ rotation
    roll = torch.atan2(relative[:, 1, 0] - relative[:, 0, 1], relative[:, 0, 0] + relative[:, 1, 1])
    centre = -(rotation.transpose(1, 2) @ origin[:, :, None])[:, :, 0]
    projected = intrinsics @ (centre / centre[:, 2:])[:, :, None]
    right, below = (projected[:, axis, 0] - 0.5 for axis in (0, 1))
    focal = (intrinsics[:, 0, 0] + intrinsics[:, 1, 1]) / 2
    log_scale = torch.log(focal / fov_to_intrinsics()[0, 0].to(focal) * DEFAULT_RADIUS / radius)
    return torch.stack([yaw, pitch, roll, right, below, log_scale], dim=1)


def rotation_between_deg(first: Tensor, second: Tensor) -> Tensor:
    """Angle [B] in degrees by which cameras [B, 25] are turned against each other."""
    turned = split_label(first)[0][:, :3, :3].transpose(1, 2) @ split_label(second)[0][:, :3, :3]
    sine = torch.stack(
        [
            turned[:, 2, 1] - turned[:, 1, 2],
            turned[:, 0, 2] - turned[:, 2, 0],
            turned[:, 1, 0] - turned[:, 0, 1],
        ],
        dim=1,
    ).norm(dim=1)
    cosine = turned[:, 0, 0] + turned[:, 1, 1] + turned[:, 2, 2] - 1
    return torch.rad2deg(torch.atan2(sine, cosine))
