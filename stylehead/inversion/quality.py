"""How good an inversion is, in numbers and in one sentence."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from stylehead.generator import PanoHead
from stylehead.inversion.judge import Judge, Target, outline_iou
from stylehead.inversion.pose import pose_of_label
from stylehead.inversion.project import Found

POOR_IDENTITY = 0.6
"""Identity similarity (embedded encoder) below which an inversion is called poor."""
POOR_PSNR_DB = 16.0
POOR_OUTLINE = 0.85


class Quality(NamedTuple):
    """How a found head compares with its picture, from the picture's own camera.

    Attributes:
        identity: Similarity of the faces, -1..1; None without an identity network.
        perceptual: Perceptual distance, 0 = equal; None without a feature network.
        psnr_db: Of the pictures on white, in dB.
        outline: Intersection over union of the heads' outlines.
        yaw_deg: Of the camera.
        pitch_deg: Nominal pitch of the camera; positive is below the head.
        roll_deg: Of the camera.
        latent: Root mean square distance to the mean head, in units of the latents' spread.
        warnings: Why the result is to be doubted; empty for a good one.
    """

    identity: float | None
    perceptual: float | None
    psnr_db: float
    outline: float
    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    latent: float
    warnings: tuple[str, ...]


@torch.no_grad()
def assess(
    generator: PanoHead, found: Found, target: Target, *, judge: Judge, coords: Tensor
) -> tuple[Quality, Tensor]:
    """Compare a found head with its picture.

    Args:
        generator: The one that shows it best: tuned, if it was tuned.
        found: Head and camera.
        target: The picture.
        judge: Compares pictures.
        coords: Coordinates of the head's style vectors, [...,A].

    Returns:
        The figures, and the render [1,3,R,R] that they are about.
    """
    wanted = target.at(generator.config.img_resolution)
    out = generator.synthesis(found.ws, found.camera_label, background="white")
    image = out.image.clamp(-1, 1)
    mse = float((image - wanted.image).square().mean())
    yaw, pitch, roll = (math.degrees(value) for value in pose_of_label(found.camera_label)[0, :3].tolist())
    identity = float(judge.similarity(image, wanted.image)) if judge.identity is not None else None
    perceptual = float(judge.perceptual(image, wanted.image)) if judge.trunk is not None else None
    quality = Quality(
        identity=identity,
        perceptual=perceptual,
        psnr_db=-10 * math.log10(max(mse, 1e-10) / 4),
        outline=outline_iou(out.mask, wanted.mask),
        yaw_deg=yaw,
        pitch_deg=pitch,
        roll_deg=roll,
        latent=float(coords.square().mean().sqrt()),
        warnings=(),
    )
    return quality._replace(warnings=_doubts(quality)), image


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
