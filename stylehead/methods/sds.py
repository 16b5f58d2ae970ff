"""SDS, score distillation sampling (arXiv 2209.14988): what makes one face of all heads.

    g = w(t) (eps_hat - eps),  w(t) = 1 - abar_t

It is LD with this gradient in place of (LD) and without what the paper adds to it. Guidance 100 and
noise levels from nearly all to nearly none are DreamFusion's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from stylehead.methods.ld import LdSettings, LikelihoodDistillation, Stages
from stylehead.methods.qualities import Timing
from stylehead.methods.registry import Variant
from stylehead.methods.scores import Score
from stylehead.settings import Guidance, Natural, Weight, refuse


@dataclass(frozen=True, kw_only=True)
class PlainSettings(LdSettings):
    """LD's settings with the paper's additions and our anchors switched off; edges still condition."""

    mirror: bool = False
    grid: bool = False
    rank: Stages = "none"
    tweedie_weight: Weight = 0.0
    perceptual_weight: Weight = 0.0
    relative_distance_weight: Weight = 0.0
    alpha_weight: Weight = 0.0
    latent_weight: Weight = 0.0


@dataclass(frozen=True, kw_only=True)
class SdsSettings(PlainSettings):
    """Settings of SDS."""

    score: Score = "sds"
    cfg_scale: Guidance = 100.0
    step_range: tuple[int, int] = (1, 48)
    step_window: Natural = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.score != "sds":
            refuse("score", self.score, f"sds with `--method {self.method}`")


class PlainDistillation(LikelihoodDistillation):
    """LD as a baseline: its gradient is another's."""

    settings: ClassVar[type[LdSettings]] = PlainSettings
    full_scale: ClassVar[Mapping[str, Any]] = {}

    @classmethod
    def profile(cls, name: str) -> dict[str, Any]:
        """Return LD's profile, with the baseline's own settings in place of LD's."""
        return {**super().profile(name), **_declared_again(cls.settings)}

    @classmethod
    def variants(cls) -> tuple[Variant, ...]:
        """Return one row."""
        return (Variant(cls.name, cls.title),)

    @classmethod
    def variant_of(cls, config: LdSettings) -> str:
        """Return the name of that row."""
        return cls.name


class ScoreDistillation(PlainDistillation):
    """Score distillation sampling of single views."""

    name, title = "sds", "SDS"
    pace = Timing(step=0.32)
    settings = SdsSettings


def _declared_again(kind: type[LdSettings]) -> dict[str, Any]:
    """Return the defaults that settings derived from LD's declare again: in every profile they stay so."""
    own = kind.__mro__[: kind.__mro__.index(LdSettings)]
    declared = {name for base in own for name in vars(base).get("__annotations__", ())}
    return {name: getattr(kind, name) for name in LdSettings.names() if name in declared}
