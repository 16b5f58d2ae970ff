"""What a stylise job would cost: memory and time, from the shapes of its networks alone.

Nothing is loaded and nothing has to be there: sizes come from configurations, of the files that are here and
of the catalogue's models for those that are not.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

from stylehead.memory import MEASURED, MemoryTier
from stylehead.methods.config import StylizeConfig

if TYPE_CHECKING:
    from stylehead.cost import Blueprint, Estimate, Rates

LIBRARIES = 600_000_000
"""Bytes of a process that has loaded PyTorch and diffusers and nothing else, on a CPU; measured."""
NOT_MEASURED = "not measured"


class Forecast(NamedTuple):
    """What a tier would need on a device: estimates, and what was measured before, if anything was.

    Attributes:
        tier: What is traded for memory.
        estimate: Its parts.
        total_bytes: Their sum, with the process itself on a CPU.
        seconds: Of one iteration on an otherwise idle machine, or None when the device is not here.
        measured: What a run of this size once needed, for people.
    """

    tier: MemoryTier
    estimate: "Estimate"
    total_bytes: int
    seconds: float | None
    measured: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        found = self.estimate
        parts = {"weights": found.weights, "optimizer": found.optimizer, "activations": found.activations}
        return {
            "memory": self.tier.name,
            "does": self.tier.words(),
            "parts_bytes": parts,
            "offloaded_bytes": found.offloaded,
            "total_bytes": self.total_bytes,
            "seconds_per_iteration": self.seconds,
            "flops": {str(dtype).removeprefix("torch."): number for dtype, number in found.flops.items()},
            "measured_peak": self.measured,
        }


def forecast(
    networks: "Blueprint", config: StylizeConfig, tier: MemoryTier, rates: "Rates | None"
) -> Forecast:
    """Estimate what a job would need on the blueprint's device."""
    from stylehead.cost import estimate

    found = estimate(networks, config, tier)
    total = found.device_bytes + (LIBRARIES if networks.device == "cpu" else 0)
    full = networks.generator.config.img_resolution >= 512
    known = MEASURED.get((networks.device, tier.name)) if full else None
    seconds = None if rates is None else found.seconds(rates)
    return Forecast(tier, found, total, seconds, known or NOT_MEASURED)
