"""Judges: a second recogniser of style and a second identity encoder, which take part in nothing but judging.

No loss, no fit and no gate may ask them. They are of another architecture than the networks that do take part
(blocks of ConvNeXt, Liu et al., CVPR 2022: patches, wide depthwise convolutions, one norm), and learned from
other people under other augmentations, so that what pleases the ones need not please the others.
"""

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from stylehead.images import as_pm1, resize
from stylehead.mini.captions import STYLES
from stylehead.perception.embedded import Saved
from stylehead.perception.roles import FaceEmbeddings

JUDGED_SIZE = 128
_PATCH = 4
_WIDTHS = (32, 64, 128)
_BLOCKS = (1, 1, 2)
_EMBEDDING = 64


class Block(nn.Module):
    """A wide depthwise convolution, then two layers at every pixel, beside a skip."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.GroupNorm(1, width)
        self.widen = nn.Conv2d(width, 3 * width, 1)
        self.narrow = nn.Conv2d(3 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] to the same shape."""
        y: Tensor = self.narrow(functional.gelu(self.widen(self.norm(self.spatial(x)))))
        return x + y


class PatchTrunk(nn.Module):
    """Pictures to maps of a quarter, an eighth and a sixteenth of 128 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, _WIDTHS[0], _PATCH, _PATCH)
        self.halvings = nn.ModuleList(
            nn.Conv2d(before, after, 2, 2) for before, after in itertools.pairwise(_WIDTHS)
        )
        self.stages = nn.ModuleList(
            nn.Sequential(*(Block(width) for _ in range(count)))
            for width, count in zip(_WIDTHS, _BLOCKS, strict=True)
        )
        self.norm = nn.GroupNorm(1, _WIDTHS[-1])

    def forward(self, image_pm1: Tensor) -> Tensor:
        """Map pictures [B, 3, R, R] in -1..1 (resized to 128 when they are not) to [B, 128, 8, 8]."""
        x = self.stages[0](self.patches(resize(image_pm1, JUDGED_SIZE)))
        for halving, stage in zip(self.halvings, self.stages[1:], strict=True):
            x = stage(halving(x))
        normed: Tensor = self.norm(x)
        return normed


class StyleJudge(Saved):
    """Classifies pictures by style (protocol `Recogniser`)."""

    title = "mini style judge"

    def __init__(self) -> None:
        super().__init__()
        self.trunk = PatchTrunk()
        self.head = nn.Linear(_WIDTHS[-1], len(STYLES))

    def forward(self, image_pm1: Tensor) -> Tensor:
        """Map [B, 3, R, R] in -1..1 to logits [B, 7] in the order of `STYLES`."""
        logits: Tensor = self.head(self.trunk(image_pm1).mean(dim=(2, 3)))
        return logits

    def maps(self, images: Tensor) -> list[Tensor]:
        """What it goes by: feature maps [B, 128, 8, 8], for distances of looks."""
        return [self.trunk(as_pm1(images.to(self.device)))]

    def styles(self, images: Tensor) -> Tensor:
        """Indices [B] of the most likely styles, in the order of `STYLES`."""
        return self(as_pm1(images.to(self.device))).argmax(dim=1)


class IdentityJudge(Saved):
    """Embeds faces by their colours and by every place of the face (protocol `Faces`)."""

    title = "mini identity judge"

    def __init__(self) -> None:
        super().__init__()
        self.trunk = PatchTrunk()
        self.reduce = nn.Conv2d(_WIDTHS[-1], 32, 1)
        self.head = nn.Linear(32 * (JUDGED_SIZE // 16) ** 2, _EMBEDDING)

    def forward(self, image_pm1: Tensor) -> Tensor:
        """Map [B, 3, R, R] in -1..1 to unit vectors [B, 64]."""
        places = functional.gelu(self.reduce(self.trunk(image_pm1)))
        return functional.normalize(self.head(places.flatten(1)), dim=1)

    def faces(self, images: Tensor) -> FaceEmbeddings:
        """Embed pictures, each of which is taken for a face."""
        vectors = self(as_pm1(images.to(self.device)))
        return FaceEmbeddings(vectors, torch.ones(len(vectors), dtype=torch.bool, device=self.device))


def judged_share(judge: StyleJudge, images_pm1: Tensor, style: str) -> float:
    """Share of pictures [B, 3, R, R] in -1..1 that the judge calls by a style."""
    with torch.no_grad():
        called = judge(images_pm1).argmax(dim=1)
    return float((called == STYLES.index(style)).float().mean())
