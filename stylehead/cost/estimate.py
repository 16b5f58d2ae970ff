"""What an iteration costs, before anything is loaded: memory and time from the shapes of all networks.

Memory is the sum of stated parts: weights, optimiser, activations, and the process itself. Activations are
the most bytes alive at once in one iteration, which is really run, on PyTorch's meta device, where tensors
have shapes and no memory. Time is arithmetic over a measured rate plus memory traffic over another.
"""

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from stylehead.cost.meter import Counted, Meter, fused_attention
from stylehead.generator import PanoHead, TriGrid, trainable_parameters
from stylehead.geometry import conditioning_camera
from stylehead.images import resize
from stylehead.memory import MemoryTier
from stylehead.methods.config import StylizeConfig
from stylehead.methods.draws import draw_inputs
from stylehead.methods.grid import tile_final, tile_raw
from stylehead.methods.inject import surrogate
from stylehead.methods.ld import LdSettings, LikelihoodDistillation
from stylehead.methods.losses import alpha_loss, latent_loss, tweedie_loss
from stylehead.methods.views import Scene, render_groups
from stylehead.perception.depth import DepthEstimator
from stylehead.teacher import ControlCondition, PromptEmbedding, Question, Teacher

TEACHER, REST = "teacher", "rest"
"""Phases: the teacher's answers, where offloaded networks come to the device, and everything else."""
_META = torch.device("meta")


@dataclass(frozen=True)
class Blueprint:
    """The networks of a job on the meta device: shapes, no numbers.

    Args:
        generator: The generator; its reference has the same sizes.
        teacher: The diffusion model.
        depth_estimator: Monocular depth, or None when depth is rendered or not used.
        device: Type of the device that the job would run on, `cpu` or `cuda`.
    """

    generator: PanoHead
    teacher: Teacher
    depth_estimator: DepthEstimator | None = None
    device: str = "cpu"


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


def knows(config: StylizeConfig) -> bool:
    """Whether this module knows the iteration of a method."""
    return isinstance(config, LdSettings)


def estimate(blueprint: Blueprint, config: StylizeConfig, tier: MemoryTier) -> Estimate:
    """Estimate memory and work of a job; takes seconds and next to no memory, whatever its size.

    Args:
        blueprint: The networks.
        config: Settings; of LD or a method derived from it, see `knows`.
        tier: What is traded for memory.
    """
    assert isinstance(config, LdSettings), "see `knows`"
    counted = _trace(blueprint, config, dataclasses.replace(tier, offload=False))
    weights = _weights(blueprint)
    moving = {k: v for k, v in weights.items() if k in ("unet", "text_encoder") or k.startswith("controlnet")}
    answering, rest = counted[TEACHER].peak_bytes, counted[REST].peak_bytes
    if tier.offload and blueprint.device != "cpu":
        weights = {role: size for role, size in weights.items() if role not in moving}
        answering += max(moving.values())
    else:
        moving = {}
    work: dict[torch.dtype, int] = {}
    for phase in counted.values():
        for dtype, number in phase.flops.items():
            work[dtype] = work.get(dtype, 0) + number
    trained = sum(_bytes(parameter) for _, parameter in trainable_parameters(blueprint.generator))
    return Estimate(
        weights=weights,
        optimizer=4 * trained,
        activations=max(answering, rest),
        offloaded=sum(moving.values()),
        flops=work,
        traffic=sum(phase.traffic_bytes for phase in counted.values()),
    )


def _weights(blueprint: Blueprint) -> dict[str, int]:
    """Bytes of every network."""
    parts, one = blueprint.teacher.parts, _size(blueprint.generator)
    networks = {"unet": parts.unet, "vae": parts.vae, "text_encoder": parts.text_encoder}
    networks |= {f"controlnet_{kind}": network for kind, network in parts.controlnets.items()}
    if blueprint.depth_estimator is not None:
        networks["depth_estimator"] = blueprint.depth_estimator.network
    sizes = {role: _size(network) for role, network in networks.items()}
    return {"generator": one, "reference": one, **sizes}


def _size(network: nn.Module) -> int:
    return sum(_bytes(tensor) for tensor in (*network.parameters(), *network.buffers()))


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


# ------------------------------------------------------------------------------------------- one iteration


def _trace(blueprint: Blueprint, config: LdSettings, tier: MemoryTier) -> dict[str, Counted]:
    """Run one iteration on shapes and count it, without gradients of weights: they are counted apart."""
    generator = blueprint.generator.requires_grad_(False)
    handles = []
    for _, parameter in trainable_parameters(generator):
        parameter.requires_grad_(True)
        handles.append(parameter.register_post_accumulate_grad_hook(_let_go))
    blueprint.teacher.save_memory(tier)
    with Meter() as meter, fused_attention(meter), meter.phase(REST):
        _iteration(blueprint, config, tier, meter)
    for handle in handles:
        handle.remove()
    return meter.phases


def _let_go(parameter: Tensor) -> None:
    parameter.grad = None


