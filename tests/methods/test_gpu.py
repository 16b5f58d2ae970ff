"""On a graphics card: half precision, offloading, compiling and fused steps do what they do on the host."""

import copy
import json

import pytest
import torch

from stylehead.checkpoints import pack_state, unpack_state
from stylehead.generator import PanoHead
from stylehead.geometry import turntable
from stylehead.jobs import doctor
from stylehead.methods import Networks, Stylizer
from stylehead.methods.config import StylizeConfig, profile
from stylehead.precision import choose_dtype
from stylehead.teacher import Teacher, TeacherPaths
from stylehead.weights.presets import mini_preset

pytestmark = pytest.mark.gpu
CUDA = torch.device("cuda")


def embedded(device: torch.device, **settings) -> Stylizer:
    """The embedded models on a device."""
    preset = mini_preset()
    reference = PanoHead.load(preset.require_generator(), device)
    config = StylizeConfig.from_dict({"prompt": "Pixar character", "iterations": 4, **settings})
    teacher = Teacher.load(
        TeacherPaths(preset.require_teacher()),
        device=device,
        dtype=choose_dtype(config.precision, device.type),
        vae_dtype=choose_dtype(config.vae_precision, device.type),
    )
    return Stylizer(copy.deepcopy(reference), reference, config, Networks(teacher))


def gradients(stylizer: Stylizer) -> dict[str, torch.Tensor]:
    stylizer.optimizer.step = lambda: None
    record = stylizer.step()
    assert record.non_finite == ()
    return {name: p.grad.float().cpu() for name, p in stylizer.trained.items() if p.grad is not None}


def close(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], share: float) -> bool:
    error = sum(float((one[name] - other[name]).square().sum()) for name in other)
    return error**0.5 < share * sum(float(value.square().sum()) for value in other.values()) ** 0.5


def test_half_precision_changes_a_step_by_little() -> None:
    single = {"precision": "fp32", "vae_precision": "fp32", "generator_precision": "fp32"}
    wanted = gradients(embedded(CUDA, **single))
    assert close(gradients(embedded(torch.device("cpu"), **single)), wanted, 0.02)
    assert close(gradients(embedded(CUDA, **single | {"vae_precision": "fp16"})), wanted, 0.03)
    assert close(gradients(embedded(CUDA)), wanted, 0.15)  # the teacher's own half precision has its share


@pytest.mark.parametrize("memory", ["12", "8"])
def test_tiers_change_nothing(memory: str) -> None:
    assert close(gradients(embedded(CUDA, memory=memory)), gradients(embedded(CUDA, memory="24")), 0.05)


@pytest.mark.parametrize("name", ["default", "paper", "release"])
def test_every_profile_steps(name: str) -> None:
    stylizer = embedded(CUDA, **profile(name) | {"perceptual_weight": 0.0, "reference_heads": 1})
    finite = [stylizer.step().non_finite == () for _ in range(4)]
    assert sum(finite) >= 3  # where a gradient is beyond half precision, the next step computes in single
    assert finite[-1]
    assert stylizer.optimizer.param_groups[0]["fused"]


def test_a_run_goes_on_on_the_host() -> None:
    stylizer = embedded(CUDA)
    stylizer.step()
    packed, tensors = pack_state(stylizer.state_dict())
    host = embedded(torch.device("cpu"))
    host.load_state_dict(unpack_state(json.loads(json.dumps(packed)), tensors))
    assert host.step().iteration == 2


def test_memory_does_not_grow() -> None:
    stylizer = embedded(CUDA, iterations=40)
    held = []
    for _ in range(40):
        stylizer.step()
        held.append(torch.cuda.memory_allocated())
    assert held[-1] <= held[4] * 1.01


def test_renders_and_doctor() -> None:
    generator = PanoHead.load(mini_preset().require_generator(), CUDA)
    ws = torch.zeros(1, generator.num_ws, generator.config.w_dim, device=CUDA)
    label = turntable(2).to(CUDA)
    here = generator.synthesis(ws, label, background="white").image.cpu()
    there = generator.cpu().synthesis(ws.cpu(), label.cpu(), background="white").image
    assert (here - there).abs().mean() < 5e-3
    assert doctor.computes("cuda").state == "ok"
    assert doctor.smoke("cuda").state == "ok"
