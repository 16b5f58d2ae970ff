"""Volume rendering: rays, depths along them, and what they gather on the way.

Every function works on [B, M, ...] tensors: B cameras, M rays each, S samples a ray. Depths are distances
along unit rays. No gradient flows through depths; it flows through densities, features and, by way of the
points, cameras.
"""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from stylehead.architecture import RenderingConfig
from stylehead.generator.recompute import recomputed
from stylehead.geometry import split_label

EmptyDepth = Literal["largest", "smallest"]
Field = Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor]]
"""Maps points [B, M, S, 3] to density logits [B, M, S] and features [B, M, S, C]; where the mask [B, M, S],
if there is one, is False, the result is not used."""
_TRANSPARENT = -1000.0


class Rays(NamedTuple):
    """Origins [B, M, 3] and unit directions [B, M, 3]; ray row R + column, row by row from the top left."""

    origins: Tensor
    directions: Tensor


class RaySamples(NamedTuple):
    """Samples along rays: depths [B, M, S], density logits [B, M, S], features [B, M, S, C]."""

    depths: Tensor
    density: Tensor
    features: Tensor


class MarchOutput(NamedTuple):
    """What rays gathered: pre-multiplied features [B, M, C], depth [B, M, 1], weight_sum [B, M, 1], 0..1."""

    features: Tensor
    depth: Tensor
    weight_sum: Tensor


@dataclass(frozen=True, eq=False)
class DepthDraws:
    """The random numbers of one render, in 0..1.

    Attributes:
        coarse: Jitter of the coarse depths, one-sided, in steps: [B, M, S], or any shape of as many numbers.
        fine: Where to put the importance samples: [B, M, n], or any shape of as many numbers.
    """

    coarse: Tensor
    fine: Tensor

    @classmethod
    def make(
        cls,
        rays: Rays,
        config: RenderingConfig,
        deterministic: bool = True,
        rng: torch.Generator | None = None,
    ) -> "DepthDraws":
        """Draw uniformly from a generator on the rays' device; deterministic: no jitter, even spread."""
        shape, like = rays.origins.shape[:2], rays.origins
        if deterministic:
            count = config.depth_resolution_importance
            even = torch.linspace(0, 1, count, dtype=like.dtype, device=like.device)
            return cls(like.new_zeros(()).expand(*shape, config.depth_resolution), even.expand(*shape, count))
        coarse = like.new_empty(*shape, config.depth_resolution).uniform_(generator=rng)
        fine = like.new_empty(*shape, config.depth_resolution_importance).uniform_(generator=rng)
        return cls(coarse, fine)


def as_images(marched: MarchOutput, resolution: int) -> MarchOutput:
    """What rays gathered [B, R^2, C], in row order, as images [B, C, R, R], without a copy."""
    return MarchOutput(*(part.transpose(1, 2).unflatten(2, (resolution, resolution)) for part in marched))


def camera_rays(camera_label: Tensor, resolution: int) -> Rays:
    """Rays through the pixel centres of B cameras.

    Args:
        camera_label: Labels [B, 25].
        resolution: R; every camera gets M = R^2 rays.
    """
    cam2world, intrinsics = split_label(camera_label)
    centre = torch.arange(resolution, dtype=cam2world.dtype, device=cam2world.device) * (1 / resolution)
    centre = centre + 0.5 / resolution
    v, u = (grid.reshape(1, -1) for grid in torch.meshgrid(centre, centre, indexing="ij"))
    fx, skew, cx = (intrinsics[:, 0, column, None] for column in range(3))
    fy, cy = intrinsics[:, 1, 1, None], intrinsics[:, 1, 2, None]
    x = (u - cx + cy * skew / fy - skew * v / fy) / fx
    y = ((v - cy) / fy).expand_as(x)
    # Unprojected as world points and made relative again: bit by bit what the published network computes.
    one = torch.ones_like(x)
    world = (cam2world @ torch.stack([x, y, one, one], dim=1))[:, :3].transpose(1, 2)
    origins = cam2world[:, None, :3, 3].expand_as(world)
    return Rays(origins, functional.normalize(world - origins, dim=-1))


