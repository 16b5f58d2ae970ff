"""What a system that edits pictures is to the table, and how it makes a row."""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from stylehead.evaluation.portraits import Portraits
from stylehead.export.images import to_pixels
from stylehead.images import image_01


class Editor(Protocol):
    """Edits the views of one person, each on its own."""

    def edit(self, person: Portraits, prompt: str) -> Tensor:
        """Return the edited views [V,3,R,R] in 0..1 of a person [1,V,...], at any size."""
        ...


@torch.no_grad()
def edit_portraits(
    editor: Editor,
    untouched: Portraits,
    prompt: str,
    *,
    done: Callable[[int], Any] = lambda _count: None,
) -> Portraits:
    """Edit all pictures of everybody.

    Args:
        editor: Such as `InstructPix2Pix`.
        untouched: Whom to edit, from which sides, with depths and masks.
        prompt: In words.
        done: Called with the number of finished people, for progress.

    Returns:
        Pictures of the same size; whoever edits pictures has neither mask nor depth.
    """
    size = untouched.resolution
    people = []
    for count, seed in enumerate(untouched.seeds, start=1):
        views_01 = resized(editor.edit(untouched.pick(seeds=[seed]), prompt), size)
        people.append(torch.from_numpy(to_pixels(views_01 * 2 - 1)).permute(0, 3, 1, 2))
        done(count)
    return Portraits(torch.stack(people), untouched.seeds, untouched.yaws_deg)


def same_start(person: Portraits, channels: int, size: int) -> Tensor:
    """The noise [V,C,h,w] that all views of a person start from: the same for each, by the person's seed."""
    rng = torch.Generator().manual_seed(person.seeds[0])
    return torch.randn(1, channels, size, size, generator=rng).expand(len(person.yaws_deg), -1, -1, -1)


def views_01(person: Portraits, size: int) -> Tensor:
    """Views [V,3,size,size] in 0..1 of a person [1,V,...]."""
    return resized(image_01(person.images[0]), size)


def resized(images_01: Tensor, size: int) -> Tensor:
    """Pictures at another size; as they are where it is theirs."""
    if images_01.shape[-1] == size:
        return images_01
    return functional.interpolate(images_01, size=size, mode="bilinear", antialias=True).clamp(0, 1)
