"""Hand a gradient to autograd as if a loss had produced it."""

from torch import Tensor


def surrogate(latents: Tensor, gradient: Tensor) -> Tensor:
    """Return a scalar whose derivative with respect to `latents` is `gradient`, averaged over the batch.

    The value itself means nothing. No custom operator is involved: it is <gradient, latents> / B with the
    gradient held constant, so that back-propagating `surrogate(f(theta), g)` puts J_f(theta)^T g / B on
    theta.

    Args:
        latents: Differentiable latents [B, C, h, w].
        gradient: What their derivative is to be, same shape; detached here.
    """
    return (gradient.detach() * latents).sum() / latents.shape[0]
