"""Share of pictures that a separately trained classifier recognises as the prompted style (mini world)."""

import torch
from torch import Tensor

from stylehead.errors import MissingError
from stylehead.evaluation.columns import Column
from stylehead.evaluation.comparison import Comparison
from stylehead.evaluation.numbers import Number, Provenance, mean_over_people
from stylehead.mini.captions import STYLES
from stylehead.perception.embedded import StyleClassifier
from stylehead.perception.roles import Role


@torch.no_grad()
def style_share(classifier: StyleClassifier, images: Tensor, style: str) -> float:
    """Share of pictures [B, 3, R, R] in -1..1 that the classifier recognises as this style."""
    named = torch.cat([classifier(part).argmax(dim=1) for part in images.split(64)])
    return float(named_style(named, style).mean())


def named_style(named: Tensor, style: str) -> Tensor:
    """1 where the number of a style (in the order of `STYLES`) is that of this style, else 0.

    Raises:
        MissingError: The classifier knows no such style.
    """
    if style not in STYLES:
        raise MissingError(f"The classifier knows no style {style!r}.")
    return (named == STYLES.index(style)).double()


def measure_style(comparison: Comparison) -> Number:
    """Share of pictures that the classifier recognises as the style of the target."""
    return share_named(comparison, comparison.stylised.styles, "recogniser")


def share_named(comparison: Comparison, styles: Tensor, role: Role) -> Number:
    """Share of pictures whose style [N, V], as a network of this role predicts it, is that of the target."""
    named = named_style(styles, comparison.target.style)
    network = comparison.encoders.require(role)
    return mean_over_people(named, Provenance.of(comparison.stylised.portraits, network.name))


COLUMN = Column(
    name="style",
    better="higher",
    group="style",
    digits=2,
    about="share of pictures that a separate classifier calls by the style",
    measure=measure_style,
)
