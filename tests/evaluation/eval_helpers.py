"""What the evaluation tests share: small random encoders and portraits."""

import dataclasses
from collections.abc import Sequence
from typing import get_args

import torch
from torch import Tensor
from torch.nn import functional

from stylehead.evaluation.comparison import Comparison, EncodedPortraits, Reference, Target
from stylehead.evaluation.frechet import frechet_distances
from stylehead.evaluation.metrics.cmmd import SCALE, gaussian_kernels
from stylehead.evaluation.metrics.kid import cubic_kernels
from stylehead.evaluation.mmd import unbiased_mmd2
from stylehead.evaluation.portraits import Portraits
from stylehead.perception.roles import Encoders, FaceEmbeddings, Role

YAWS = (-30.0, 0.0, 30.0, 180.0)


class RandomNetwork:
    """Every kind of encoder at once: random projections of 8 x 8 pictures, fixed by a seed."""

    name = "random projection"
    is_clip = False

    def __init__(self, *, clip: bool = False, blind_to: int | None = None) -> None:
        self.is_clip = clip
        self.blind_to = blind_to
        self.projection = torch.randn(3 * 8 * 8, 12, generator=torch.Generator().manual_seed(5))

    def features(self, images: Tensor) -> Tensor:
        small = functional.interpolate(images.float() / 255, size=8, mode="bilinear", antialias=True)
        return (small.flatten(1) - 0.5) @ self.projection

    def images(self, images: Tensor) -> Tensor:
        return functional.normalize(self.features(images), dim=1)

    def texts(self, texts: Sequence[str]) -> Tensor:
        rows = [torch.randn(12, generator=torch.Generator().manual_seed(len(text))) for text in texts]
        return functional.normalize(torch.stack(rows), dim=1)

    def faces(self, images: Tensor) -> FaceEmbeddings:
        found = torch.tensor(
            [self.blind_to is None or int(image[0, 0, 0]) != self.blind_to for image in images]
        )
        return FaceEmbeddings(self.images(images) * found[:, None], found)

    def maps(self, images: Tensor) -> list[Tensor]:
        small = functional.interpolate(images.float(), size=8, mode="bilinear", antialias=True)
        return [small, functional.avg_pool2d(small, 2)]

    def styles(self, images: Tensor) -> Tensor:
        return self.features(images)[:, :7].argmax(dim=1)

    def nearness(self, images: Tensor) -> Tensor:
        return functional.interpolate(images.float(), size=8, mode="bilinear", antialias=True)[:, :1]


def random_encoders(*, clip: bool = False) -> Encoders:
    network = RandomNetwork(clip=clip)
    return Encoders(**dict.fromkeys(get_args(Role), network))


def random_portraits(
    seed: int, *, people: int = 5, yaws: tuple[float, ...] = YAWS, size: int = 16
) -> Portraits:
    rng = torch.Generator().manual_seed(seed)
    views = len(yaws)
    shape = (people, views, 1, size // 2, size // 2)
    return Portraits(
        torch.randint(256, (people, views, 3, size, size), generator=rng, dtype=torch.uint8),
        tuple(range(people)),
        yaws,
        masks=0.92 + 0.08 * torch.rand(shape, generator=rng),
        depths=2.7 + 0.01 * torch.rand(shape, generator=rng),
    )


def random_case(encoders: Encoders, *, batch: int = 16, people: int = 5, force: bool = True) -> Comparison:
    """A row whose every column can be measured."""
    stylised, untouched, truth = (
        EncodedPortraits(random_portraits(seed, people=people), encoders, batch=batch) for seed in (1, 2, 3)
    )
    nearly = dataclasses.replace(truth.portraits, images=truth.portraits.images // 8 * 8)
    oracle = EncodedPortraits(nearly, encoders, batch=batch)
    reference = Reference(truth, True, "the true pictures")
    target = Target("Pixar character", "pixar", truth, reference, oracle=oracle)
    return Comparison(stylised, untouched, target, force)


def frechet_distance(features: Tensor, reference: Tensor) -> float:
    """Every picture counts once."""
    return float(frechet_distances(features, reference, torch.ones(1, len(features))))


def kernel_distance(features: Tensor, reference: Tensor) -> float:
    return float(unbiased_mmd2(cubic_kernels(features, reference)))


def cmmd(features: Tensor, reference: Tensor) -> float:
    return SCALE * float(unbiased_mmd2(gaussian_kernels(features, reference)))
