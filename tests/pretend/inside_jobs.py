"""Training and rendering on the pretend device: devices never mix, numbers are the host's."""

import copy
import dataclasses
import functools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from pretend_device import PretendTensor, pretending
from torch import Tensor

for room in ("methods", "teacher", "perception", "inversion", "generator"):
    sys.path.append(str(Path(__file__).parents[1] / room))
import golden_cases  # noqa: E402
from lpips_seeded import seeded_heads, seeded_trunk  # noqa: E402
from rivals import ToySpace  # noqa: E402
from tiny_teacher import write_tiny_depth_estimator, write_tiny_teacher  # noqa: E402

from stylehead.export.views import latent_from_seed, render_views  # noqa: E402
from stylehead.generator import GeneratorConfig, PanoHead  # noqa: E402
from stylehead.inversion.latents import LatentSpace  # noqa: E402
from stylehead.memory import TIERS  # noqa: E402
from stylehead.methods import Networks, Stylizer  # noqa: E402
from stylehead.methods.config import StylizeConfig, profile  # noqa: E402
from stylehead.perception.depth import DepthEstimator  # noqa: E402
from stylehead.perception.lpips import Lpips  # noqa: E402
from stylehead.teacher import Teacher  # noqa: E402

HOST = torch.device("cpu")


@pytest.fixture(autouse=True)
def place() -> Iterator[torch.device]:
    with pretending() as device:
        yield device


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_teacher(tmp_path_factory.mktemp("teacher"), image_size=32)


@pytest.fixture(scope="module")
def estimator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_depth_estimator(tmp_path_factory.mktemp("estimator"))


