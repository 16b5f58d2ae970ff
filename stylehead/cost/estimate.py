"""What an iteration costs, before anything is loaded: memory and time from the shapes of all networks.

Memory is the sum of stated parts: weights, optimiser, activations, and the process itself. Activations are
the most bytes alive at once in one iteration, which is really run, on PyTorch's meta device, where tensors
have shapes and no memory. Time is arithmetic over a measured rate plus memory traffic over another.
"""

import contextlib
import copy
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from stylehead.cost.meter import Counted, Meter, fused_attention
from stylehead.generator import PanoHead
from stylehead.images import FeatureMaps
from stylehead.memory import MemoryTier
from stylehead.methods import Networks, Stylizer
from stylehead.methods.config import StylizeConfig
from stylehead.methods.contract import FaceVectors
from stylehead.perception.depth import DepthEstimator
from stylehead.perception.roles import ImageText
from stylehead.teacher import EpsPair, Teacher

TEACHER, REST = "teacher", "rest"
"""Phases: the teacher's predictions, where offloaded networks come to the device, and everything else."""


@dataclass(frozen=True)
class Blueprint:
    """The networks of a job on the meta device: shapes, no numbers.

    Attributes:
        generator: The generator; its reference has the same sizes.
        teacher: The diffusion model, if the method needs one.
        depth_estimator: Monocular depth, or None when depth is rendered or not used.
        image_text: The space of pictures and texts, if the method needs one.
        faces: The identity encoder, likewise.
        features: The feature network of a perceptual distance, likewise.
        others: The networks behind the last three, by role, whose weights count.
        device: Type of the device that the job would run on, `cpu` or `cuda`.
    """

    generator: PanoHead
    teacher: Teacher | None = None
    depth_estimator: DepthEstimator | None = None
    image_text: ImageText | None = None
    faces: FaceVectors | None = None
    features: FeatureMaps | None = None
    others: Mapping[str, nn.Module] = field(default_factory=dict)
    device: str = "cpu"

    @property
    def largest_image(self) -> int:
        """Edge in pixels of the largest picture that is made or looked at."""
        return max(
            self.generator.config.img_resolution, 0 if self.teacher is None else self.teacher.image_size
        )

    @property
    def dtypes(self) -> tuple[torch.dtype, ...]:
        """The types of numbers that are multiplied; the rank of a score is found in double precision."""
        teacher = self.teacher
        own = () if teacher is None else (teacher.parts.unet.dtype, teacher.parts.vae.dtype)
        finishing = () if self.device == "cpu" else (torch.float16,)
        return tuple(dict.fromkeys((*own, *finishing, torch.float32, torch.float64)))


@dataclass(frozen=True)
class Estimate:
    """What a job needs, in bytes, and what one iteration computes.

    Attributes:
        weights: Of each network that stays on the device, by role.
        optimizer: Gradients, Adam's two moments and the average of what is trained.
        activations: Most bytes alive at once beside those, offloaded networks at work included.
        offloaded: Weights that wait in main memory.
        flops: Arithmetic of one iteration, by type of number.
        traffic: Bytes read and written in one iteration.
    """

    weights: dict[str, int]
    optimizer: int
    activations: int
    offloaded: int
    flops: dict[torch.dtype, int]
    traffic: int

    @property
    def device_bytes(self) -> int:
        """Return the sum of the parts, without the process itself."""
        return sum(self.weights.values()) + self.optimizer + self.activations

    def seconds(self, rates: "Rates") -> float:
        """Return the time of one iteration: arithmetic plus traffic, each at its measured rate."""
        return sum(n / rates.flops[dtype] for dtype, n in self.flops.items()) + self.traffic / rates.traffic


@dataclass(frozen=True)
class Rates:
    """How fast a device is: operations a second by type of number, and bytes a second."""

    flops: Mapping[torch.dtype, float]
    traffic: float


def estimate(blueprint: Blueprint, config: StylizeConfig, tier: MemoryTier) -> Estimate:
    """Estimate memory and work of a job; takes seconds and next to no memory, whatever its size.

    One `Stylizer.step` of the job's method is run, whichever that is.

    Args:
        blueprint: The networks.
        config: Settings.
        tier: What is traded for memory.

    Raises:
        UsageError: The settings do not fit the networks or each other.
        MissingError: The blueprint lacks a network that the method needs.
    """
    stylizer = _on_paper(blueprint, config, tier)
    stylizer.method.rehearse(stylizer.reference)
    counted = _trace(stylizer)
    weights = _weights(blueprint)
    moving = {k: v for k, v in weights.items() if k in ("unet", "text_encoder") or k.startswith("controlnet")}
    phases = {phase: counted.get(phase, Counted()).peak_bytes for phase in (TEACHER, REST)}
    if moving and tier.offload and blueprint.device != "cpu":
        weights = {role: size for role, size in weights.items() if role not in moving}
        phases[TEACHER] += max(moving.values())
    else:
        moving = {}
    work: dict[torch.dtype, int] = {}
    for phase in counted.values():
        for dtype, number in phase.flops.items():
            work[dtype] = work.get(dtype, 0) + number
    return Estimate(
        weights=weights,
        optimizer=4 * sum(_bytes(parameter) for parameter in stylizer.trained.values()),
        activations=max(phases.values()),
        offloaded=sum(moving.values()),
        flops=work,
        traffic=sum(phase.traffic_bytes for phase in counted.values()),
    )


