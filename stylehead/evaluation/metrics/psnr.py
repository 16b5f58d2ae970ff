"""Peak signal-to-noise ratio."""

import torch
from torch import Tensor


def psnr(image_01: Tensor, truth_01: Tensor) -> Tensor:
    """PSNR in dB of pictures [B,3,H,W] in 0..1 against the true ones; [B], infinite for equal pictures."""
    mse = (image_01 - truth_01).square().flatten(1).mean(dim=1)
    return -10 * torch.log10(mse)
