"""Crops of pictures, one square a picture, on which a training step computes its loss."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, eq=False)
class Crops:
    """One square of each raw picture: upper left corners [B] and the common edge, in raw pixels."""

    top: Tensor
    left: Tensor
    size: int

    @classmethod
    def draw(cls, images: Tensor, edge: int, size: int, rng: torch.Generator) -> "Crops":
        """Squares around pixels at random: half of them anywhere, half where a picture has its details.

        Squares that would reach beyond a picture are pushed back to its side.

        Args:
            images: [B, C, R, R].
            edge: Of the raw pictures, a whole part of R.
            size: Edge of a square.
            rng: Source of chance.
        """
        smooth = functional.avg_pool2d(images, 5, stride=1, padding=2, count_include_pad=False)
        detail = functional.adaptive_avg_pool2d((images - smooth).abs().mean(dim=1, keepdim=True), edge)
        density = detail.flatten(1) / (detail.flatten(1).mean(dim=1, keepdim=True) + 1e-8) + 1
        pixel = torch.multinomial(density.cpu(), 1, generator=rng)[:, 0].to(images.device)
        corners = (torch.stack([pixel // edge, pixel % edge]) - size // 2).clamp(0, edge - size)
        return cls(corners[0], corners[1], size)

    def cut(self, pictures: Tensor, scale: int = 1) -> Tensor:
        """Cut these squares out of pictures [B, C, H, W] or [1, C, H, W]; `scale` pixels are a raw pixel."""
        steps = torch.arange(scale * self.size, device=self.top.device)
        rows, columns = (scale * corner[:, None] + steps for corner in (self.top, self.left))
        which = torch.arange(len(rows), device=self.top.device) % len(pictures)
        cut = pictures.permute(0, 2, 3, 1)[which[:, None, None], rows[:, :, None], columns[:, None]]
        return cut.permute(0, 3, 1, 2)
