"""From a reviewed bank to what training sees."""

import cv2
import numpy as np
import torch

from stylehead.bank.pictures import Outline, Pixels
from stylehead.bank.review import CheckedBank
from stylehead.generator import PanoHead
from stylehead.methods.edited_views import EditedViews


def edited_views(checked: CheckedBank, generator: PanoHead) -> EditedViews:
    """Return all edits that are kept, on white.

    Args:
        checked: A reviewed bank.
        generator: That it was made with.

    Raises:
        MissingError: A latent is not there.
        JobError: The generator is another one, or a latent is damaged.
    """
    kept = [edit for edit in checked.kept if edit.pixels is not None and edit.outline is not None]
    pictures = [without_background(edit.pixels, edit.outline) for edit in kept]  # type: ignore[arg-type]
    return EditedViews(
        ws=checked.bank.latents(generator),
        cameras=checked.bank.cameras(),
        pictures=torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous(),
        outlines=torch.from_numpy(np.stack([edit.outline for edit in kept])),  # type: ignore[misc]
        view_of=torch.tensor([edit.view for edit in kept]),
    )


def without_background(pixels: Pixels, outline: Outline) -> Pixels:
    """Put white behind a head: what an editor did to the background is nothing that a head should learn."""
    near = cv2.dilate(outline.astype(np.uint8), np.ones((3, 3), np.uint8))
    return np.where(near[..., None] > 0, pixels, np.uint8(255))
