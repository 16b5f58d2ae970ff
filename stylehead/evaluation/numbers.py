"""A number of the table with its interval, sample and encoder; or the reason why there is none."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from stylehead.errors import MissingError
from stylehead.evaluation.intervals import RESAMPLES, Statistic, bootstrap, mean_statistic
from stylehead.evaluation.portraits import Overlap, Portraits, find_overlap

LEANING = (
    "for it people are drawn with repetition, and a set in which some repeat is less like another, and less "
    "varied"
)
"""Why the bootstrap interval of a distance between sets, or of a spread, need not hold its value."""
FEW_PEOPLE = 8
"""Fewer than these have intervals that say little."""


@dataclass(frozen=True)
class Number:
    """A measured number and all that is needed to read it."""

    value: float
    """The metric over all identities."""
    low: float
    """Lower end of its 95 % bootstrap interval over identities."""
    high: float
    """Upper end."""
    identities: int
    """N."""
    pictures: int
    """Number of pictures of each row."""
    yaws_deg: tuple[float, ...]
    """Of the views, degrees."""
    encoder: str = ""
    """Name of the network; empty for metrics without one."""
    note: str = ""
    """What else a reader must know."""
    per_identity: tuple[float, ...] = ()
    """The metric of every identity, where it has one; for best and worst cases."""

    @property
    def leans(self) -> str:
        """Where an interval lies that does not hold its value: "above it" or "below it"; else ""."""
        rounding = 1e-9 + 1e-6 * abs(self.value)
        if self.low > self.value + rounding:
            return "above it"
        return "below it" if self.high < self.value - rounding else ""

    @property
    def remarks(self) -> str:
        """What a reader must know: the note, and what the interval does not say."""
        leaning = f"the interval lies {self.leans}: {LEANING}" if self.leans else ""
        return "; ".join(part for part in (self.note, leaning, self.few) if part)

    @property
    def few(self) -> str:
        """What there is to say of so few people; else ""."""
        return (
            f"an interval over {self.identities} people says little" if self.identities < FEW_PEOPLE else ""
        )


class NotMeasured(NamedTuple):
    """The reason why there is no number, and what would help; printed as a dash."""

    why: str
    hint: str | None = None


Cell = Number | NotMeasured


class Provenance(NamedTuple):
    """What a number was measured on."""

    seeds: Sequence[int]
    """Of the people."""
    yaws_deg: Sequence[float]
    """Of the views."""
    encoder: str = ""
    """Name of the network; empty for metrics without one."""
    note: str = ""
    """What else a reader must know."""

    @classmethod
    def of(cls, shown: Portraits | Overlap, encoder: str = "", note: str = "") -> "Provenance":
        """All people and views of portraits, or of what two sets of portraits have in common."""
        return cls(shown.seeds, shown.yaws_deg, encoder, note)


def number(
    statistic: Statistic,
    provenance: Provenance,
    *,
    per_identity: Tensor | None = None,
    resamples: int = RESAMPLES,
) -> Number:
    """Measure a statistic over people, with its interval."""
    people, yaws = len(provenance.seeds), tuple(provenance.yaws_deg)
    value, low, high = bootstrap(statistic, people, resamples=resamples)
    return Number(
        value,
        low,
        high,
        identities=people,
        pictures=people * len(yaws),
        yaws_deg=yaws,
        encoder=provenance.encoder,
        note=provenance.note,
        per_identity=() if per_identity is None else tuple(per_identity.double().tolist()),
    )


def mean_over_people(values: Tensor, provenance: Provenance) -> Number:
    """Mean over people of values [N, ...], each a mean over what follows the first axis."""
    per_identity = values.double().flatten(1).mean(dim=1) if values.dim() > 1 else values.double()
    if not per_identity.isfinite().any():
        raise MissingError("There is nothing to measure in any of the pictures.")
    return number(mean_statistic(per_identity), provenance, per_identity=per_identity)


def shared(one: Portraits, other: Portraits, what: str) -> Overlap:
    """What two sets both show.

    Raises:
        MissingError: Nothing; the sentence begins with `what`.
    """
    both = find_overlap(one, other)
    if not both.seeds or not both.yaws_deg:
        raise MissingError(f"{what} show none of these people from these sides.")
    return both
