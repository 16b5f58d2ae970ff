"""Memory tiers change what is kept and when things are computed, never the gradients."""

import copy
import gc
from pathlib import Path

import pytest
import torch

from stylehead.errors import UsageError
from stylehead.generator import PanoHead
from stylehead.memory import TIERS, choose_tier, device_memory
from stylehead.methods import Networks, Stylizer
from stylehead.methods.config import StylizeConfig, profile
from stylehead.teacher import Teacher

SETTINGS = {
    "default": {},
    "release": {**profile("release"), "perceptual_weight": 0.05},
    "everything": {
        **profile("paper"),
        "perceptual_weight": 0.05,
        "grid_mode": "after_sr",
        "grid_mirror": True,
        "batch": 2,
        "views": 2,
        "alpha_weight": 1.0,
        "latent_weight": 0.1,
        "background": "random",
        "noise_mode": "random",
        "ray_jitter": True,
        "posterior": "sample",
    },
}


def feature_maps(image: torch.Tensor) -> list[torch.Tensor]:
    return [torch.nn.functional.avg_pool2d(image, 4) + 1.5]


def gradients(stylizer: Stylizer) -> dict[str, torch.Tensor]:
    """The gradients of two iterations; the optimiser is held, so that the second starts alike."""
    stylizer.optimizer.step = lambda: None
    first, second = stylizer.step(), stylizer.step()
    assert first.non_finite == second.non_finite == ()
    return {name: p.grad for name, p in stylizer.trained.items() if p.grad is not None}


@pytest.mark.parametrize("settings", SETTINGS)
def test_every_tier_gives_the_same_gradients(make_stylizer, settings):
    """Two iterations, so that random numbers drawn again in the backward pass would show in the second."""
    common = {**SETTINGS[settings], "iterations": 2, "preview_every": 0, "checkpoint_every": 0}
    found = {name: gradients(make_stylizer(**common, memory=name, features=feature_maps)) for name in TIERS}
    wanted = found.pop("24")
    assert len(wanted) > 40
    for tier, got in found.items():
        assert got.keys() == wanted.keys()
        for name, gradient in got.items():
            error = (gradient - wanted[name]).abs().max()
            assert error <= 1e-3 * wanted[name].abs().max() + 1e-9, (tier, name)


def _on_a_gpu(tier: str, teacher_folder: Path, pristine: PanoHead) -> tuple[int, dict[str, torch.Tensor]]:
    """Memory that a tier takes above what was held before it, and its gradients on the host."""
    gc.collect()
    device, before = torch.device("cuda"), torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    teacher, reference = Teacher.load(teacher_folder, device=device), copy.deepcopy(pristine).to(device)
    config = StylizeConfig.from_dict({"prompt": "a rosa", "memory": tier})
    stylizer = Stylizer(copy.deepcopy(reference), reference, config, Networks(teacher))
    found = {name: gradient.cpu() for name, gradient in gradients(stylizer).items()}
    assert (teacher.parts.unet.device.type == "cpu") == TIERS[tier].offload
    return torch.cuda.max_memory_allocated() - before, found


@pytest.mark.gpu
def test_on_a_gpu_tiers_give_the_same_gradients_in_less_memory(teacher_folder, pristine):
    """Single precision on both sides; the lowest tier's teacher is in main memory between its answers."""
    peaks, found = {}, {}
    for name in ("24", *TIERS):  # the first round pays for what libraries keep
        peaks[name], found[name] = _on_a_gpu(name, teacher_folder, pristine)
    assert peaks["24"] > peaks["12"] >= peaks["8"]
    for tier in ("12", "8"):
        for name, gradient in found[tier].items():
            wanted = found["24"][name]
            assert (gradient - wanted).abs().max() <= 1e-2 * wanted.abs().max() + 1e-9, (tier, name)


def test_lower_tiers_keep_less_for_the_backward_pass(make_stylizer):
    kept = {}
    for name in TIERS:
        stylizer = make_stylizer(memory=name, grid=False)
        with torch.autograd.graph.saved_tensors_hooks(Count(), lambda tensor: tensor):
            scene = stylizer._render(stylizer._draw())
            count = Count.total
            stylizer.method.terms(scene, rng=stylizer.noise)
        kept[name] = (count, Count.total)
    assert kept["12"][0] < kept["24"][0] / 4
    assert kept["12"][1] < kept["24"][1] / 4
    assert kept["8"] <= kept["12"]


class Count:
    """Adds up what autograd keeps; what a recomputed part keeps is its own business."""

    total = 0

    def __init__(self) -> None:
        Count.total = 0

    def __call__(self, tensor: torch.Tensor) -> torch.Tensor:
        Count.total += tensor.numel() * tensor.element_size()
        return tensor


def test_the_tier_of_a_job_reaches_its_teacher(make_stylizer, teacher):
    assert make_stylizer().memory == TIERS["24"]  # small models need no savings
    assert make_stylizer(memory="8").memory == TIERS["8"] == teacher.memory
    make_stylizer()
    assert teacher.memory == TIERS["24"]


@pytest.mark.parametrize(
    ("gigabytes", "tier"),
    [(80, "24"), (23.6, "24"), (15.6, "24"), (15.4, "12"), (9.3, "12"), (9.1, "8"), (4, "8")],
)
def test_auto_takes_what_the_device_has_room_for(gigabytes, tier):
    assert choose_tier("auto", device_bytes=int(gigabytes * 1e9), largest_image=512).name == tier
    assert choose_tier("auto", device_bytes=int(gigabytes * 1e9), largest_image=128).name == "24"
    assert choose_tier("8", device_bytes=int(gigabytes * 1e9), largest_image=128).name == "8"


def test_more_pictures_and_larger_numbers_need_more():
    def tier(gigabytes: float, **load) -> str:
        return choose_tier("auto", device_bytes=int(gigabytes * 1e9), largest_image=512, **load).name

    assert tier(16) == "24"
    assert tier(16, pictures=2) == "12"
    assert tier(16, bytes_a_number=4) == "8"
    assert tier(30, bytes_a_number=4) == "24"


def test_what_is_free_on_a_card_counts_and_what_the_job_holds_already(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (9_000_000_000, 25_000_000_000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 4_000_000_000)
    assert device_memory("cuda:1") == 13_000_000_000


def test_unknown_tiers_are_refused():
    with pytest.raises(UsageError, match="auto, 24, 12, 8"):
        choose_tier("16", device_bytes=None, largest_image=512)
    with pytest.raises(UsageError, match="auto, 24, 12, 8"):
        StylizeConfig.from_dict({"prompt": "x", "memory": "16"})
    assert choose_tier("auto", device_bytes=None, largest_image=512).name == "24"


def test_the_device_has_memory():
    assert device_memory("cpu") is None or device_memory("cpu") > -8e9


def test_tiers_say_what_they_do():
    assert TIERS["24"].words() == ("everything stays in memory",)
    assert "offload the teacher" in TIERS["8"].words()
    assert set(TIERS["12"].words()) < set(TIERS["8"].words())