def ray_limits(rays: Rays, config: RenderingConfig) -> tuple[float | Tensor, float | Tensor]:
    """Nearest and furthest depth: one for all, or [B, M, 1] where rays meet the cube when they are "auto".

    A ray that misses the cube starts at the nearest entry of the others and ends at their furthest *entry*,
    as in the published network. When all miss, it passes the ball around the cube.
    """
    near, far = config.ray_start, config.ray_end
    if near != "auto" and far != "auto":
        return near, far
    half = config.box_warp / 2
    inverse = 1 / rays.directions
    first, second = (-half - rays.origins) * inverse, (half - rays.origins) * inverse
    start = torch.minimum(first, second).amax(dim=-1, keepdim=True)
    end = torch.maximum(first, second).amin(dim=-1, keepdim=True)
    hit = start < end
    nearest = torch.where(hit, start, math.inf).amin()
    furthest = torch.where(hit, start, -math.inf).amax()
    distance, reach = rays.origins.norm(dim=-1, keepdim=True), half * 3**0.5
    missed = hit.logical_not().all()  # not asked in Python: a graphics card need not be waited for
    return (
        torch.where(hit, start, torch.where(missed, distance - reach, nearest)),
        torch.where(hit, end, torch.where(missed, distance + reach, furthest)),
    )


def coarse_depths(
    near: float | Tensor, far: float | Tensor, jitter: Tensor, *, disparity: bool = False
) -> Tensor:
    """Depths [B, M, S] from near to far in S steps, each pushed on by its jitter (0..1 of a step).

    Args:
        near: One depth for all, or [B, M, 1].
        far: One depth for all, or [B, M, 1].
        jitter: [B, M, S].
        disparity: Even steps in 1 / depth instead of depth.
    """
    count = jitter.shape[-1]

    def even(start: float, end: float) -> Tensor:
        return torch.linspace(start, end, count, dtype=jitter.dtype, device=jitter.device)

    if disparity:
        step = even(0, 1) + jitter * (1 / (count - 1))
        return 1 / ((1 - step) / near + step / far)
    if isinstance(near, Tensor) or isinstance(far, Tensor):
        unjittered = near + even(0, 1) * (far - near)
    else:
        unjittered = even(
            near, far
        )  # to the last bit as published: a rounding can push a sample out of the crop
    return unjittered + jitter * ((far - near) / (count - 1))


def ray_weights(depths: Tensor, density: Tensor) -> Tensor:
    """Weight of each interval between sorted samples.

    Opacity of an interval: `1 - exp(-softplus(mean density - 1) length)`; weight: opacity times what the
    intervals before let through.

    Args:
        depths: Sorted, [B, M, S].
        density: Logits [B, M, S].

    Returns:
        [B, M, S-1], each ray's sum at most 1.
    """
    middle = (density[..., 1:] + density[..., :-1]) * 0.5
    opacity = 1 - torch.exp(-functional.softplus(middle - 1) * (depths[..., 1:] - depths[..., :-1]))
    passed = torch.cumprod(1 - opacity[..., :-1] + 1e-10, dim=-1)
    return torch.cat([opacity[..., :1], opacity[..., 1:] * passed], dim=-1)


