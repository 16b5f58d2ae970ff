"""A method and a metric of one's own: darker heads, and how bright they are."""

from dataclasses import dataclass

from stylehead.evaluation import Column, Comparison, Number, Provenance, mean_over_people
from stylehead.methods import Method, Terms
from stylehead.methods.config import StylizeConfig
from stylehead.settings import Weight


@dataclass(frozen=True, kw_only=True)
class DarkSettings(StylizeConfig):
    """Options of `stylehead stylize --method dark`."""

    dark_weight: Weight = 1.0
    """Weight of darkness."""


class Dark(Method[DarkSettings]):
    """Makes heads darker."""

    name, title = "dark", "Darkness"

    def terms(self, scene, *, rng):
        """Return the loss of one iteration."""
        return Terms(losses={"dark": self.config.dark_weight * scene.views["single"].final().mean()})


def measure(comparison: Comparison) -> Number:
    """Compute the mean brightness, with its interval over people."""
    portraits = comparison.stylised.portraits  # uint8 [N, V, 3, R, R]
    return mean_over_people(portraits.images.float().mean(dim=(2, 3, 4)) / 255, Provenance.of(portraits))


BRIGHTNESS = Column(name="brightness", better="lower", digits=3, about="mean brightness", measure=measure)
