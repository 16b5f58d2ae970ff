"""LPIPS: the learned perceptual distance of pictures (Zhang et al. 2018, arXiv 1801.03924), in plain PyTorch.

A trunk that once learned to name pictures gives feature maps f_l; at every position they are scaled to unit
length, and their squared differences are weighed channel by channel and averaged:

    d(x, y) = sum_l mean_{h,w} sum_c w_lc (f_lc(x) / |f_l(x)| - f_lc(y) / |f_l(y)|)^2

The trunks are the convolutions of AlexNet and of VGG16 under torchvision's names, the weights w the linear
heads of version 0.1. Both files are read without running anything in them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from stylehead.errors import JobError, MissingError
from stylehead.images import as_pm1
from stylehead.weights.model_files import ModelFile

LpipsName = Literal["alex", "vgg"]
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class _Convolution(NamedTuple):
    """One layer of a trunk: its place among torchvision's, sizes, and what happens around it."""

    place: int
    channels: int
    kernel: int = 3
    stride: int = 1
    pooled: bool = False
    """The maps are pooled before it."""
    kept: bool = True
    """What comes out of it is compared."""


_ALEX = (
    _Convolution(0, 64, kernel=11, stride=4),
    _Convolution(3, 192, kernel=5, pooled=True),
    _Convolution(6, 384, pooled=True),
    _Convolution(8, 256),
    _Convolution(10, 256),
)
_VGG = (
    _Convolution(0, 64, kept=False),
    _Convolution(2, 64),
    _Convolution(5, 128, pooled=True, kept=False),
    _Convolution(7, 128),
    _Convolution(10, 256, pooled=True, kept=False),
    _Convolution(12, 256, kept=False),
    _Convolution(14, 256),
    _Convolution(17, 512, pooled=True, kept=False),
    _Convolution(19, 512, kept=False),
    _Convolution(21, 512),
    _Convolution(24, 512, pooled=True, kept=False),
    _Convolution(26, 512, kept=False),
    _Convolution(28, 512),
)
_TRUNKS: dict[LpipsName, tuple[tuple[_Convolution, ...], int]] = {"alex": (_ALEX, 3), "vgg": (_VGG, 2)}
"""The convolutions of each trunk, and the edge of its pooling windows (always two pixels apart)."""


FILES: dict[LpipsName, tuple[str, str]] = {
    "alex": ("alexnet-owt-7be5be79.pth", "alex.pth"),
    "vgg": ("vgg16-397923af.pth", "vgg.pth"),
}
"""The published files of each: trunk and heads."""


def load_lpips(folder: Path, device: str | torch.device = "cpu") -> "Lpips":
    """Read LPIPS from a folder with the published files of one trunk.

    Raises:
        MissingError: They are not there.
        JobError: They are damaged.
    """
    for name, files in FILES.items():
        trunk, heads = (folder / file for file in files)
        if trunk.is_file() and heads.is_file():
            return Lpips.load(name, trunk, heads, device)
    raise MissingError(f"{folder} has no files of LPIPS.", "stylehead weights fetch lpips-alex")


class Lpips(nn.Module):
    """The distance, differentiable in both pictures.

    Called with images it returns what is compared, so that it can stand where a feature network is asked for;
    such maps are compared by `distances`.

    Args:
        name: Which trunk: `alex`, or `vgg`.
    """

    def __init__(self, name: LpipsName = "alex") -> None:
        super().__init__()
        self.name = name
        self._layers, self._window = _TRUNKS[name]
        self.features, self.heads = nn.ModuleDict(), nn.ParameterList()
        before = 3
        for layer in self._layers:
            padding = 2 if layer.kernel > 3 else 1
            convolution = nn.Conv2d(before, layer.channels, layer.kernel, layer.stride, padding)
            self.features[str(layer.place)] = convolution
            before = layer.channels
            if layer.kept:
                self.heads.append(nn.Parameter(torch.ones(layer.channels)))

    @classmethod
    def load(cls, name: LpipsName, trunk: Path, heads: Path, device: str | torch.device = "cpu") -> "Lpips":
        """Read the published files, frozen.

        Args:
            name: Which trunk.
            trunk: torchvision's weights of the whole classifier.
            heads: The linear heads, version 0.1.
            device: Where it computes.

        Raises:
            UsageError: There is no such file.
            JobError: One of them is damaged or something else.
        """
        network = cls(name)
        state = ModelFile(trunk).read(lambda key: key.startswith("features."))
        weights = ModelFile(heads).read()
        try:
            state |= {
                f"heads.{index}": weights[f"lin{index}.model.1.weight"].flatten()
                for index in range(len(network.heads))
            }
            network.load_state_dict(state, strict=True)
        except (KeyError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise JobError(f"{trunk} and {heads} are not those of LPIPS-{name}: {reason}.") from error
        return network.to(device).eval().requires_grad_(False)

    def forward(self, image_pm1: Tensor) -> list[Tensor]:
        """Return the feature maps [B, C_l, h_l, w_l] of images [B, 3, H, W] in -1..1, rectified."""
        mean, std = (image_pm1.new_tensor(each)[:, None, None] for each in (IMAGENET_MEAN, IMAGENET_STD))
        x = (image_pm1 * 0.5 + 0.5 - mean) / std
        maps = []
        for layer in self._layers:
            if layer.pooled:
                x = functional.max_pool2d(x, self._window, stride=2)
            x = functional.relu(self.features[str(layer.place)](x))
            if layer.kept:
                maps.append(x)
        return maps

    def weighted(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Scale maps so that their squared differences, summed over channels, are the distance."""
        return [
            functional.normalize(one, dim=1, eps=1e-10) * head.clamp_min(0).sqrt()[:, None, None]
            for one, head in zip(maps, self.heads, strict=True)
        ]

    def distances(self, maps: Sequence[Tensor], others: Sequence[Tensor]) -> list[Tensor]:
        """Compare feature maps position by position: [B, h_l, w_l], one per layer."""
        pairs = zip(self.weighted(maps), self.weighted(others), strict=True)
        return [(one - other).square().sum(dim=1) for one, other in pairs]

    def distance(self, image_pm1: Tensor, other_pm1: Tensor) -> Tensor:
        """Return the distance [B] of two batches of images [B, 3, H, W] in -1..1."""
        layers = self.distances(self(image_pm1), self(other_pm1))
        return torch.stack([layer.mean(dim=(1, 2)) for layer in layers]).sum(dim=0)


class LpipsPictures:
    """LPIPS of whole pictures, for tables (protocol `Features`).

    Args:
        network: The distance.
        device: Where it computes.
    """

    def __init__(self, network: Lpips, device: str | torch.device = "cpu") -> None:
        self.network, self.device = network, device
        self.name = f"LPIPS ({network.name})"

    def maps(self, images: Tensor) -> list[Tensor]:
        """Return feature maps [B, C_l, h_l, w_l] of bytes or floats [B, 3, H, W]."""
        return self.network(as_pm1(images.to(self.device)))

    def vectors(self, images: Tensor) -> Tensor:
        """Return vectors [B, F] whose squared distances are LPIPS, to compare all pairs at once."""
        maps = self.network.weighted(self.maps(images))
        return torch.cat([each.flatten(1) / each[0, 0].numel() ** 0.5 for each in maps], dim=1)
