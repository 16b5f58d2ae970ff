"""What belongs to the head in an aligned picture: by alpha, by a plain background, or cut out by colour."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from stylehead.inversion.photographs import Bytes

MaskSource = Literal["alpha", "plain background", "cut out"]
Share = NDArray[np.float32]
"""[H, W], 0..1."""

_PLAIN = 10  # largest deviation of a plain border from its median, bytes
_PLAIN_SHARE = 0.9  # of the border must be that plain
_SAME = 12  # largest deviation of a background pixel, bytes
_LEAST, _MOST = 0.05, 0.95  # share of the picture that a head can cover
_CUT_ROUNDS = 4


class HeadMask(NamedTuple):
    """Share of every pixel that the head covers, and how it was found."""

    share: Share
    source: MaskSource


def head_mask(pixels: Bytes, alpha: Bytes | None, expected: Callable[[], Share]) -> HeadMask:
    """Find the head in an aligned picture.

    Args:
        pixels: [H, W, 3].
        alpha: [H, W] of the picture, if it has any.
        expected: Tells how likely a head covers each pixel, [H, W]; called for a busy background only.
    """
    if alpha is not None:
        share: Share = alpha.astype(np.float32) / np.float32(255)
        if _LEAST < share.mean() < _MOST:
            return HeadMask(share, "alpha")
    plain = plain_background(pixels)
    if plain is not None:
        return HeadMask(plain, "plain background")
    return HeadMask(cut_out(pixels, expected()), "cut out")


def plain_background(pixels: Bytes) -> Share | None:
    """The head before a background of one colour, or None when the border is not of one colour.

    The lower border does not count: shoulders end there. Background is what is connected with the rest of the
    border through pixels of nearly its colour, so that the same colour inside the head stays head.
    """
    height = pixels.shape[0]
    upper = height * 6 // 10
    border = np.concatenate([pixels[0], pixels[:upper, 0], pixels[:upper, -1]]).astype(np.int16)
    colour = np.median(border, axis=0)
    if (np.abs(border - colour).max(axis=1) <= _PLAIN).mean() < _PLAIN_SHARE:
        return None
    alike = (np.abs(pixels.astype(np.int16) - colour).max(axis=2) <= _SAME).astype(np.uint8)
    _, regions = cv2.connectedComponents(alike, connectivity=4)
    seeds = np.unique(np.concatenate([regions[0], regions[:upper, 0], regions[:upper, -1]]))
    share = 1 - np.isin(regions, seeds[seeds > 0]).astype(np.float32)
    return share if _LEAST < share.mean() < _MOST else None


def cut_out(pixels: Bytes, expected: Share) -> Share:
    """Separate the head from a busy background by colour (GrabCut), from where a head is expected."""
    labels = np.full(expected.shape, cv2.GC_PR_BGD, np.uint8)
    labels[expected > 0.5] = cv2.GC_PR_FGD
    labels[expected > 0.97] = cv2.GC_FGD
    labels[expected < 0.03] = cv2.GC_BGD
    if not ((labels & 1).any() and (labels == cv2.GC_BGD).any()):
        return expected
    cv2.setRNGSeed(0)  # its colour clusters start at random
    models = np.zeros((2, 1, 65))
    nowhere = (0, 0, 1, 1)  # not looked at: the labels say where
    cv2.grabCut(
        np.ascontiguousarray(pixels),
        labels,
        nowhere,
        models[0],
        models[1],
        _CUT_ROUNDS,
        cv2.GC_INIT_WITH_MASK,
    )
    opened = cv2.morphologyEx((labels & 1).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    head = _largest(np.asarray(opened, dtype=np.uint8)).astype(np.float32)
    share = np.asarray(cv2.GaussianBlur(head, (0, 0), 1.0), dtype=np.float32)
    return share if _LEAST < share.mean() < _MOST else expected


def _largest(mask: Bytes) -> Bytes:
    """The largest connected part."""
    count, regions, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count < 2:
        return mask
    return (regions == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())).astype(np.uint8)
