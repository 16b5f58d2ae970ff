"""What goes into a render beside the network, and what comes out."""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from torch import Tensor

from stylehead.generator.renderer import DensityEdits, DepthDraws, EmptyDepth

Background = bool | Literal["white"]


class RenderOutput(NamedTuple):
    """Pictures of B cameras.

    Attributes:
        image: [B, 3, img_resolution, img_resolution], nominally -1..1, not clamped.
        image_raw: [B, 3, R, R] before super-resolution, nominally -1..1.
        depth: [B, 1, R, R], distance along the ray; meaningless where the mask is below about 1e-3.
        mask: [B, 1, R, R], 0..1 (a thousandth beyond either end, as published, unless `raw_mask`).
    """

    image: Tensor
    image_raw: Tensor
    depth: Tensor
    mask: Tensor


class RawOutput(NamedTuple):
    """What super-resolution starts from, at the raw resolution R.

    Attributes:
        features: [B, 32, R, R], background included.
        image_raw: [B, 3, R, R], nominally -1..1.
        depth: [B, 1, R, R], distance along the ray.
        weight_sum: [B, 1, R, R], how much of each ray met the head, 0..1.
    """

    features: Tensor
    image_raw: Tensor
    depth: Tensor
    weight_sum: Tensor


class PointSamples(NamedTuple):
    """The field at points: density logits [K, P, 1] and features [K, P, 32], no crop applied."""

    density: Tensor
    features: Tensor


@dataclass(frozen=True, eq=False)
class RenderOptions:
    """Rarely needed switches of one render.

    Attributes:
        resolution: Edge of the raw render, instead of the network's own.
        edits: Crop and culling of the density.
        empty_depth: Depth of rays that met nothing: "largest" in the batch (as published) or "smallest".
        raw_mask: Return the ray weights W themselves as the mask, instead of 1.002 W - 0.001 (as published).
        ws_background: Style vectors [K, n, w_dim] of the background, instead of the first of `ws`.
        draws: Random numbers of the depths, instead of drawing them.
        one_view: Render one view at a time, and again in the backward pass: the same picture and gradients in
            less memory and more time. Only the depth of empty rays is then that of the view, not the batch.
    """

    resolution: int | None = None
    edits: DensityEdits = field(default_factory=DensityEdits)
    empty_depth: EmptyDepth = "largest"
    raw_mask: bool = False
    ws_background: Tensor | None = None
    draws: DepthDraws | None = None
    one_view: bool = False
