"""What the tests of the rivals share: a small space of pictures and texts, and written-out renders."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


class ToySpace:
    """Pictures are their mean colours and coarse shape, texts are a table; both unit vectors."""

    templates = ("{}", "a picture of {}")

    def __init__(self) -> None:
        rng = torch.Generator().manual_seed(5)
        self.weight = torch.randn(16, 3 * 16, generator=rng)
        self.seen: list[str] = []

    def images(self, image_pm1: Tensor) -> Tensor:
        return functional.normalize(
            functional.adaptive_avg_pool2d(image_pm1, 4).flatten(1) @ self.weight.T + 0.3, dim=1
        )

    def texts(self, texts: Sequence[str]) -> Tensor:
        self.seen += texts
        rows = []
        for text in texts:
            rng = torch.Generator().manual_seed(sum(map(ord, text)))
            rows.append(functional.normalize(torch.randn(16, generator=rng), dim=0))
        return torch.stack(rows)


def vector_length(vector: Tensor) -> float:
    """Euclidean length, number by number."""
    return sum(float(x) ** 2 for x in vector) ** 0.5