def _iteration(blueprint: Blueprint, config: LdSettings, tier: MemoryTier, meter: Meter) -> None:
    """Do what the trainer does in one iteration, as far as it costs anything."""
    scene = _scene(blueprint, config, tier)
    teacher, size = blueprint.teacher, blueprint.teacher.image_size
    pictures = [resize(scene.views["single"].final(), size)]
    if "single_mirrored" in scene.views:
        pictures.append(resize(scene.views["single_mirrored"].final(), size))
    pictures += [_tiles(scene, config, name, size) for name in scene.views if name.startswith("grid")]
    latents = teacher.encode(torch.cat(pictures))
    with meter.phase(TEACHER):
        answers = teacher.predict_all(_questions(blueprint, scene, config), _text(teacher))
    terms = [surrogate(latents, torch.empty_like(latents))]
    if config.tweedie_weight > 0:
        with torch.no_grad():
            picture = teacher.decode(answers[0].eps_cond)
        terms.append(tweedie_loss(pictures[0], picture))
    if config.alpha_weight > 0:
        names = [name for name in ("single", "grid") if name in scene.views]
        terms += [alpha_loss(scene.views[n].mask, scene.reference_views[n].mask) for n in names]
    if config.latent_weight > 0:
        with torch.no_grad():
            kept = teacher.encode(resize(scene.reference_views["single"].final(), size))
            mask = resize(scene.reference_views["single"].mask, teacher.latent_size)
        terms.append(latent_loss(latents[: len(kept)], kept, mask))
    torch.stack(terms).sum().backward()


def _scene(blueprint: Blueprint, config: LdSettings, tier: MemoryTier) -> Scene:
    generator, teacher = blueprint.generator, blueprint.teacher
    shape = (teacher.latent_channels, teacher.latent_size, teacher.latent_size)
    source = torch.Generator().manual_seed(0)
    method = LikelihoodDistillation.__new__(LikelihoodDistillation)  # its prompt cannot be embedded on paper
    method.config, method.depth_estimator = config, blueprint.depth_estimator
    draw = draw_inputs(
        config, method.sampling, z_dim=generator.config.z_dim, latent_shape=shape, rng=source
    ).to(_META)
    common: dict[str, Any] = {"rng": None, "one_view": tier.recompute_renders}
    with torch.no_grad():
        ws = generator.mapping(draw.z, conditioning_camera().to(_META), truncation_psi=config.psi)
        reference = generator.planes(ws, noise_mode=config.noise_mode)
        reference_views = render_groups(
            generator, _grid(blueprint, reference), ws, draw, config,
            groups=method.reference_groups(), **common,
        )  # fmt: skip
    planes = generator.planes(ws, noise_mode=config.noise_mode, recompute=tier.recompute_renders)
    views = render_groups(
        generator, _grid(blueprint, planes), ws, draw, config, groups=method.groups(), **common
    )
    return Scene(draw, views, reference_views, planes, reference, ws, ws)


def _grid(blueprint: Blueprint, planes: Tensor) -> TriGrid:
    """Arrange planes as the device would have them."""
    depth = blueprint.generator.config.rendering.triplane_depth
    method = "gather" if blueprint.device == "cpu" else "grid_sample"
    return TriGrid.prepare(planes, depth=depth, method=method)  # type: ignore[arg-type]


def _tiles(scene: Scene, config: LdSettings, name: str, size: int) -> Tensor:
    views = scene.views[name]
    if config.grid_mode == "before_sr":
        return tile_raw(views.image_raw, size=size)
    return tile_final(views.final(), size=size)


def _questions(blueprint: Blueprint, scene: Scene, config: LdSettings) -> list[Question]:
    """What the teacher is asked: noise and conditions of the right shapes."""
    teacher, eps = blueprint.teacher, scene.draw.eps
    if blueprint.depth_estimator is not None and config.grid:
        blueprint.depth_estimator(scene.reference_views["grid"].final())
    conditions = {"single": "canny" if config.canny else None}
    if config.grid:
        conditions["grid"] = "depth" if config.depth != "none" else None
    questions = []
    for stage, kind in conditions.items():
        noise = eps[stage]
        picture = torch.empty(len(noise), 3, teacher.image_size, teacher.image_size, device=_META)
        condition = None if kind not in teacher.kinds else ControlCondition(str(kind), picture)
        steps = torch.zeros(len(noise), dtype=torch.int64, device=_META)
        questions.append(Question(noise, steps, condition))
    return questions


def _text(teacher: Teacher) -> PromptEmbedding:
    config = teacher.parts.text_encoder.config
    shape = (1, config.max_position_embeddings, config.hidden_size)
    words = torch.empty(shape, dtype=teacher.parts.unet.dtype, device=_META)
    return PromptEmbedding(words, words)


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
    clock = time.perf_counter if device == "cuda" else time.process_time
    found = []
    for _ in range(repeats + 1):
        start = clock()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        found.append(clock() - start)
    return max(min(found[1:]) / (1 if device == "cuda" else torch.get_num_threads()), 1e-9)
