"""Small networks for pictures of the embedded world: embedded faces, pictures and captions; styles.

They measure; likelihood distillation itself does not need them.
"""

import itertools
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn import functional

from stylehead.errors import JobError, MissingError
from stylehead.files import save_tensors
from stylehead.images import as_pm1, resize
from stylehead.mini.captions import STYLES
from stylehead.perception.roles import FaceEmbeddings, file_name

INPUT_SIZE = 128
IDENTITY_SIZE = 96
EMBEDDING = 96
_WIDTHS = (24, 48, 96, 128)


class Residual(nn.Module):
    """Two 3x3 convolutions with group normalisation; halves the size when `stride` is 2."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.norm1 = nn.GroupNorm(8, out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.norm2 = nn.GroupNorm(8, out_channels)
        self.skip = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, I, H, W] to [B, O, H/stride, W/stride]."""
        y = functional.relu(self.norm1(self.conv1(x)))
        return functional.relu(self.norm2(self.conv2(y)) + self.skip(x))


class Trunk(nn.Module):
    """Pictures of `size` pixels to feature maps of a half, a quarter, ... a sixteenth, and their summary."""

    def __init__(self, size: int = INPUT_SIZE) -> None:
        super().__init__()
        self.size = size
        self.stem = nn.Conv2d(3, _WIDTHS[0], 5, 2, 2)
        self.stages = nn.ModuleList(
            Residual(before, after, stride=2) for before, after in itertools.pairwise(_WIDTHS)
        )

    def maps(self, image_pm1: Tensor) -> list[Tensor]:
        """Feature maps of pictures [B, 3, R, R] in -1..1 (resized to `size` where needed), finest first."""
        found = [functional.relu(self.stem(self.prepared(resize(image_pm1, self.size))))]
        for stage in self.stages:
            found.append(stage(found[-1]))
        return found

    def prepared(self, image_pm1: Tensor) -> Tensor:
        """The first layer's input for pictures [B, 3, size, size]: the pictures themselves."""
        return image_pm1

    def forward(self, image_pm1: Tensor) -> Tensor:
        """Mean and maximum over the last map, [B, 256]."""
        last = self.maps(image_pm1)[-1]
        return torch.cat([last.mean(dim=(2, 3)), last.amax(dim=(2, 3))], dim=1)


class ShapeTrunk(Trunk):
    """A trunk that sees no colour and no light, only where something is darker than what is around it."""

    def prepared(self, image_pm1: Tensor) -> Tensor:
        """Local contrast [B, 3, R, R] of pictures: fine, coarse, and fine without sign."""
        luma = image_pm1.mean(dim=1, keepdim=True)
        fine, coarse = local_contrast(luma, radius=1.5), local_contrast(luma, radius=3)
        return torch.cat([fine, coarse, fine.abs()], dim=1)


def local_contrast(luma: Tensor, *, radius: float) -> Tensor:
    """Difference of pictures [B, 1, R, R] from their surroundings, as a part of the contrast thereabouts."""
    difference = luma - blurred(luma, radius)
    around = blurred(difference.square(), 2 * radius)
    return difference / ((around + 1e-6).sqrt() + 0.03)


def blurred(images: Tensor, radius: float) -> Tensor:
    """Gaussian blur of maps [B, 1, R, R]; `radius` is the standard deviation in pixels."""
    reach = math.ceil(2 * radius)
    offsets = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    weights = torch.exp(-offsets.square() / (2 * radius**2))
    weights = weights / weights.sum()
    images = functional.pad(images, (reach,) * 4, mode="replicate")
    return functional.conv2d(functional.conv2d(images, weights.view(1, 1, 1, -1)), weights.view(1, 1, -1, 1))


