"""Cameras around a head: poses, intrinsics, 25-number labels, trajectories and the mirror.

World: y up, the face looks along +z, one unit is the edge of the rendered box. Camera frame (OpenCV): x
right, y down, z forward. A `camera_label` is 25 numbers: the row-major 4x4 `cam2world` and the row-major 3x3
intrinsics, normalised by the image size (principal point 0.5 in the centre).
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from stylehead.precision import like

DEFAULT_RADIUS = 2.7
DEFAULT_FOV_DIAG_DEG = 18.837
LABEL_SIZE = 25
_POLE_MARGIN = 1e-5
_MIRROR_SIGNS = (1.0, -1.0, -1.0, -1.0, -1.0, 1.0, 1.0, 1.0, -1.0) + (1.0,) * 16

Angles = float | Sequence[float] | Tensor
"""Radians: one number for one camera, or [B] numbers for B cameras."""


def look_at(
    yaw_rad: Angles,
    pitch_rad: Angles = 0.0,
    *,
    radius: float = DEFAULT_RADIUS,
    pivot: Sequence[float] = (0.0, 0.0, 0.0),
) -> Tensor:
    """Place cameras on a sphere around the world origin, looking at a pivot.

    The published convention: `phi = arccos(-2 pitch / pi)`, so the height is `-2 radius pitch / pi` and
    the elevation is *not* the pitch (a pitch of pi/6 puts the camera 19.47 degrees below).

    Args:
        yaw_rad: Turn about the vertical axis; positive moves the camera towards +x (the head's own left).
        pitch_rad: Positive puts the camera below the head, negative above; clamped just short of the poles.
        radius: Distance from the world origin (not from the pivot).
        pivot: World point in the centre of the picture.

    Returns:
        cam2world [B, 4, 4], rotation orthonormal with determinant +1.
    """
    yaw, pitch = torch.broadcast_tensors(_angles(yaw_rad), _angles(pitch_rad))
    polar = (pitch + math.pi / 2).clamp(_POLE_MARGIN, math.pi - _POLE_MARGIN)
    cos_phi = 1 - 2 * polar / math.pi
    sin_phi = torch.sqrt((1 - cos_phi) * (1 + cos_phi))
    origin = radius * torch.stack([sin_phi * torch.sin(yaw), cos_phi, sin_phi * torch.cos(yaw)], dim=-1)

    forward = functional.normalize(like(tuple(pivot), origin) - origin, dim=-1)
    up = like((0.0, 1.0, 0.0), origin).expand_as(forward)
    right = -functional.normalize(torch.cross(up, forward, dim=-1), dim=-1)
    down = functional.normalize(torch.cross(forward, right, dim=-1), dim=-1)
    upper = torch.stack([right, down, forward, origin], dim=-1)
    last = like((0.0, 0.0, 0.0, 1.0), upper).expand(upper.shape[0], 1, 4)
    return torch.cat([upper, last], dim=1)


def fov_to_intrinsics(fov_diag_deg: float = DEFAULT_FOV_DIAG_DEG) -> Tensor:
    """Turn a diagonal field of view into normalised intrinsics.

    Args:
        fov_diag_deg: Field of view across the picture's diagonal, in degrees.

    Returns:
        Intrinsics [3, 3] with focal 1 / (1.414 tan(fov 3.14159 / 360)); the constants are truncated on
        purpose, as the published cameras were made with them.
    """
    focal = 1 / (math.tan(fov_diag_deg * 3.14159 / 360) * 1.414)
    return torch.tensor([[focal, 0.0, 0.5], [0.0, focal, 0.5], [0.0, 0.0, 1.0]])


def camera_label(cam2world: Tensor, intrinsics: Tensor) -> Tensor:
    """Join poses [B, 4, 4] (or [4, 4]) and intrinsics [3, 3] or [B, 3, 3] into labels [B, 25]."""
    poses = cam2world.reshape(-1, 16)
    lenses = intrinsics.to(poses).reshape(-1, 9).expand(poses.shape[0], 9)
    return torch.cat([poses, lenses], dim=1)


def split_label(label: Tensor) -> tuple[Tensor, Tensor]:
    """Split labels [B, 25] into cam2world [B, 4, 4] and normalised intrinsics [B, 3, 3]."""
    return label[:, :16].reshape(-1, 4, 4), label[:, 16:25].reshape(-1, 3, 3)


def project_points(points: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """Project world points into pictures.

    Args:
        points: [B, M, 3].
        label: Cameras [B, 25].

    Returns:
        Places in the picture [B, M, 2] in -1..1 (x right, y down), and distances from the camera [B, M].
    """
    cam2world, intrinsics = split_label(label)
    offset = points - cam2world[:, None, :3, 3]
    seen = offset @ cam2world[:, :3, :3]
    pixels = (seen / seen[..., 2:].clamp(min=1e-6)) @ intrinsics.transpose(1, 2)
    return pixels[..., :2] * 2 - 1, torch.linalg.vector_norm(offset, dim=-1)


def camera_from_angles(
    yaw_rad: Angles,
    pitch_rad: Angles = 0.0,
    *,
    radius: float = DEFAULT_RADIUS,
    pivot: Sequence[float] = (0.0, 0.0, 0.0),
    fov_diag_deg: float = DEFAULT_FOV_DIAG_DEG,
) -> Tensor:
    """Make labels [B, 25] from angles in radians; see `look_at` for their signs."""
    cam2world = look_at(yaw_rad, pitch_rad, radius=radius, pivot=pivot)
    return camera_label(cam2world, fov_to_intrinsics(fov_diag_deg))


def mirror(label: Tensor) -> Tensor:
    """Reflect cameras [B, 25] across the head's left-right plane (x = 0).

    The picture of a symmetric head from the mirrored camera is the horizontal flip of the original, as long
    as the principal point is in the centre. An involution: `mirror(mirror(label)) == label`.
    """
    return label * like(_MIRROR_SIGNS, label)


def conditioning_camera(pitch_rad: float = 0.0) -> Tensor:
    """Label [1, 25] of the frontal camera that mapping networks are conditioned on."""
    return camera_from_angles(0.0, pitch_rad)


def turntable(yaw_steps: int, pitch_rad: float = 0.0) -> Tensor:
    """Labels [yaw_steps, 25] once around the head, starting in front, without repeating the first."""
    yaw_rad = torch.arange(yaw_steps, dtype=torch.float32) * (2 * math.pi / yaw_steps)
    return camera_from_angles(yaw_rad, pitch_rad)


def random_cameras(
    n: int,
    *,
    yaw_range_rad: float | tuple[float, float],
    pitch_range_rad: float | tuple[float, float] = 0.0,
    rng: torch.Generator | None = None,
    device: torch.device | None = None,
) -> Tensor:
    """Draw labels [n, 25] with yaw and pitch uniform in their ranges.

    Args:
        n: How many cameras.
        yaw_range_rad: (low, high), or one number r for (-r, r).
        pitch_range_rad: The same for the pitch.
        rng: Source of randomness.
        device: Where the angles are drawn; by default the generator's own.
    """
    device = rng.device if device is None and rng is not None else device
    unit = torch.rand(2, n, generator=rng, device=device)
    angles = []
    for row, limits in zip(unit, (yaw_range_rad, pitch_range_rad), strict=True):
        low, high = limits if isinstance(limits, tuple) else (-limits, limits)
        angles.append(low + (high - low) * row)
    return camera_from_angles(angles[0], angles[1])


def _angles(value: Angles) -> Tensor:
    """Angles as a floating [B] tensor; the precision and device of a given tensor are kept."""
    tensor = value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float32)
    return tensor.reshape(-1) if tensor.is_floating_point() else tensor.reshape(-1).float()
