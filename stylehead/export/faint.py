"""Parts that a level of density leaves out, though renders show them: ears, horns and frames, faint ones.

A head's surface lies where its density passes a level. What is fainter and stands off the head is still seen
where rays lose most of their light in it, so there the density is lifted until it passes the level, too.
"""

import numpy as np
from numpy.typing import NDArray

_FAINTEST = 0.25
"""Part of the level that a density must reach to be lifted."""
_APART = 0.03
"""Distance from the head's own surface, in edges of the volume, from which on a part stands off it."""
_BORDERS = 2.0
"""The same in widths of the soft border that every head has."""
_OPAQUE = 0.9
"""Optical thickness of what is seen: three fifths of the light are lost."""

Volume = NDArray[np.float32]


def with_faint_parts(density: Volume, *, level: float, box: float) -> Volume:
    """Lift the density of parts that stand off a head and are opaque from all sides.

    Args:
        density: Logits [N, N, N].
        level: Of the head's surface; nothing is fainter than one that is not above 0.
        box: Edge of the cube that the volume spans, world units.

    Returns:
        [N, N, N]; the same where there are no such parts.
    """
    from scipy import ndimage

    if level <= 0:
        return density
    lowest = _FAINTEST * level
    held, distance = density > lowest, ndimage.distance_transform_edt(density <= level)
    edges = distance[held & ~ndimage.binary_erosion(held)]
    if not edges.size:
        return density
    apart = max(_APART * len(density), _BORDERS * float(np.median(edges)))
    step = box / (len(density) - 1)
    thickness = np.where(distance > 0, np.logaddexp(0, density - 1) * step, 0)  # as the renderer has it
    seen = _opaque(held & (distance > apart), thickness)
    if not seen.any():
        return density
    grown = ndimage.binary_dilation(seen, iterations=int(apart) + 2, mask=held)
    lift = ndimage.gaussian_filter(grown.astype(np.float32), 1.0)
    return density + (level - lowest) * lift


def _opaque(parts: NDArray[np.bool_], thickness: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Keep the connected parts [N, N, N] that are opaque along every axis, by the thickness of cells."""
    from scipy import ndimage

    pieces, _ = ndimage.label(parts)
    kept = np.zeros_like(parts)
    for number, place in enumerate(ndimage.find_objects(pieces), start=1):
        wide = tuple(slice(max(part.start - 2, 0), part.stop + 2) for part in place)
        piece = pieces[wide] == number
        inside = np.where(ndimage.binary_dilation(piece, iterations=2), thickness[wide], 0)
        if min(inside.sum(axis).max() for axis in range(3)) > _OPAQUE:
            kept[wide] |= piece
    return kept
