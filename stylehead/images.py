"""Pictures as tensors: their ranges."""

from torch import Tensor


def image_pm1(images: Tensor) -> Tensor:
    """Scale uint8 pictures to float32 in -1..1."""
    return images.float() / 127.5 - 1


def image_01(images: Tensor) -> Tensor:
    """Scale uint8 pictures to float32 in 0..1."""
    return images.float() / 255
