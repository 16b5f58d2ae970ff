"""What a stylise job will need, from the shapes of its networks: memory by part, arithmetic, time."""

from stylehead.cost.estimate import Blueprint, Estimate, Rates, estimate, measure_rates
from stylehead.cost.meter import Counted, Meter, fused_attention

__all__ = [
    "Blueprint",
    "Counted",
    "Estimate",
    "Meter",
    "Rates",
    "estimate",
    "fused_attention",
    "measure_rates",
]
