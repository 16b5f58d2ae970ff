"""The gate: which edits may be learned from.

Editors shift, zoom, swap and ignore pictures. An edit is held against the outline of the render that it was
made from, and against all other outlines of the bank. A style that moves outlines (ears grow, necks get slim)
moves those of everybody, so what counts as far off is taken from the bank itself (Tukey's outer fence).

Of the true pictures of 60 people from 4 sides, the limits let pass all of joker, pixar, sketch, statue and
zombie, and 230 of 240 werewolves, whose ears take outlines furthest (down to .73 of overlap).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from stylehead.bank.pictures import Outline, Pixels
from stylehead.bank.strangers import STRANGER

LEAST_IOU = 0.6
"""Below this an edit's outline is not that of its render."""
BETTER_FIT = 0.05
"""An edit whose outline fits another render better by more than this is that render's."""
MOST_BETTER_FIT = 0.2
UNEDITED = 1.5
"""Mean difference to the render, of 255, up to which a picture was not edited."""
MISPLACED, GAIN, MOST_GAIN = 0.02, 0.03, 0.2
"""A shift or zoom beyond the first is undone if the outlines then overlap better by the second, or by more in
a bank whose style changes shapes (small cartoon heads overlap better when enlarged, and must stay small)."""
SAME_SHAPE = 0.96
"""Median overlap after all shifts and zooms are undone, from which a bank's style leaves shapes alone."""
_LARGEST_ZOOM, _LARGEST_SHIFT = 1.3, 0.2
_COMPARED = 64


class Placement(NamedTuple):
    """How a picture lies on its render: zoom about the centre, then shifts as shares of the edge."""

    zoom: float = 1.0
    right: float = 0.0
    down: float = 0.0

    @property
    def far(self) -> bool:
        """Whether it is off by more than what an edit may change."""
        return max(abs(self.zoom - 1), abs(self.right), abs(self.down)) > MISPLACED


@dataclass(frozen=True)
class Verdict:
    """What became of an edit.

    Attributes:
        kept: Whether it may be learned from.
        reason: Why not; or what was done to it; empty for a plain yes.
        iou: Overlap of its outline with its render's, 0..1.
        better: How much better another render's outline fits; negative where its own fits best.
        placement: What undoes its shift and zoom; none for pictures that lie right.
    """

    kept: bool
    reason: str
    iou: float
    better: float
    placement: Placement | None = None


def judge(
    edits: Sequence[Pixels],
    outlines: Sequence[Outline],
    views: Sequence[int],
    renders: Sequence[Pixels],
    masks: Sequence[Outline],
    strange: Sequence[float] | None = None,
) -> list[Verdict]:
    """Judge all edits of a bank together.

    Args:
        edits: uint8 [S, S, 3] each.
        outlines: Their heads, bool [S, S] each.
        views: Which render each was made from.
        renders: All renders of the bank.
        masks: Where their heads are, bool [S, S] each.
        strange: How much more each edit resembles somebody else; see `strangers.strangeness`.
    """
    if not edits:
        return []
    placed = _placements(outlines, [masks[view] for view in views])
    better, own = better_fits(outlines, placed, views, masks)
    limit = fit_limit(better)
    verdicts = []
    for index, view in enumerate(views):
        changed = np.abs(edits[index].astype(np.int16) - renders[view]).mean()
        reason = _refusal(changed, own[index], better[index], 0.0 if placed[index] else limit)
        if not reason and strange is not None and strange[index] > STRANGER:
            reason = f"shows somebody else by {strange[index]:.2f}"
        verdicts.append(
            Verdict(
                kept=not reason,
                reason=reason or ("realigned" if placed[index] else ""),
                iou=round(float(own[index]), 4),
                better=round(float(better[index]), 4),
                placement=placed[index],
            )
        )
    return verdicts


