"""Depth that an estimator sees in a picture, for `dd_mono`."""

from pathlib import Path

import torch
from torch import Tensor

from stylehead.images import bytes_to_pm1, resize
from stylehead.perception.depth import DepthEstimator

SIZE = 128
"""Height and width at which depth is kept: the difference of two shapes needs no more."""


class MonocularDepth:
    """A depth estimator from a local folder.

    Args:
        estimator: What estimates.
        name: Of its folder.
        device: Where it computes.
    """

    def __init__(self, estimator: DepthEstimator, name: str, device: str = "cpu") -> None:
        self.estimator, self.device = estimator, device
        self.name = f"monocular depth ({name})"

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> "MonocularDepth":
        """Load from a folder in transformers layout.

        Raises:
            MissingError: The folder is not there.
            JobError: It holds no depth estimator.
        """
        return cls(DepthEstimator.load(folder, device=device), folder.name, device)

    @torch.no_grad()
    def nearness(self, images: Tensor) -> Tensor:
        """Inverse depth [B,1,128,128], larger is nearer, of uint8 pictures [B,3,R,R]."""
        seen = self.estimator(bytes_to_pm1(images.to(self.device)))
        return resize(seen, SIZE).cpu()
