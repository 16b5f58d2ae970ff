"""What a system that edits pictures is to the table, and how it makes a row."""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from stylehead.evaluation.portraits import Portraits
from stylehead.images import bytes_to_01, resize, to_pixels, to_pm1
from stylehead.teacher.editing import Editor


class PortraitEditor(Protocol):
    """Edits the views of one person, each on its own."""

    def edit(self, person: Portraits, prompt: str) -> Tensor:
        """Return the edited views [V, 3, R, R] in 0..1 of a person [1, V, ...], at any size."""
        ...


class InstructedEditor:
    """Edits portraits by instruction; all views of a person start from the noise of the person's seed.

    That is no guarantee that they fit together, which is what the row is there to show.

    Args:
        editor: Such as `InstructPix2Pix`.
        instruct: Makes an instruction of a prompt.
    """

    def __init__(self, editor: Editor, *, instruct: Callable[[str], str] = str) -> None:
        self._editor, self._instruct = editor, instruct

    def edit(self, person: Portraits, prompt: str) -> Tensor:
        """Return the edited views [V, 3, R, R] in 0..1 of a person."""
        instruction = self._instruct(prompt)
        return self._editor.edit(bytes_to_01(person.images[0]), instruction, seed=person.seeds[0])


@torch.no_grad()
def edit_portraits(
    editor: PortraitEditor,
    untouched: Portraits,
    prompt: str,
    *,
    done: Callable[[int], Any] = lambda _count: None,
) -> Portraits:
    """Edit all pictures of all people.

    Args:
        editor: Such as an `InstructedEditor`.
        untouched: Whom to edit, from which sides, with depths and masks.
        prompt: In words.
        done: Called with the number of finished people, for progress.

    Returns:
        Pictures of the same size; whoever edits pictures has neither mask nor depth.
    """
    size = untouched.resolution
    people = []
    for count, seed in enumerate(untouched.seeds, start=1):
        views_01 = resize(editor.edit(untouched.pick(seeds=[seed]), prompt), size)
        people.append(torch.from_numpy(to_pixels(to_pm1(views_01))).permute(0, 3, 1, 2))
        done(count)
    return Portraits(torch.stack(people), untouched.seeds, untouched.yaws_deg)