def better_fits(
    outlines: Sequence[Outline],
    placed: Sequence[Placement | None],
    views: Sequence[int],
    masks: Sequence[Outline],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compare how outlines fit other renders as they are and their own once moved into place.

    Somebody else's head can be zoomed until it fits; it fits its own render without.

    Returns:
        How much better the best other render fits [E] (-1 where there is none), and the own overlap [E].
    """
    rows = np.arange(len(views))
    aligned = [o if p is None else moved_outline(o, p) for o, p in zip(outlines, placed, strict=True)]
    own = np.array([overlap_table([o], [masks[view]])[0, 0] for o, view in zip(aligned, views, strict=True)])
    overlaps = overlap_table(outlines, masks)
    overlaps[rows, views] = -1
    return (overlaps.max(axis=1) - own if len(masks) > 1 else np.full(len(views), -1.0)), own


def fit_limit(better: NDArray[np.float64]) -> float:
    """Return how much better another render may fit, from how much better they fit in this bank."""
    if np.median(better) > BETTER_FIT:  # most are somebody else's: nothing to go by
        return BETTER_FIT
    return _fence(better, BETTER_FIT, MOST_BETTER_FIT)


def _refusal(changed: float, iou: float, better: float, limit: float) -> str:
    """Say why an edit is refused; nothing if it is not."""
    if changed <= UNEDITED:
        return "not edited"
    if iou < LEAST_IOU:
        return f"outline overlaps by {iou:.2f} only"
    if better > limit:
        return f"fits another render better by {better:.2f}"
    return ""


def overlap_table(outlines: Sequence[Outline], masks: Sequence[Outline]) -> NDArray[np.float64]:
    """Intersection over union of every outline with every mask, [E, M], at 64 pixels."""
    ours, theirs = (np.stack([_small(mask) for mask in group]) for group in (outlines, masks))
    both = ours @ theirs.T
    return np.asarray(both / np.maximum(ours.sum(axis=1)[:, None] + theirs.sum(axis=1) - both, 1))


def overlap(one: Outline, other: Outline) -> float:
    """Intersection over union of two outlines, 0..1."""
    return float((one & other).sum() / max(1, (one | other).sum()))


def _small(mask: Outline) -> NDArray[np.float64]:
    size = (_COMPARED, _COMPARED)
    reduced = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return (reduced > 0.5).ravel().astype(np.float64)


def moved_outline(outline: Outline, placement: Placement) -> Outline:
    """Zoom and shift an outline; its border goes on outside, as the body does below."""
    matrix, size = _matrix(placement, len(outline)), outline.shape[::-1]
    return np.asarray(
        cv2.warpAffine(outline.astype(np.uint8), matrix, size, borderMode=cv2.BORDER_REPLICATE) > 0
    )


def moved_picture(pixels: Pixels, placement: Placement) -> Pixels:
    """Zoom and shift a picture; its border goes on outside."""
    matrix = _matrix(placement, len(pixels))
    return np.asarray(
        cv2.warpAffine(
            pixels, matrix, pixels.shape[1::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
    )


def _matrix(placement: Placement, size: int) -> NDArray[np.float64]:
    centre = (size - 1) / 2
    zoom, right, down = placement
    return np.array(
        [
            [zoom, 0, centre * (1 - zoom) + right * size],
            [0, zoom, centre * (1 - zoom) + down * size],
        ]
    )


def _placements(outlines: Sequence[Outline], masks: Sequence[Outline]) -> list[Placement | None]:
    """Find what undoes the shift and zoom of each outline; None where there is none, or it is the style's."""
    found, gains, overlaps = [], [], []
    for outline, mask in zip(outlines, masks, strict=True):
        placement, after = _search(outline, mask)
        found.append(placement)
        gains.append(after - overlap(outline, mask))
        overlaps.append(after)
    same_shape = np.median(overlaps) >= SAME_SHAPE
    limit = GAIN if same_shape else _fence(np.array(gains), GAIN, MOST_GAIN)
    return [place if place.far and gain >= limit else None for place, gain in zip(found, gains, strict=True)]


def _fence(values: NDArray[np.float64], least: float, most: float) -> float:
    """Return Tukey's outer fence, within limits: what lies above is no part of the rest."""
    low, high = np.quantile(values, (0.25, 0.75))
    return float(np.clip(high + 3 * (high - low), least, most))


def _search(outline: Outline, mask: Outline) -> tuple[Placement, float]:
    """Climb, halving the steps, to the placement in which two outlines overlap most; say by how much."""
    best, score = Placement(), overlap(outline, mask)
    step = 0.06
    while step > 0.002:
        tried = [
            best._replace(zoom=best.zoom * (1 + sign * step)) for sign in (-1, 1)
        ] + [
            best._replace(**{name: getattr(best, name) + sign * step})
            for name in ("right", "down")
            for sign in (-1, 1)
        ]  # fmt: skip
        inside = [place for place in tried if _allowed(place)]
        scores = [overlap(moved_outline(outline, place), mask) for place in inside]
        top = int(np.argmax(scores))
        if scores[top] > score:
            best, score = inside[top], scores[top]
        else:
            step /= 2
    return best, score


def _allowed(place: Placement) -> bool:
    zoomed = 1 / _LARGEST_ZOOM <= place.zoom <= _LARGEST_ZOOM
    return zoomed and max(abs(place.right), abs(place.down)) <= _LARGEST_SHIFT
