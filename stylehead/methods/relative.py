"""Keeping identities as far apart as they were: what LD and DiffusionGAN3D share."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from stylehead.methods.config import StylizeConfig
from stylehead.methods.losses import relative_distance_loss
from stylehead.methods.scene import Scene
from stylehead.settings import Share, Weight


@dataclass(frozen=True, kw_only=True)
class RelativeDistanceSettings(StylizeConfig):
    """How distances between the tri-grids of this head and the previous one are kept."""

    relative_distance_weight: Weight = 0.0
    """Weight of keeping distances between identities' tri-grids as they were."""
    relative_distance_axis: Literal["channels", "planes"] = "channels"
    """Axis of the tri-grid norm; the released script reduces over the three planes."""
    relative_distance_floor: Share = 0.05
    """Smallest reference distance that counts, as a fraction of the mean one."""
    relative_distance_limit: Weight = 10.0
    """Largest distance ratio that counts; 0 for no limit."""


def relative_distance(
    config: RelativeDistanceSettings, scene: Scene, previous: tuple[Tensor, ...] | None
) -> Tensor | None:
    """Compare the distances to the previous iteration's head before and after; None in the first iteration.

    Args:
        config: How.
        scene: Tri-grids of this iteration.
        previous: Those of the previous one (trained, reference), as `remembered` returned them.
    """
    if config.relative_distance_weight == 0 or previous is None:
        return None
    return relative_distance_loss(
        (scene.planes, previous[0]),
        (scene.reference_planes, previous[1]),
        axis=config.relative_distance_axis,
        floor=config.relative_distance_floor,
        limit=config.relative_distance_limit,
    )


def remembered(config: RelativeDistanceSettings, scene: Scene) -> tuple[Tensor, ...] | None:
    """Return the tri-grids (trained, reference) that the next iteration compares with, if it does."""
    if config.relative_distance_weight == 0:
        return None
    return scene.planes.detach(), scene.reference_planes
