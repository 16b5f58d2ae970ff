"""Numbers for LPIPS that every version of torch draws alike; nothing but torch is needed to have them."""

import torch
from torch import Tensor

SHAPES = {
    "alex": {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)},
    "vgg": {
        0: (64, 3, 3), 2: (64, 64, 3), 5: (128, 64, 3), 7: (128, 128, 3), 10: (256, 128, 3),
        12: (256, 256, 3), 14: (256, 256, 3), 17: (512, 256, 3), 19: (512, 512, 3), 21: (512, 512, 3),
        24: (512, 512, 3), 26: (512, 512, 3), 28: (512, 512, 3),
    },
}  # fmt: skip
"""Of torchvision's convolutions: channels out, channels in, kernel."""
CHANNELS = {"alex": (64, 192, 384, 256, 256), "vgg": (64, 128, 256, 512, 512)}


def seeded_trunk(name: str) -> dict[str, Tensor]:
    """Weights of a trunk under torchvision's names."""
    rng = torch.Generator().manual_seed(11)
    state = {}
    for place, (out, before, kernel) in SHAPES[name].items():
        weight = torch.randn(out, before, kernel, kernel, generator=rng)
        state[f"features.{place}.weight"] = weight * (2 / (before * kernel * kernel)) ** 0.5
        state[f"features.{place}.bias"] = 0.1 * torch.randn(out, generator=rng)
    return state


def seeded_heads(name: str) -> dict[str, Tensor]:
    """Linear heads under the names of the published files, none of them negative."""
    rng = torch.Generator().manual_seed(12)
    return {
        f"lin{index}.model.1.weight": torch.rand(1, channels, 1, 1, generator=rng)
        for index, channels in enumerate(CHANNELS[name])
    }


def seeded_pictures(size: int) -> tuple[Tensor, Tensor]:
    """Two batches of two pictures [2, 3, size, size] in -1..1, the second near the first."""
    rng = torch.Generator().manual_seed(size)
    first = torch.rand(2, 3, size, size, generator=rng) * 2 - 1
    second = first + 0.3 * torch.randn(2, 3, size, size, generator=rng)
    return first, second.clamp(-1, 1)
