"""Skin, hair and clothes of a head in the colours of a photograph: their means are matched, not their pixels.

What is learned from procedural heads in any light is careful with colours: fair hair comes out a little dull.
Where skin, hair and clothes are in the photograph is known, so their mean colours are, and the few numbers of
an identity that only colour are moved until the drawn head has them too. The darkest third of the skin is
left out, and skin only becomes lighter: shadows make it look darker than it is, and warm light is no tan.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from stylehead.images import luma, resize

STEPS, RATE = 25, 0.15
"""Of the descent, in units of the numbers' spread a step."""
NEARNESS = 0.01
"""Weight of the mean squared distance from what was read, in those units, beside that of colours."""
_MOST = 3.0  # units from the average of all people
_SURE = 0.8  # that a pixel shows a part: colours bleed over edges
_SHADE = 1 / 3  # of the skin is taken to be in the shade
_LEAST_SHARE = 0.01  # of a picture: the colour of less is not trusted


class Tints(NamedTuple):
    """Mean colours [P, 3] in -1..1 of parts, the skin first, and 1 [P] where one is seen, else 0."""

    colours: Tensor
    seen: Tensor


def tints(image_pm1: Tensor, parts: Tensor) -> Tints:
    """Mean colours of the parts of one picture.

    Args:
        image_pm1: [1, 3, R, R].
        parts: Shares of each pixel, [P, r, r].
    """
    shares = (resize(parts[None], image_pm1.shape[-1], antialias=False)[0] > _SURE).float()
    area = shares.sum(dim=(1, 2))
    seen = (area > _LEAST_SHARE * shares[0].numel()).float()
    counted = torch.cat([_lit(image_pm1, shares[:1]), shares[1:]])
    colours = torch.einsum("chw,phw->pc", image_pm1[0], counted)
    return Tints(colours / counted.sum(dim=(1, 2)).clamp(min=1)[:, None], seen)


def _lit(image_pm1: Tensor, share: Tensor) -> Tensor:
    """Of pixels that are 1 [1, R, R], those that are not among the darkest third of them."""
    brightness = luma(image_pm1)
    inside = brightness[share > 0]
    return share if not len(inside) else share * (brightness >= inside.quantile(_SHADE))


def tint_difference(found: Tints, wanted: Tints) -> Tensor:
    """Squared differences of the colours of a head from those of a photograph, over all parts but the skin's.

    Of the skin it is how much darker the head's is.
    """
    both = found.seen * wanted.seen
    others = ((found.colours - wanted.colours).square().mean(dim=1) * both)[1:].sum()
    ours, theirs = (luma(x.colours[:1, :, None, None])[0, 0, 0] for x in (found, wanted))
    return others + both[0] * (theirs - ours).clamp(min=0).square()


def matched(
    start: Tensor, free: Tensor, draw: Callable[[Tensor], Tensor], parts: Tensor, wanted: Tints
) -> Tensor:
    """Move numbers until a drawn head has the colours of a photograph.

    Args:
        start: An identity as it is learned, [1, 128].
        free: 1 for the numbers that only colour, [128].
        draw: Draws an identity as it is learned, to [1, 3, R, R] in -1..1; differentiable.
        parts: Of the drawn head, [P, r, r]; colours do not change them.
        wanted: Colours of the photograph.

    Returns:
        The identity as it is learned, [1, 128].
    """
    moved = torch.zeros_like(start).requires_grad_(True)
    optimizer = torch.optim.Adam([moved], lr=RATE)
    with torch.enable_grad():
        for _ in range(STEPS):
            loss = tint_difference(tints(draw(start + moved * free), parts), wanted)
            loss = loss + NEARNESS * (moved * free).square().sum() / free.sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return torch.where(free > 0, (start + moved.detach()).clamp(-_MOST, _MOST), start)
