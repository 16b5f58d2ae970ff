"""What a stylise job will need, from the shapes of its networks: memory by part, arithmetic, time."""

from stylehead.cost.equivalents import CARDS, Card, computed_seconds, half_equivalents
from stylehead.cost.estimate import Blueprint, Estimate, Rates, estimate, measure_rates
from stylehead.cost.meter import Counted, Meter, fused_attention
from stylehead.cost.script import Script

__all__ = [
    "CARDS",
    "Blueprint",
    "Card",
    "Counted",
    "Estimate",
    "Meter",
    "Rates",
    "Script",
    "computed_seconds",
    "estimate",
    "fused_attention",
    "half_equivalents",
    "measure_rates",
]
