"""From a face in a photograph to the crop that the generator was trained on, and its camera.

Where 68 landmarks are there, the square around the face is that of the FFHQ pictures, from eyes and mouth,
and a mean face fitted to them puts the head's centre and size where the training pictures have them, and
gives the camera. From five points, camera and square are those of the embedded world's mean head. Outside the
photograph the crop shows its blurred reflection.
"""

import math
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stylehead.geometry import DEFAULT_RADIUS, camera_from_angles, camera_label, fov_to_intrinsics
from stylehead.inversion.faces import Face, Points
from stylehead.inversion.five_points import fit_five
from stylehead.inversion.photographs import Bytes
from stylehead.inversion.pose import label_of_pose, pose_of_label

_LEFT_EYE, _RIGHT_EYE, _MOUTH = slice(36, 42), slice(42, 48), [48, 54]
_TOP, _SIDES = 0.10, 0.05  # of the square's edge: added above, and to the left and right
_BLUR = 0.03  # of the crop's edge
_SCALES = 0.7, 1.3  # trusted ratios between the fitted and the eye-and-mouth square

# The mean face in its own units: edge of the training pictures without margins, and centre of their heads.
# Measured on front views of the embedded world, which is framed as the published pictures are; the mean
# face's own eye-and-mouth square has the edge 2.14.
_MEAN_EDGE = 2.2
_HEAD_CENTRE = np.array([0.0, -0.18, -0.2])


class Square(NamedTuple):
    """A square in a photograph: its centre, and the vectors from there to its right and lower sides."""

    centre: NDArray[np.float64]
    right: NDArray[np.float64]
    down: NDArray[np.float64]

    @property
    def edge(self) -> float:
        """Length of a side, pixels."""
        return 2 * float(np.linalg.norm(self.right))


class AlignedFace(NamedTuple):
    """Where to crop, and the camera [1, 25] of that crop."""

    square: Square
    camera_label: Tensor


class Similarity(NamedTuple):
    """Scale, rotation [3, 3] and translation [3] that take one set of points to another."""

    scale: float
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]


def align_face(face: Face) -> AlignedFace:
    """Find the crop and the camera of a face."""
    if face.points is None or face.mean_points is None:
        return align_five(face.five)
    square = eyes_and_mouth_square(face)
    fitted = fit_similarity(face.mean_points, face.points)
    ratio = np.clip(fitted.scale * _MEAN_EDGE / square.edge, *_SCALES)
    centre = (fitted.scale * fitted.rotation @ _HEAD_CENTRE + fitted.translation)[:2]
    moved = Square(centre, square.right * ratio, square.down * ratio)
    return AlignedFace(with_margins(moved), camera_of_rotation(fitted.rotation, moved))


def align_five(five: Points) -> AlignedFace:
    """Find the crop, upright by the head, and the camera of five points [5, 2]."""
    fitted = fit_five(five)
    cos, sin = math.cos(fitted.roll_rad), math.sin(fitted.roll_rad)
    right, down = (np.array(side) * fitted.edge / 2 for side in ([cos, sin], [-sin, cos]))
    return AlignedFace(
        Square(fitted.centre, right, down), camera_from_angles(fitted.yaw_rad, fitted.pitch_rad)
    )


def eyes_and_mouth_square(face: Face) -> Square:
    """The FFHQ square, upright by the face, without margins."""
    if face.points is not None:
        flat = face.points[:, :2]
        left_eye, right_eye = flat[_LEFT_EYE].mean(axis=0), flat[_RIGHT_EYE].mean(axis=0)
        mouth = flat[_MOUTH].mean(axis=0)
    else:
        left_eye, right_eye, mouth = face.five[0], face.five[1], face.five[3:5].mean(axis=0)
    across, eyes = right_eye - left_eye, (left_eye + right_eye) / 2
    along = mouth - eyes
    direction = across - np.array([-along[1], along[0]])
    length = float(np.linalg.norm(direction))
    if length < 1e-6:  # eyes and mouth in one point: nothing to go by but the box
        direction, length = np.array([1.0, 0.0]), 1.0
    reach = max(2.0 * np.linalg.norm(across), 1.8 * np.linalg.norm(along), _half_box(face) * 0.5)
    right = direction / length * reach
    return Square(eyes + 0.1 * along, right, np.array([-right[1], right[0]]))


def with_margins(square: Square) -> Square:
    """Add a tenth above, and a twentieth left and right."""
    grown = 1 + 2 * _SIDES
    return Square(square.centre - square.down * _TOP, square.right * grown, square.down * (1 + _TOP))


def fit_similarity(source: Points, target: Points) -> Similarity:
    """Least-squares similarity between corresponding points [N, 3] (Umeyama 1991), without reflection."""
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    centred, aimed = source - source_mean, target - target_mean
    left, stretch, right = np.linalg.svd(aimed.T @ centred)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(left) * np.linalg.det(right))])
    rotation = left @ np.diag(signs) @ right
    scale = float((stretch * signs).sum() / max(np.square(centred).sum(), 1e-12))
    return Similarity(scale, rotation, target_mean - scale * rotation @ source_mean)


