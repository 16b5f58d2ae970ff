"""Edited pictures as training sees them: whom they show, from where, and what the head became."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from stylehead.errors import JobError
from stylehead.geometry import turntable
from stylehead.images import bytes_to_pm1


class Picked(NamedTuple):
    """Edits of one iteration: K people, n views each.

    Attributes:
        ws: Style vectors [K, num_ws, w_dim].
        labels: Cameras [K, n, 25].
        pictures_pm1: Edits on white [K n, 3, S, S] in -1..1.
        outlines: Where their heads are [K n, 1, S, S], 0 or 1.
    """

    ws: Tensor
    labels: Tensor
    pictures_pm1: Tensor
    outlines: Tensor

    def part(self, people: slice) -> "Picked":
        """Keep some of the people."""
        views = self.labels.shape[1]
        shown = slice(people.start * views, people.stop * views)
        return Picked(self.ws[people], self.labels[people], self.pictures_pm1[shown], self.outlines[shown])


@dataclass(frozen=True, eq=False)
class EditedViews:
    """Edits of N people from V sides, E pictures in all; some sides may have none, others several.

    Attributes:
        ws: Style vectors [N, num_ws, w_dim].
        cameras: Camera labels [N, V, 25].
        pictures: uint8 [E, 3, S, S].
        outlines: bool [E, S, S].
        view_of: int64 [E], which of the N V sides each picture edits, in ascending order.

    Raises:
        JobError: There is no picture.
    """

    ws: Tensor
    cameras: Tensor
    pictures: Tensor
    outlines: Tensor
    view_of: Tensor

    def __post_init__(self) -> None:
        if not len(self.pictures):
            raise JobError("There are no edited pictures to learn from.")

    @classmethod
    def blank(cls, people: int, views: int, *, num_ws: int, w_dim: int, size: int) -> "EditedViews":
        """Return white pictures of the average head, for steps that only count."""
        return cls(
            ws=torch.zeros(people, num_ws, w_dim),
            cameras=turntable(views).expand(people, -1, -1),
            pictures=torch.full((people * views, 3, size, size), 255, dtype=torch.uint8),
            outlines=torch.ones(people * views, size, size, dtype=torch.bool),
            view_of=torch.arange(people * views),
        )

    def counts(self) -> Tensor:
        """Return how many edits each side has, int64 [N, V]."""
        people, views = self.cameras.shape[:2]
        return torch.bincount(self.view_of, minlength=people * views).reshape(people, views)

    def pick(self, people: int, views: int, *, rng: torch.Generator) -> Picked:
        """Draw people, different ones as far as there are, and an edit of some of their sides.

        A side with several edits gives one of them, never their mean; somebody with fewer edited sides shows
        one of them twice.

        Args:
            people: K.
            views: n.
            rng: Source of every choice, on the CPU.
        """
        counts = self.counts()
        seen = (counts.sum(dim=1) > 0).nonzero()[:, 0]
        order = torch.cat([torch.randperm(len(seen), generator=rng) for _ in range(-(-people // len(seen)))])
        rows = seen[order[:people]]
        columns = self._columns(counts[rows], views, rng)
        sides = rows[:, None] * counts.shape[1] + columns
        first = torch.cumsum(counts.flatten(), dim=0) - counts.flatten()
        which = (torch.rand(sides.shape, generator=rng) * counts.flatten()[sides]).long()
        edits = (first[sides] + which).flatten()
        pictures, outlines = bytes_to_pm1(self.pictures[edits]), self.outlines[edits][:, None].float()
        return Picked(self.ws[rows], self.cameras[rows[:, None], columns], pictures, outlines)

    @staticmethod
    def _columns(counts: Tensor, views: int, rng: torch.Generator) -> Tensor:
        """Draw sides [K, n] that have edits, different ones as far as there are."""
        chance = torch.rand(counts.shape, generator=rng).masked_fill(counts == 0, -1.0)
        best = chance.sort(dim=1, descending=True).indices
        places = torch.arange(views).expand(len(counts), -1) % (counts > 0).sum(dim=1, keepdim=True)
        return best.gather(1, places)
