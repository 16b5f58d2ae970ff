"""How much the shape changed: difference of depth maps, each between 0 and 1 within the head."""

from torch import Tensor

from stylehead.teacher import depth_condition


def depth_difference(depth: Tensor, before: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute difference of two depth maps inside a mask, each scaled to 0..1 there.

    The unit and the origin of either map do not matter, only its shape. `dd_mono` takes the depth that an
    estimator sees in the pictures, `dd_geo` the depth that the generator rendered.

    Args:
        depth: After stylising [B, 1, h, w].
        before: Of the untouched head [B, 1, h, w].
        mask: Where both heads are [B, 1, h, w]; above 0.5 counts.

    Returns:
        [B] in 0..1; 0 where the mask is empty.
    """
    inside = (mask > 0.5).to(depth)
    now, then = (depth_condition(part, mask)[:, :1] for part in (depth, before))
    return ((now - then).abs() * inside).flatten(1).sum(dim=1) / inside.flatten(1).sum(dim=1).clamp(min=1)
