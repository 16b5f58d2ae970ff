"""Monocular depth of pictures: a condition of grids, and a metric of shape."""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AutoModelForDepthEstimation

from stylehead.errors import UsageError
from stylehead.images import as_pm1, to_01
from stylehead.precision import like
from stylehead.weights.pretrained import load_network

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class DepthEstimator:
    """A frozen Depth-Anything network that predicts inverse depth (protocol `Depth`).

    Args:
        network: A transformers depth-estimation model.
        size: Height and width that it works at, a multiple of its patch size (518 as Depth-Anything's own
            preprocessing has it; less is faster and coarser).
        name: Goes beside its numbers.

    Raises:
        UsageError: The size is no multiple of the patch size.
    """

    def __init__(self, network: Any, *, size: int = 518, name: str = "monocular depth") -> None:
        patch = int(network.config.patch_size)
        if size <= 0 or size % patch:
            raise UsageError(f"A depth estimator's size (={size}) must be a multiple of {patch}.")
        self.network = network
        self.size, self.name = size, name

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        size: int = 518,
    ) -> "DepthEstimator":
        """Load an estimator from a local transformers folder (safetensors only, never the network).

        Raises:
            UsageError: The size is no multiple of the network's patch size.
            MissingError: The folder or its safetensors file is not there.
            JobError: The files cannot be read as a depth estimator.
        """
        network = load_network(
            AutoModelForDepthEstimation, Path(folder), device=torch.device(device), dtype=dtype
        )
        return cls(network, size=size, name=f"monocular depth ({Path(folder).name})")

    @torch.no_grad()
    def nearness(self, images: Tensor) -> Tensor:
        """Estimate inverse depth.

        Args:
            images: Bytes, or floats in -1..1 (values outside are clamped), [B, 3, H, W].

        Returns:
            Nearness [B, 1, size, size] in the network's own unit: larger is nearer.
        """
        image_01 = to_01(as_pm1(images).clamp(-1, 1))
        image_01 = F.interpolate(
            image_01, (self.size, self.size), mode="bicubic", align_corners=False, antialias=True
        )
        mean, std = (like(c, image_01).reshape(1, 3, 1, 1) for c in (IMAGENET_MEAN, IMAGENET_STD))
        pixels = ((image_01 - mean) / std).to(self.network.device, self.network.dtype)
        nearness: Tensor = self.network(pixel_values=pixels).predicted_depth
        return nearness[:, None].float()

    __call__ = nearness