class Saved(nn.Module):
    """A network with one file."""

    title: ClassVar[str]
    """What it is called beside its numbers."""
    name: str = "untrained"
    """Its title and the start of the file's sha256."""

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return next(self.parameters()).device

    def save(self, path: str | os.PathLike[str], metadata: dict[str, str]) -> None:
        """Write weights in half precision, atomically."""
        save_tensors(Path(path), {name: t.half() for name, t in self.state_dict().items()}, metadata)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a file of `save`, in evaluation mode and single precision.

        Raises:
            MissingError: There is no such file.
            JobError: It is damaged or of another network.
        """
        if not Path(path).is_file():
            raise MissingError(f"{path} is not there.", "python -m stylehead.world all")
        network = cls()
        try:
            with safe_open(path, framework="pt") as file:
                state: dict[str, Any] = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
            network.load_state_dict(state)
        except (SafetensorError, RuntimeError) as error:
            raise JobError(f"{path} does not hold a {cls.__name__}.") from error
        network.name = file_name(cls.title, Path(path))
        return network.eval().requires_grad_(False)


class IdentityEncoder(Saved):
    """Embeds faces so that they agree for the same person, photographed or in a style (protocol `Faces`).

    What a style leaves of a person is shape, so this sees local contrast only; and where something is in the
    face identifies a person better than its texture, so the last maps are read place by place.
    """

    title = "mini identity"

    def __init__(self) -> None:
        super().__init__()
        self.trunk = ShapeTrunk(IDENTITY_SIZE)
        self.reduce = nn.Conv2d(_WIDTHS[-1], 48, 1)
        self.head = nn.Linear(48 * (IDENTITY_SIZE // 16) ** 2, EMBEDDING)

    def forward(self, image_pm1: Tensor) -> Tensor:
        """Map [B, 3, R, R] in -1..1 to unit vectors [B, 96]."""
        places = functional.relu(self.reduce(self.trunk.maps(image_pm1)[-1]))
        return functional.normalize(self.head(places.flatten(1)), dim=1)

    def faces(self, images: Tensor) -> FaceEmbeddings:
        """Embed pictures, each of which is taken for a face."""
        vectors = self(as_pm1(images.to(self.device)))
        return FaceEmbeddings(vectors, torch.ones(len(vectors), dtype=torch.bool, device=self.device))


class StyleClassifier(Saved):
    """Classifies pictures by style (protocols `Recogniser` and `Features`); it trains no other network."""

    title = "mini style classifier"

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.head = nn.Linear(2 * _WIDTHS[-1], len(STYLES))

    def forward(self, image_pm1: Tensor) -> Tensor:
        """Map [B, 3, R, R] in -1..1 to logits [B, 7] in the order of `STYLES`."""
        logits: Tensor = self.head(self.trunk(image_pm1))
        return logits

    def styles(self, images: Tensor) -> Tensor:
        """Indices [B] of the most likely styles, in the order of `STYLES`."""
        return self(as_pm1(images.to(self.device))).argmax(dim=1)

    def maps(self, images: Tensor) -> Sequence[Tensor]:
        """Feature maps for perceptual distances."""
        return self.trunk.maps(as_pm1(images.to(self.device)))


class ImageTextEncoder(Saved):
    """Embeds pictures and captions as unit vectors that agree when one describes the other.

    Captions are token numbers of the embedded tokenizer; words count, their order does not.
    """

    title = "mini image-text"

    def __init__(self, vocab_size: int = 0) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.image_head = nn.Linear(2 * _WIDTHS[-1], EMBEDDING)
        self.words = nn.EmbeddingBag(vocab_size or default_vocab_size(), 128, mode="sum")
        self.text_head = nn.Sequential(nn.Linear(128, 256), nn.ReLU(), nn.Linear(256, EMBEDDING))
        self.log_scale = nn.Parameter(torch.tensor(2.7))

    def encode_image(self, image_pm1: Tensor) -> Tensor:
        """Map [B, 3, R, R] in -1..1 to unit vectors [B, 96]."""
        return functional.normalize(self.image_head(self.trunk(image_pm1)), dim=1)

    def encode_tokens(self, tokens: Tensor, present: Tensor) -> Tensor:
        """Map token numbers [B, L] and what is no padding [B, L] (0 or 1) to unit vectors [B, 96]."""
        summed = self.words(tokens, per_sample_weights=present.float())
        return functional.normalize(self.text_head(summed), dim=1)


def default_vocab_size() -> int:
    """Number of tokens of the embedded tokenizer."""
    from stylehead.mini.tokens import vocabulary

    return len(vocabulary()[0])
