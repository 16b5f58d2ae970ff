"""Regularisers: pure functions of tensors that return a scalar.

At the end the settings of the one that methods share, and what it carries from one iteration to the next.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from stylehead.images import FeatureMaps, feature_distances, to_01
from stylehead.methods.config import StylizeConfig
from stylehead.methods.scene import Scene
from stylehead.perception.lpips import Lpips
from stylehead.settings import Share, Weight

_GUARD = 1e-8


def tweedie_loss(image_pm1: Tensor, x0_hat_01: Tensor) -> Tensor:
    """Return the mean squared distance between a render and its one-step denoised picture, in 0..1 units.

    Args:
        image_pm1: Render [B, 3, H, W], nominally -1..1.
        x0_hat_01: The teacher's clean estimate [B, 3, H, W] in 0..1; a constant.
    """
    return F.mse_loss(to_01(image_pm1), x0_hat_01.detach())


def perceptual_loss(image_pm1: Tensor, target_pm1: Tensor, features: FeatureMaps) -> Tensor:
    """Return the mean perceptual distance of two batches (`stylehead.images.perceptual_distance`, or LPIPS).

    Args:
        image_pm1: Render [B, 3, H, W].
        target_pm1: Picture [B, 3, H, W]; a constant.
        features: Frozen feature network; LPIPS brings the weights of its channels along.
    """
    compare = features.distances if isinstance(features, Lpips) else feature_distances
    with torch.no_grad():
        wanted = features(target_pm1)
    distances = compare(features(image_pm1), wanted)
    return torch.stack([layer.mean() for layer in distances]).sum()


def relative_distance_loss(
    moved: tuple[Tensor, Tensor],
    fixed: tuple[Tensor, Tensor],
    *,
    axis: Literal["channels", "planes"] = "channels",
    floor: float = 0.05,
    limit: float = 10.0,
) -> Tensor:
    """Keep identities as far apart as they were: mean | ||T'_i - T'_j||^2 / ||T_i - T_j||^2 - 1 |.

    From DiffusionGAN3D (arXiv 2312.16837). The bare ratio is unbounded where two reference tri-grids nearly
    agree, hence the floor and the limit; 0 switches either off.

    Args:
        moved: Tri-grids [K, 3 C, H, W] of the trained generator, of samples i and j.
        fixed: The reference generator's, of the same samples.
        axis: What the norm runs over: the C channels of each plane, or the three planes (as released).
        floor: Smallest denominator, as a fraction of the mean one.
        limit: Largest ratio that counts.
    """
    now, before = _squared_distance(*moved, axis), _squared_distance(*fixed, axis)
    least = (floor * before.mean().double()).to(before)  # as a number would be, without waiting for one
    ratio = now / (before.clamp_min(least) + _GUARD)
    if limit > 0:
        ratio = ratio.clamp_max(limit)
    return (ratio - 1).abs().mean()


def _squared_distance(one: Tensor, other: Tensor, axis: Literal["channels", "planes"]) -> Tensor:
    """Return squared distances of tri-grids [K, 3 C, H, W], summed over their channels or planes."""
    return (one - other).unflatten(1, (3, -1)).square().sum(dim=2 if axis == "channels" else 1)


def alpha_loss(mask: Tensor, reference_mask: Tensor) -> Tensor:
    """Return the mean squared difference of opacity masks [B, 1, h, w]: a head may not fade or grow.

    Ours, not the paper's: on a plain background the cheapest way to take its colour is to become transparent.
    """
    return F.mse_loss(mask, reference_mask.detach())


def latent_loss(latents: Tensor, reference_latents: Tensor, mask: Tensor, *, colour: float = 1.0) -> Tensor:
    """Return the mean squared difference between heads in latents, their mean colours counting for less.

    Ours, not the paper's. Latents are close to small pictures, so a channel's mean over a head is the head's
    colour as a whole and the rest its shape: a style may need all of the first and little of the second.

    Args:
        latents: Of the renders [B, C, h, w].
        reference_latents: Of the untouched renders; a constant.
        mask: Opacity of the untouched heads [B, 1, h, w] in 0..1; a constant. What is behind does not count.
        colour: Weight of the means' squared difference, beside 1 for what differs after they are taken away.
    """
    head = mask.detach()
    share = head / head.sum(dim=(2, 3), keepdim=True).clamp_min(_GUARD)
    difference = latents - reference_latents.detach()
    shift = (share * difference).sum(dim=(2, 3), keepdim=True)
    return (head * ((difference - shift).square() + colour * shift.square())).mean()


def detail_loss(error: Tensor, *, levels: int = 3) -> Tensor:
    """Return the mean absolute value of what each halving of the resolution loses of an error [B, C, H, W].

    Ours. Eyes and mouths are few pixels: in squared errors they are worth less than a shade of the forehead.

    Args:
        error: A render less what it is to be.
        levels: Number of halvings.
    """
    total = error.new_zeros(())
    for _ in range(levels):
        if error.shape[-1] < 2:
            break
        coarse = F.avg_pool2d(error, 2)
        back = F.interpolate(coarse, size=error.shape[-2:], mode="bilinear", align_corners=False)
        total = total + (error - back).abs().mean()
        error = coarse
    return total


# ----------------------------------------------------------------------- from one iteration to the next


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
