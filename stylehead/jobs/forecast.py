"""What a stylise job would cost: memory and time, from the shapes of its networks alone.

Nothing is loaded and nothing has to be there: sizes come from configurations, of the files that are here and
of the catalogue's models for those that are not.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from stylehead.jobs.models import choose_dtype, precision_of
from stylehead.jobs.needs import Inventory
from stylehead.memory import MEASURED, MemoryTier
from stylehead.methods.config import StylizeConfig

if TYPE_CHECKING:
    from stylehead.cost import Blueprint, Estimate, Rates

_PARTS = ("unet", "vae", "text_encoder")
LIBRARIES = 600_000_000
"""Bytes of a process that has loaded PyTorch and diffusers and nothing else, on a CPU; measured."""
NOT_MEASURED = "not measured"


def blueprint(needs: Inventory, device: str) -> "Blueprint":
    """Build the networks of a job without numbers."""
    import torch

    from stylehead.architecture import GeneratorConfig
    from stylehead.cost import Blueprint
    from stylehead.generator import PanoHead
    from stylehead.generator.checkpoint import read_config
    from stylehead.perception.depth import DepthEstimator
    from stylehead.teacher.shapes import depth_skeleton, teacher_on_paper

    generator = _folder(needs, "generator")
    config = GeneratorConfig.full() if generator is None else read_config(generator)
    with torch.device("meta"):
        network = PanoHead(config).eval()
    dtype = choose_dtype(precision_of(needs.config), device)
    estimator = None
    if needs.find("depth_estimator") is not None:
        skeleton = depth_skeleton(_folder(needs, "depth_estimator")).to(dtype)
        estimator = DepthEstimator(skeleton)
    return Blueprint(network, teacher_on_paper(_folders(needs), dtype), estimator, device)


def _folders(needs: Inventory) -> dict[str, Path | None]:
    """The folder of every network of the teacher, None for those of Stable Diffusion 1.5's size."""
    base = _folder(needs, "diffusion")
    folders: dict[str, Path | None] = {role: None if base is None else base / role for role in _PARTS}
    for kind in ("canny", "depth"):
        role = f"controlnet_{kind}"
        if needs.find(role) is not None:
            folders[role] = _folder(needs, role)
        elif base is not None and (base / role).is_dir():
            folders[role] = base / role
    return folders | ({"vae": _folder(needs, "vae")} if needs.find("vae") is not None else {})


def _folder(needs: Inventory, role: str) -> Path | None:
    """Where weights are, or None when they are not here."""
    need = needs.find(role)
    return None if need is None else need.folder


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
