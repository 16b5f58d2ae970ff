"""Who is in an edit: held against the faces of everybody in the bank, as outlines alone tell nobody.

A recogniser of faces embeds the renders of a person from all sides; their mean stands for the person. An edit
that looks more like somebody else of the bank, by more than any true picture of a style does, is somebody
else's. The limit was set on the true pictures of 60 people from 4 sides: by it alone at most 4 of 240 of any
style are refused, werewolves among them, and of the pictures of ten people in the places of ten others 4 to 8
of 40 stay.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stylehead.bank.pictures import Pixels
from stylehead.images import bytes_to_pm1

STRANGER = 0.35
"""An edit that is more similar to another person by more than this (of cosines) shows that person."""
_AT_ONCE = 32

FaceVectors = Callable[[Tensor], Tensor]
"""Maps images [B, 3, H, W] in -1..1 to unit vectors [B, D] that agree for the same person."""


def strangeness(
    edits: Sequence[Pixels],
    shown: Sequence[int],
    renders: Sequence[Pixels],
    faces: FaceVectors,
    *,
    people: int,
) -> NDArray[np.float64]:
    """Return by how much more each edit resembles somebody else of the bank than whom it should show [E].

    Args:
        edits: uint8 [S, S, 3] each.
        shown: Whom each should show.
        renders: All renders of the bank, person by person, equally many each.
        faces: The recogniser.
        people: How many there are.

    Returns:
        Differences of cosines; below 0 where an edit resembles its own person most, -1 where there is nobody
        else. All are -1 where most edits resemble somebody else: that recogniser sees nothing in this style.
    """
    if people < 2 or not edits:
        return np.full(len(edits), -1.0)
    vectors = _embedded(renders, faces)
    known = vectors.reshape(people, -1, vectors.shape[1]).mean(axis=1)
    known /= np.linalg.norm(known, axis=1, keepdims=True).clip(1e-8)
    alike = _embedded(edits, faces) @ known.T
    rows = np.arange(len(edits))
    own = alike[rows, shown]
    alike[rows, shown] = -np.inf
    margins = alike.max(axis=1) - own
    return np.full(len(edits), -1.0) if np.median(margins) > STRANGER else margins


def _embedded(pictures: Sequence[Pixels], faces: FaceVectors) -> NDArray[np.float64]:
    """Embed pictures, [N, D]."""
    images = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    with torch.no_grad():
        found = [faces(bytes_to_pm1(part)).cpu().double() for part in images.split(_AT_ONCE)]
    return torch.cat(found).numpy()
