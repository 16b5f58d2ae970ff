"""Pivotal tuning: a copy of the generator learns to show one picture exactly, with the found head held fast.

Only synthesis learns, never the mapping. So that the other sides stay a head, random views of the same head
are held to what the untouched generator shows there.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stylehead.errors import JobError, UsageError
from stylehead.generator import PanoHead
from stylehead.geometry import random_cameras
from stylehead.inversion.project import ProjectedHead
from stylehead.inversion.similarity import ImageSimilarity, TargetImage, pixel_distance

_PREFIXES = ("backbone.synthesis.", "superresolution.", "decoder.", "torgb.")
_YAW_RAD, _PITCH_RAD = 3.1416, 0.5


@dataclass(frozen=True)
class PivotalConfig:
    """How long and how hard a generator is tuned."""

    steps: int = 100
    learning_rate: float = 3e-4
    perceptual_weight: float = 1.0
    other_views_weight: float = 1.0
    """Weight of keeping random other views as they were."""
    seed: int = 0
    """Of those views."""

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UsageError(f"`steps` (={self.steps}) must be at least 1.")


def _ignore(_step: int, _terms: dict[str, float], _image: Tensor) -> None:
    pass


def tune(
    generator: PanoHead,
    found: ProjectedHead,
    target: TargetImage,
    *,
    similarity: ImageSimilarity,
    config: PivotalConfig | None = None,
    on_step: Callable[[int, dict[str, float], Tensor], None] = _ignore,
) -> PanoHead:
    """Tune a copy of a generator to a picture.

    Args:
        generator: Stays as it is.
        found: The head and camera of the projection.
        target: The picture.
        similarity: Compares pictures.
        config: Settings.
        on_step: Called after every step with the number of steps done, the terms, and the render.

    Returns:
        The tuned copy, in evaluation mode.

    Raises:
        JobError: The loss is not finite.
    """
    config = config or PivotalConfig()
    tuned = copy.deepcopy(generator)
    parameters = [item for name, item in tuned.named_parameters() if name.startswith(_PREFIXES)]
    optimizer = torch.optim.Adam([item.requires_grad_(True) for item in parameters], lr=config.learning_rate)
    rng = torch.Generator().manual_seed(config.seed)
    wanted = target.at(generator.config.img_resolution)
    with torch.no_grad():
        before = generator.prepare(generator.planes(found.ws))
    for step in range(config.steps):
        other = random_cameras(1, yaw_range_rad=_YAW_RAD, pitch_range_rad=_PITCH_RAD, rng=rng)
        labels = torch.cat([found.camera_label, other.to(found.camera_label)])
        out = tuned.render(tuned.planes(found.ws), found.ws, labels, background="white")
        with torch.no_grad():
            kept = generator.render(before, found.ws, labels[1:], background="white")
        distance = similarity.perceptual_loss(out.image[:1], wanted.image)
        terms = {
            "pixel": pixel_distance(out.image[:1], wanted.image)[0],
            "perceptual": config.perceptual_weight * distance[0],
            "mask": (out.mask[:1] - target.at(out.mask.shape[-1]).mask).square().mean(),
            "others": config.other_views_weight * pixel_distance(out.image[1:], kept.image)[0],
        }
        loss = torch.stack(list(terms.values())).sum()
        if not torch.isfinite(loss):
            raise JobError("The tuning does not converge: its loss is not finite.", "leave --pti out")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        on_step(
            step + 1, {name: float(term.detach()) for name, term in terms.items()}, out.image[:1].detach()
        )
    return tuned.requires_grad_(False).eval()
