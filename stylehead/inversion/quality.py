"""How good an inversion is, in numbers and in one sentence."""

import math
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from stylehead.generator import PanoHead
from stylehead.images import outline_iou
from stylehead.inversion.faces import FaceFinder, Points
from stylehead.inversion.photographs import Bytes
from stylehead.inversion.pose import label_of_pose, pose_of_label
from stylehead.inversion.project import ProjectedHead
from stylehead.inversion.similarity import ImageSimilarity, TargetImage

POOR_IDENTITY = 0.6
"""Identity similarity (embedded encoder) below which an inversion is called poor."""
POOR_FACE = 0.35
"""Similarity of two faces (insightface) below which they are hardly one person's."""
POOR_PSNR_DB = 16.0
POOR_OUTLINE = 0.85

_BESIDE_DEG = 15.0
_FACE_EDGE = 512


class Quality(NamedTuple):
    """How a found head compares with its picture, from the picture's own camera."""

    identity: float | None
    """Similarity to the head from 15 degrees on either side of the picture's camera (views that the
    projection never compared), -1..1; None without an identity network."""
    face: float | None
    """Similarity of the faces by insightface, -1..1; None when it was not used or found no face in the
    render."""
    perceptual: float | None
    """Perceptual distance, 0 = equal; None without a feature network."""
    psnr_db: float
    """Of the pictures on white, in dB."""
    outline: float
    """Intersection over union of the heads' outlines."""
    yaw_deg: float
    """Of the camera."""
    pitch_deg: float
    """Nominal pitch of the camera; positive is below the head."""
    roll_deg: float
    """Of the camera."""
    latent: float
    """Root mean square distance to the mean head, in units of the latents' spread."""
    warnings: tuple[str, ...]
    """Why the result is to be doubted; empty for a good one."""


@torch.no_grad()
def assess(
    generator: PanoHead,
    found: ProjectedHead,
    target: TargetImage,
    *,
    similarity: ImageSimilarity,
    coords: Tensor,
) -> tuple[Quality, Tensor]:
    """Compare a found head with its picture.

    Args:
        generator: The one that shows it best: tuned, if it was tuned.
        found: Head and camera.
        target: The picture.
        similarity: Compares pictures.
        coords: Coordinates of the head's style vectors, [..., A].

    Returns:
        The figures, and the render [1, 3, R, R] that they are about.
    """
    wanted = target.at(generator.config.img_resolution)
    out = generator.synthesis(found.ws, found.camera_label, background="white")
    image = out.image.clamp(-1, 1)
    mse = float((image - wanted.image).square().mean())
    yaw, pitch, roll = (math.degrees(value) for value in pose_of_label(found.camera_label)[0, :3].tolist())
    identity = (
        _identity_beside(generator, found, wanted, similarity) if similarity.identity is not None else None
    )
    quality = Quality(
        identity=identity,
        face=None,
        perceptual=similarity.reported_distance(image, wanted.image),
        psnr_db=-10 * math.log10(max(mse, 1e-10) / 4),
        outline=float(outline_iou(out.mask, wanted.mask)),
        yaw_deg=yaw,
        pitch_deg=pitch,
        roll_deg=roll,
        latent=float(coords.square().mean().sqrt()),
        warnings=(),
    )
    return quality._replace(warnings=_doubts(quality)), image


def _identity_beside(
    generator: PanoHead, found: ProjectedHead, wanted: TargetImage, similarity: ImageSimilarity
) -> float:
    poses = pose_of_label(found.camera_label).repeat(2, 1)
    poses[:, 0] += math.radians(_BESIDE_DEG) * poses.new_tensor([-1.0, 1.0])
    views = generator.synthesis(found.ws, label_of_pose(poses), background="white").image
    return float(similarity.identity_similarity(views.clamp(-1, 1), wanted.image).mean())


def with_face(quality: Quality, finder: FaceFinder, embedding: Points, render: Bytes) -> Quality:
    """Add the similarity of faces by insightface in a render [R, R, 3], enlarged so that its detector works.

    Args:
        quality: Without it.
        finder: With a recognition model.
        embedding: Unit vector of the face in the photograph.
        render: From the photograph's camera, on white.
    """
    large = cv2.resize(render, (_FACE_EDGE, _FACE_EDGE), interpolation=cv2.INTER_CUBIC)
    margin = _FACE_EDGE // 4
    framed = np.pad(large, ((margin, margin), (margin, margin), (0, 0)), constant_values=255)
    found = finder.find(np.asarray(framed, dtype=np.uint8))
    if not found or found[0].embedding is None:
        doubt = "no face can be made out in the result"
        return quality._replace(warnings=(*quality.warnings, doubt))
    similarity = float(found[0].embedding @ embedding)
    warnings = quality.warnings
    if similarity < POOR_FACE:
        doubt = f"it is hardly the same face (similarity {similarity:.2f}, the same person has {POOR_FACE:g})"
        warnings = (*warnings, doubt)
    return quality._replace(face=similarity, warnings=warnings)


def _doubts(quality: Quality) -> tuple[str, ...]:
    doubts = []
    if quality.identity is not None and quality.identity < POOR_IDENTITY:
        doubts.append(
            f"the face resembles the photograph's little (similarity {quality.identity:.2f}, "
            f"good ones reach {POOR_IDENTITY:g})"
        )
    if quality.outline < POOR_OUTLINE:
        doubts.append(
            f"the outlines overlap by {quality.outline:.0%} only (good ones reach {POOR_OUTLINE:.0%})"
        )
    if quality.psnr_db < POOR_PSNR_DB:
        doubts.append(f"colours differ ({quality.psnr_db:.1f} dB, good ones reach {POOR_PSNR_DB:g} dB)")
    return tuple(doubts)