def camera_of_rotation(rotation: NDArray[np.float64], square: Square) -> Tensor:
    """Camera [1, 25] that sees the head as a photograph does once it is cropped to a square.

    Args:
        rotation: [3, 3] from the mean face (x right, y down, z forward out of the face) to the photograph
            (x right, y down, z towards the camera).
        square: The crop, which may be turned against the photograph.
    """
    x, y = square.right / np.linalg.norm(square.right)
    upright = np.array([[x, y, 0.0], [-y, x, 0.0], [0.0, 0.0, 1.0]])
    towards_camera = np.diag([1.0, 1.0, -1.0])
    y_up = np.diag([1.0, -1.0, 1.0])
    world2cam = towards_camera @ upright @ rotation @ y_up
    cam2world = np.eye(4)
    cam2world[:3, :3] = world2cam.T
    cam2world[:3, 3] = -DEFAULT_RADIUS * cam2world[:3, 2]
    label = camera_label(torch.from_numpy(cam2world).float()[None], fov_to_intrinsics())
    return label_of_pose(pose_of_label(label))


def crop(pixels: Bytes, square: Square, size: int) -> Bytes:
    """Cut a square out of a picture and bring it to `size` pixels.

    Drawn at twice the size and reduced; what lies outside the picture is its reflection, blurred.

    Args:
        pixels: [H, W, 3] or [H, W].
        square: May reach beyond the picture.
        size: Edge of the result.

    Returns:
        [size, size, 3] or [size, size].
    """
    double = 2 * size
    shrink = max(1.0, square.edge / double / 1.5)
    height, width = pixels.shape[:2]
    small = (max(1, round(width / shrink)), max(1, round(height / shrink)))
    source = cv2.resize(pixels, small, interpolation=cv2.INTER_AREA) if shrink > 1 else pixels
    scale = np.array([small[0] / width, small[1] / height])
    corner = (square.centre - square.right - square.down) * scale - 0.5
    step_x, step_y = square.right * scale * (2 / double), square.down * scale * (2 / double)
    matrix = np.stack([step_x, step_y, corner + 0.5 * step_x + 0.5 * step_y], axis=1)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    size2 = (double, double)
    drawn = np.asarray(
        cv2.warpAffine(source, matrix, size2, flags=flags, borderMode=cv2.BORDER_REFLECT_101), dtype=np.uint8
    )
    everywhere = np.full(source.shape[:2], 255, np.uint8)
    inside = np.asarray(cv2.warpAffine(everywhere, matrix, size2, flags=flags, borderValue=0), dtype=np.uint8)
    if inside.min() < 255:
        drawn = _blur_outside(drawn, inside, _BLUR * double)
    return np.asarray(cv2.resize(drawn, (size, size), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def inside_share(shape: tuple[int, ...], square: Square, size: int) -> NDArray[np.float32] | None:
    """Share of each pixel of a crop that lies inside a picture, [size, size]; None where all do.

    Args:
        shape: Of the picture, [H, W, ...].
        square: What is cropped.
        size: Edge of the crop.
    """
    at = (np.arange(2 * size) + 0.5) / size - 1
    x, y = (
        square.centre[axis] + at[None, :] * square.right[axis] + at[:, None] * square.down[axis]
        for axis in (0, 1)
    )
    inside = ((x >= 0) & (x <= shape[1]) & (y >= 0) & (y <= shape[0])).astype(np.float32)
    share = inside.reshape(size, 2, size, 2).mean(axis=(1, 3))
    return share if share.min() < 1 else None


def _blur_outside(drawn: Bytes, inside: Bytes, sigma: float) -> Bytes:
    """Blur what lies outside, more the further out it is."""
    distance = cv2.distanceTransform((inside < 128).astype(np.uint8), cv2.DIST_L2, 3)
    share = np.clip(distance / (3 * sigma), 0, 1)
    share = share if drawn.ndim == 2 else share[..., None]
    soft = cv2.GaussianBlur(drawn, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray((drawn * (1 - share) + soft * share).round(), dtype=np.uint8)


def whole_square(pixels: Bytes) -> tuple[Square, str | None]:
    """The middle square of a picture that is cropped already, and a sentence when it was not square."""
    height, width = pixels.shape[:2]
    half = min(height, width) / 2
    centre = np.array([width / 2, height / 2])
    note = None
    if max(height, width) > 1.02 * min(height, width):
        note = f"The picture is {width}x{height}: its middle square is used."
    return Square(centre, np.array([half, 0.0]), np.array([0.0, half])), note


def _half_box(face: Face) -> float:
    left, top, right, bottom = face.box
    return math.sqrt(max(right - left, 0.0) * max(bottom - top, 0.0)) / 2