@torch.no_grad()
def importance_depths(depths: Tensor, weights: Tensor, u: Tensor) -> Tensor:
    """Place further samples where a coarse pass found weight, by inverting its cumulative distribution.

    Args:
        depths: Coarse depths, sorted, [B, M, S] with S at least 4.
        weights: Coarse weights [B, M, S-1].
        u: Where on the distribution, 0..1, [B, M, n].

    Returns:
        [B, M, n]. The mass of interval j + 1 is spread between the middles of intervals j and j + 1: half an
        interval towards the camera, as in the published network.
    """
    padded = functional.pad(weights, (1, 1), value=-torch.inf)
    peaks = torch.maximum(padded[..., :-1], padded[..., 1:])
    mass = (peaks[..., 1:-2] + peaks[..., 2:-1]) * 0.5 + 0.01 + 1e-5  # intervals 1 .. S-3
    pdf = mass / mass.sum(dim=-1, keepdim=True)
    cdf = functional.pad(pdf.cumsum(dim=-1), (1, 0))
    above = torch.searchsorted(cdf, u.contiguous(), right=True)
    low, high = (above - 1).clamp(min=0), above.clamp(max=cdf.shape[-1] - 1)
    middles = (depths[..., 1:] + depths[..., :-1]) * 0.5
    cdf_low, cdf_high = cdf.gather(-1, low), cdf.gather(-1, high)
    middle_low, middle_high = middles.gather(-1, low), middles.gather(-1, high)
    span = cdf_high - cdf_low
    span = torch.where(span < 1e-5, torch.ones_like(span), span)
    return middle_low + (u - cdf_low) / span * (middle_high - middle_low)


def march(
    passes: Sequence[RaySamples], *, white_back: bool = False, empty_depth: EmptyDepth = "largest"
) -> MarchOutput:
    """Composite the samples of one or more passes along each ray, front to back.

    Samples count in order of depth whatever pass they are from. Only densities are sorted: since an interval
    shows the mean of its two ends, a sample's share is half the weights before and after it, and the features
    stay where they are.

    Args:
        passes: For example the coarse and the importance samples.
        white_back: Add the light that is left to every feature.
        empty_depth: Depth of a ray that met nothing: the largest (published network) or smallest in the
            batch.
    """
    depths = torch.cat([p.depths for p in passes], dim=-1)
    density = torch.cat([p.density for p in passes], dim=-1)
    order = None
    if len(passes) > 1:
        depths, order = torch.sort(depths, dim=-1)
        density = density.gather(-1, order)
    weights = ray_weights(depths, density)
    weight_sum = weights.sum(dim=-1, keepdim=True)

    share = (functional.pad(weights, (1, 0)) + functional.pad(weights, (0, 1))) * 0.5
    if order is not None:
        share = torch.zeros_like(share).scatter(-1, order, share)
    counts = [p.depths.shape[-1] for p in passes]
    features = torch.stack(
        [_weighted_sum(part, p.features) for part, p in zip(share.split(counts, dim=-1), passes, strict=True)]
    ).sum(dim=0)
    if white_back:
        features = features + 1 - weight_sum

    middles = (depths[..., 1:] + depths[..., :-1]) * 0.5
    depth = (weights * middles).sum(dim=-1, keepdim=True) / weight_sum.clamp(min=1e-8)
    if empty_depth == "largest":
        depth = torch.where(weight_sum > 0, depth, torch.inf)
    return MarchOutput(features, depth.clamp(depths.min(), depths.max()), weight_sum)


def _weighted_sum(shares: Tensor, features: Tensor) -> Tensor:
    """Sum features [B, M, S, C] with shares [B, M, S] to [B, M, C]."""
    if shares.device.type == "cpu":  # where that many tiny matrix products take three times as long
        return (shares[..., None] * features).sum(dim=-2)
    return (shares[..., None, :] @ features)[..., 0, :]


@dataclass(frozen=True)
class DensityEdits:
    """What is made transparent (or solid) before marching; 0 switches an edit off.

    Attributes:
        triplane_crop: Nothing shows within this distance of the cube's faces in x and z; None: as configured.
        cull_clouds: Samples of opacity below this become transparent.
        binarize_clouds: Samples become transparent below this opacity and solid above.
    """

    triplane_crop: float | None = None
    cull_clouds: float = 0.0
    binarize_clouds: float = 0.0

    def kept(self, points: Tensor, config: RenderingConfig) -> Tensor | None:
        """Which of the points [..., 3] the crop lets show; None for all of them."""
        crop = config.triplane_crop if self.triplane_crop is None else self.triplane_crop
        if not crop:
            return None
        limit = config.box_warp / 2 - crop
        return (points[..., 0].abs() <= limit) & (points[..., 2].abs() <= limit)

    def apply(self, density: Tensor, points: Tensor, config: RenderingConfig) -> Tensor:
        """Edit density logits [...] of points [..., 3]; their gradient is cut where they are replaced."""
        return self.apply_kept(density, self.kept(points, config))

    def apply_kept(self, density: Tensor, kept: Tensor | None) -> Tensor:
        """Do the same, where what the crop lets show is known."""
        if kept is not None:
            density = density.masked_fill(~kept, _TRANSPARENT)
        if self.cull_clouds:
            density = density.masked_fill(_opacity(density) < self.cull_clouds, _TRANSPARENT)
        if self.binarize_clouds:
            clear = _opacity(density) < self.binarize_clouds
            density = density.masked_fill(clear, _TRANSPARENT).masked_fill(~clear, -_TRANSPARENT)
        return density