def _weights(blueprint: Blueprint) -> dict[str, int]:
    """Bytes of every network."""
    one = _size(blueprint.generator)
    networks: dict[str, nn.Module] = {}
    if blueprint.teacher is not None:
        parts = blueprint.teacher.parts
        networks |= {"unet": parts.unet, "vae": parts.vae, "text_encoder": parts.text_encoder}
        networks |= {f"controlnet_{kind}": network for kind, network in parts.controlnets.items()}
    if blueprint.depth_estimator is not None:
        networks["depth_estimator"] = blueprint.depth_estimator.network
    networks |= blueprint.others
    return {"generator": one, "reference": one} | {role: _size(net) for role, net in networks.items()}


def _size(network: nn.Module) -> int:
    return sum(_bytes(tensor) for tensor in (*network.parameters(), *network.buffers()))


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


# ------------------------------------------------------------------------------------------- one iteration


def _trace(stylizer: Stylizer) -> dict[str, Counted]:
    """Run one iteration on shapes and count it, without gradients of weights: they are counted apart."""
    handles = [
        parameter.register_post_accumulate_grad_hook(_let_go) for parameter in stylizer.trained.values()
    ]
    if stylizer.config.reference_heads:
        stylizer.step()  # that draws the untouched heads, which then come again and again
    with Meter() as meter, fused_attention(meter), _predictions(stylizer.teacher, meter), meter.phase(REST):
        stylizer.step()
    for handle in handles:
        handle.remove()
    return meter.phases


def _let_go(parameter: Tensor) -> None:
    parameter.grad = None


@contextlib.contextmanager
def _predictions(teacher: Teacher | None, meter: Meter) -> Iterator[None]:
    """Count what the teacher predicts in a phase of its own."""
    if teacher is None:
        yield
        return

    def predict_all(*args: Any) -> list[EpsPair]:
        with meter.phase(TEACHER):
            return Teacher.predict_all(teacher, *args)

    vars(teacher)["predict_all"] = predict_all
    try:
        yield
    finally:
        del vars(teacher)["predict_all"]


def _on_paper(blueprint: Blueprint, config: StylizeConfig, tier: MemoryTier) -> Stylizer:
    """Build the job's own trainer around networks without numbers."""
    generator = blueprint.generator
    # Tri-grids are sampled as the device would do it.
    generator.sample_method = "gather" if blueprint.device == "cpu" else "grid_sample"
    finishing = config.generator_precision
    if finishing == "auto":
        finishing = "fp32" if blueprint.device == "cpu" else "fp16"
    return Stylizer(
        generator,
        copy.deepcopy(generator),
        config.replace(
            memory=tier.name,
            generator_precision=finishing,
            reference_heads=min(1, config.reference_heads),
        ),
        Networks(
            blueprint.teacher,
            blueprint.features,
            blueprint.depth_estimator,
            blueprint.image_text,
            blueprint.faces,
        ),
    )


# ----------------------------------------------------------------------------------------------------- speed


def measure_rates(device: str, dtypes: tuple[torch.dtype, ...]) -> Rates:
    """Time a convolution and an addition on a device: about a second.

    Args:
        device: Where.
        dtypes: Types of numbers to multiply.
    """
    flops = {}
    for dtype in dtypes:
        x = torch.ones(1, 128, 96, 96, device=device, dtype=dtype)
        kernel = torch.ones(128, 128, 3, 3, device=device, dtype=dtype)
        work = 2 * x.numel() * kernel[0].numel()
        flops[dtype] = work / _fastest(
            device, lambda x=x, kernel=kernel: nn.functional.conv2d(x, kernel, padding=1)
        )
    many = torch.ones(2**23, device=device)
    seconds = _fastest(device, lambda: many + many)
    return Rates(flops, 3 * _bytes(many) / seconds)


def _fastest(device: str, work: Any, *, repeats: int = 5) -> float:
    """Shortest time of several runs, in seconds, the first not counted; on a CPU as if it were idle."""
    cuda = device.startswith("cuda")
    clock = time.perf_counter if cuda else time.process_time
    found = []
    for _ in range(repeats + 1):
        start = clock()
        work()
        if cuda:
            torch.cuda.synchronize(device)
        found.append(clock() - start)
    return max(min(found[1:]) / (1 if cuda else torch.get_num_threads()), 1e-9)