@pytest.fixture(scope="module")
def trunk(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    where = tmp_path_factory.mktemp("lpips")
    torch.save(seeded_trunk("alex"), where / "trunk.pth")
    torch.save(seeded_heads("alex"), where / "heads.pth")
    return where / "trunk.pth", where / "heads.pth"


@pytest.fixture(scope="module")
def pristine() -> PanoHead:
    tiny = GeneratorConfig.tiny()
    few = dataclasses.replace(
        tiny.rendering, depth_resolution=4, depth_resolution_importance=2, use_background=False
    )
    torch.manual_seed(3)
    generator = PanoHead(dataclasses.replace(tiny, rendering=few, neural_rendering_resolution=4)).eval()
    with torch.no_grad():
        generator.decoder.get_parameter("net.2.weight")[0] *= 40
    return generator


class Space(ToySpace):
    """The toy space on a device."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.weight, self.device = self.weight.to(device), device

    def texts(self, texts: Any) -> Tensor:
        return super().texts(texts).to(self.device)


@pytest.fixture(scope="module")
def frozen(folder: Path, estimator: Path, trunk: tuple[Path, Path]) -> Callable[[torch.device], Networks]:
    """Load the frozen networks onto a device, once for all tests: loading takes longer than a step."""

    @functools.cache
    def load(device: torch.device) -> Networks:
        torch.manual_seed(0)
        faces = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(4), torch.nn.Flatten(), torch.nn.Linear(48, 8))
        return Networks(
            teacher=Teacher.load(folder, device=device),
            features=Lpips.load("alex", *trunk, device),
            depth_estimator=DepthEstimator.load(estimator, device=device),
            image_text=Space(device),
            faces=faces.to(device),
        )

    return load


@pytest.fixture
def stylizer(pristine: PanoHead, frozen: Callable[[torch.device], Networks]) -> Any:
    """Build a stylizer on a device."""

    def build(device: torch.device, **settings: Any) -> Stylizer:
        reference = copy.deepcopy(pristine).to(device)
        config = StylizeConfig.from_dict(
            {"prompt": "a rosa", "iterations": 4, "preview_every": 0, **settings}
        )
        return Stylizer(copy.deepcopy(reference), reference, config, frozen(device))

    return build


RIVALS = ("sds", "csd", "nada", "styleclip", "styleganfusion", "diffusiongan3d")
CASES: dict[str, dict[str, Any]] = {
    "ld": {},
    "ld, paper": profile("paper"),
    "ld, release": profile("release"),
    "ld, everything": {
        "grid_mode": "after_sr", "grid_mirror": True, "batch": 2, "noise_mode": "random",
        "ray_jitter": True, "posterior": "sample", "perceptual_weight": 0.05, "depth": "estimated",
    },
    "ld, 8 GB": {"memory": "8"},
    "ld, half": {"generator_precision": "fp16"},
    **{name: {"method": name} for name in RIVALS},
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_every_method_trains_on_the_device(case: str, stylizer: Any, place: torch.device) -> None:
    job = stylizer(place, **CASES[case])
    record = job.step()
    assert not record.non_finite
    assert {parameter.device for parameter in job.trained.values()} == {place}
    assert any(parameter.grad is not None and parameter.grad.any() for parameter in job.trained.values())


def test_the_numbers_are_those_of_the_host(stylizer: Any, place: torch.device) -> None:
    """Nearly: on a CPU some sums are taken in another order than on a GPU."""
    here, there = (stylizer(device).step() for device in (HOST, place))
    for name, value in here.losses.items():
        assert there.losses[name] == pytest.approx(value, rel=1e-3), name
    for name, value in here.gradient_rms.items():
        assert there.gradient_rms[name] == pytest.approx(value, rel=1e-3), name


@pytest.mark.parametrize("way", ["here to there", "there to here"])
def test_a_run_goes_on_on_another_kind_of_device(way: str, stylizer: Any, place: torch.device) -> None:
    first, second = (HOST if word == "here" else place for word in way.split(" to "))
    job = stylizer(first)
    job.step()
    state = job.state_dict()
    plain = {name: value.cpu() for name, value in state["weights"].items()}
    assert not any(isinstance(value, PretendTensor) for value in plain.values())
    again = stylizer(second)
    again.load_state_dict({**state, "weights": plain})
    assert again.moved
    record = again.step()
    assert record.iteration == 2
    assert not record.non_finite


def test_renders_come_back_to_the_host(pristine: PanoHead, place: torch.device) -> None:
    pictures = []
    for device in (HOST, place):
        generator = copy.deepcopy(pristine).to(device)
        ws = latent_from_seed(generator, 3, psi=0.7)
        assert ws.device == device
        pictures.append(render_views(generator, ws, [0.0, 90.0], pitch_deg=10, backdrop="#102030"))
    assert (pictures[0] == pictures[1]).all()


def test_the_space_of_heads_is_measured_on_the_device(place: torch.device) -> None:
    spaces = [LatentSpace.measure(golden_cases.tiny().to(device), samples=50) for device in (HOST, place)]
    assert spaces[1].mean.device == place
    assert torch.equal(spaces[0].mean, spaces[1].mean.cpu())


def test_offloaded_networks_are_never_copied_back(stylizer: Any, place: torch.device) -> None:
    job = stylizer(place, memory="8")
    unet = job.teacher.parts.unet
    masters = {name: parameter.data_ptr() for name, parameter in unet.named_parameters()}
    seen = []
    unet.register_forward_pre_hook(lambda *_: seen.append({p.device for p in unet.parameters()}))
    size, text = job.teacher.latent_size, job.teacher.encode_prompt("a rosa")
    latents, timestep = torch.zeros(1, 4, size, size, device=place), torch.tensor([281]).to(place)
    assert job.teacher.predict(latents, timestep, text).eps_cond.device == place
    assert seen
    assert all(devices == {place} for devices in seen)
    assert {name: parameter.data_ptr() for name, parameter in unet.named_parameters()} == masters
    assert {parameter.device.type for parameter in unet.parameters()} == {"cpu"}
    job.teacher.save_memory(TIERS["24"])
    assert {parameter.device for parameter in unet.parameters()} == {place}


def test_kept_heads_wait_on_the_host(stylizer: Any, place: torch.device) -> None:
    job = stylizer(place, reference_heads=1, **profile("paper"))
    records = [job.step() for _ in range(2)]
    assert not any(record.non_finite for record in records)
    (kept,) = job._kept.values()
    assert {tensor.device.type for tensor in kept._values["untouched"].views["single"]} == {"cpu"}


# ----------------------------------------------------------------------------------------- planted mistakes


def test_a_constant_that_stayed_on_the_host_is_caught(
    stylizer: Any, place: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = stylizer(place)
    job._camera = job._camera.cpu()
    with pytest.raises(RuntimeError, match="same device"):
        job.step()


def test_noise_of_a_foreign_generator_is_caught(stylizer: Any, place: torch.device) -> None:
    job = stylizer(place, noise_mode="random")
    job.noise = torch.Generator().manual_seed(0)
    with pytest.raises(RuntimeError, match=r"device type for generator|same device"):
        job.step()


def test_numpy_on_the_device_is_caught(
    stylizer: Any, place: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = stylizer(place)
    monkeypatch.setattr(
        "stylehead.methods.stages.canny_condition",
        lambda image, *_, **__: torch.from_numpy(image.numpy()),
    )
    with pytest.raises(TypeError, match=r"Use Tensor\.cpu\(\)"):
        job.step()