def _opacity(density: Tensor) -> Tensor:
    return 1 - torch.exp(-functional.softplus(density.detach() - 1))


def render_rays(
    field: Field,
    rays: Rays,
    config: RenderingConfig,
    *,
    draws: DepthDraws,
    edits: DensityEdits | None = None,
    empty_depth: EmptyDepth = "largest",
) -> MarchOutput:
    """Render a field along rays: a coarse pass, then importance samples where it found something.

    A ray that gathered no more than `config.empty_ray` in the coarse pass shows nothing, and its importance
    samples are not computed.

    Args:
        field: Maps points [B, M, S, 3] to density logits [B, M, S] and features [B, M, S, C].
        rays: B cameras, M rays each.
        config: Sample counts, limits, box and background rule.
        draws: Random numbers of the depths.
        edits: Changes to the density.
        empty_depth: See `march`.
    """
    edits = edits or DensityEdits()

    def samples(depths: Tensor, seen: Tensor | None = None) -> RaySamples:
        points = rays.origins[:, :, None] + depths[..., None] * rays.directions[:, :, None]
        kept = edits.kept(points, config)
        if seen is not None:
            kept = seen.expand_as(depths) if kept is None else kept & seen
        # Beside a solid of +1000, and only there, something shows even of what the crop takes away.
        density, features = field(points, None if edits.binarize_clouds else kept)
        return RaySamples(depths, edits.apply_kept(density, kept), features)

    shape = rays.origins.shape[:2]
    with torch.no_grad():
        near, far = ray_limits(rays, config)
        depths = coarse_depths(
            near,
            far,
            draws.coarse.reshape(*shape, config.depth_resolution),
            disparity=config.disparity_space_sampling,
        )
    passes = [samples(depths)]
    if config.depth_resolution_importance > 0:
        weights = ray_weights(depths, passes[0].density.detach())
        u = draws.fine.reshape(*shape, config.depth_resolution_importance)
        seen = weights.sum(dim=-1, keepdim=True) > config.empty_ray if config.empty_ray else None
        passes.append(samples(importance_depths(depths, weights, u), seen))
    return march(passes, white_back=config.white_back, empty_depth=empty_depth)


def render_rays_one_by_one(
    fields: Sequence[Field],
    rays: Rays,
    config: RenderingConfig,
    *,
    draws: DepthDraws,
    edits: DensityEdits | None = None,
    empty_depth: EmptyDepth = "largest",
) -> MarchOutput:
    """Render B cameras one after the other, and again in the backward pass, to keep less in memory.

    Args:
        fields: What each camera looks at.
        rays: B cameras, M rays each.
        config: Sample counts, limits, box and background rule.
        draws: Random numbers of the depths.
        edits: Changes to the density.
        empty_depth: See `march`; among the depths of the same camera only.
    """
    coarse, fine = (numbers.reshape(len(fields), -1) for numbers in (draws.coarse, draws.fine))
    parts = []
    for index, field in enumerate(fields):
        one = slice(index, index + 1)
        run = functools.partial(
            render_rays,
            field,
            Rays(rays.origins[one], rays.directions[one]),
            config,
            draws=DepthDraws(coarse[one], fine[one]),
            edits=edits,
            empty_depth=empty_depth,
        )
        parts.append(recomputed(run))
    return MarchOutput(*(torch.cat(part) for part in zip(*parts, strict=True)))
