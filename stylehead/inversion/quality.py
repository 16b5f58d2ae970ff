"""How good an inversion is, in numbers and in one sentence."""

import math
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from stylehead.generator import PanoHead
from stylehead.images import outline_iou
from stylehead.inversion.faces import Detector, Points
from stylehead.inversion.likeness import LikenessJudge
from stylehead.inversion.photographs import Bytes
from stylehead.inversion.pose import pose_of_label
from stylehead.inversion.project import ProjectedHead
from stylehead.inversion.similarity import ImageSimilarity, TargetImage

POOR_FACE = 0.35
"""Similarity of two faces (insightface) below which they are hardly one person's."""
POOR_PSNR_DB = 16.0
POOR_OUTLINE = 0.85

FACE_SEEN_DEG = 100.0
"""Yaw of the camera to which a face is found in pictures of heads, nearly always."""
_FACE_EDGE = 512


class Quality(NamedTuple):
    """How a found head compares with its picture, from the picture's own camera."""

    identity: float | None
    """Similarity to the head from 15 degrees on either side of the picture's camera (views that the
    projection never compared), -1..1, by the judge; None without one."""
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
    likeness: bool | None = None
    """Whether it is one: more like the picture than strangers are. None when nothing can judge."""
    threshold: float | None = None
    """Similarity from which on it is: of `face` where that is known, else of `identity`."""


@torch.no_grad()
def assess(
    generator: PanoHead,
    found: ProjectedHead,
    target: TargetImage,
    *,
    similarity: ImageSimilarity,
    coords: Tensor,
    judge: LikenessJudge | None = None,
) -> tuple[Quality, Tensor]:
    """Compare a found head with its picture.

    Args:
        generator: The one that shows it best: tuned, if it was tuned.
        found: Head and camera.
        target: The picture.
        similarity: Compares pictures.
        coords: Coordinates of the head's style vectors, [..., A].
        judge: Says whether it is a likeness.

    Returns:
        The figures, and the render [1, 3, R, R] that they are about.
    """
    wanted = target.at(generator.config.img_resolution)
    out = generator.synthesis(found.ws, found.camera_label, background="white")
    image = out.image.clamp(-1, 1)
    mse = float((image - wanted.image).square().mean())
    yaw, pitch, roll = (math.degrees(value) for value in pose_of_label(found.camera_label)[0, :3].tolist())
    identity = None
    if judge is not None:
        identity = judge.similarity(generator, found.ws, found.camera_label, wanted.image)
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
        likeness=None if judge is None or identity is None else identity >= judge.threshold,
        threshold=None if judge is None else judge.threshold,
    )
    return quality._replace(warnings=_doubts(quality)), image


def with_face(quality: Quality, finder: Detector, embedding: Points, render: Bytes) -> Quality:
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
        return quality._replace(warnings=(*quality.warnings, doubt), likeness=False)
    similarity = float(found[0].embedding @ embedding)
    judged = quality._replace(face=similarity, likeness=similarity >= POOR_FACE, threshold=POOR_FACE)
    return judged._replace(warnings=_doubts(judged))


def without_face(quality: Quality, finder: Detector, picture: Bytes) -> Quality:
    """Doubt a likeness to a picture [R, R, 3] that shows no face, though the head's is seen from there."""
    if not quality.likeness or abs(quality.yaw_deg) > FACE_SEEN_DEG or finder.find(picture):
        return quality
    doubt = "no face can be made out in the picture"
    return quality._replace(warnings=(*quality.warnings, doubt), likeness=False)


def _doubts(quality: Quality) -> tuple[str, ...]:
    doubts = []
    if quality.likeness is False:
        reached = quality.identity if quality.face is None else quality.face
        doubts.append(
            f"the head is not a likeness of the picture's (similarity {reached or 0:.2f}, likenesses have at "
            f"least {quality.threshold:.2f})"
        )
    if quality.outline < POOR_OUTLINE:
        doubts.append(
            f"the outlines overlap by {quality.outline:.0%} only (good ones reach {POOR_OUTLINE:.0%})"
        )
    if quality.psnr_db < POOR_PSNR_DB:
        doubts.append(f"colours differ ({quality.psnr_db:.1f} dB, good ones reach {POOR_PSNR_DB:g} dB)")
    return tuple(doubts)
