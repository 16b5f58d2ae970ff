"""Reference pictures sampled from the teacher, where the true ones are not known.

The diffusion model samples the prompt, conditioned on the edges of every untouched picture. Its noise is
drawn from seeds that no training uses, so that a method is not compared with the pictures that trained it.
"""

from collections.abc import Callable
from typing import Any

import torch

from stylehead.evaluation.portraits import Portraits
from stylehead.images import bytes_to_pm1, resize, to_pixels
from stylehead.teacher import ControlCondition, Teacher, canny_condition

STEPS = 50
HELD_OUT_SEED = 2**40


@torch.no_grad()
def teacher_pictures(
    teacher: Teacher,
    untouched: Portraits,
    prompt: str,
    *,
    steps: int = STEPS,
    batch: int = 4,
    done: Callable[[int], Any] = lambda _count: None,
) -> Portraits:
    """Sample a prompt from the teacher, conditioned on the edges of untouched pictures.

    Args:
        teacher: With an edge ControlNet.
        untouched: Whom to paint, from which sides.
        prompt: In words.
        steps: DDIM steps.
        batch: Pictures at once.
        done: Called with the number of finished pictures, for progress.

    Raises:
        MissingError: The teacher has no edge ControlNet.
    """
    rng = torch.Generator().manual_seed(HELD_OUT_SEED)
    size = teacher.image_size
    painted, count = [], 0
    for chunk in untouched.images.flatten(0, 1).split(batch):
        image = resize(bytes_to_pm1(chunk).to(teacher.device), size)
        condition = ControlCondition("canny", canny_condition(image))
        sample = teacher.sample(prompt, condition=condition, count=len(chunk), steps=steps, rng=rng)
        painted.append(torch.from_numpy(to_pixels(sample)).permute(0, 3, 1, 2))
        count += len(chunk)
        done(count)
    images = torch.cat(painted).unflatten(0, untouched.images.shape[:2])
    return Portraits(images, untouched.seeds, untouched.yaws_deg)
