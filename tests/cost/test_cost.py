"""Estimates against what really happens, at sizes where it can."""

import copy
import dataclasses
import gc
from dataclasses import dataclass

import pytest
import torch
from torch.nn import functional

from stylehead.cost import Blueprint, Rates, estimate, measure_rates
from stylehead.cost.meter import Meter, fused_attention
from stylehead.errors import MissingError
from stylehead.generator import GeneratorConfig, PanoHead, trainable_parameters
from stylehead.generator.field import HeadField
from stylehead.images import resize
from stylehead.memory import TIERS
from stylehead.methods import Networks, Stylizer, Terms, registry
from stylehead.methods.ask import Distillation
from stylehead.methods.config import StylizeConfig, TeacherSettings, profile
from stylehead.methods.registry import BUILT_IN, method_class
from stylehead.methods.scene import Scene
from stylehead.perception.embedded import IdentityEncoder, ImageTextEncoder
from stylehead.perception.image_text import EmbeddedImageText
from stylehead.teacher import TeacherPaths
from stylehead.teacher.on_paper import teacher_on_paper
from stylehead.teacher.shapes import STABLE_DIFFUSION_15, depth_skeleton, teacher_skeleton

PLAIN = StylizeConfig.from_dict({"prompt": "a"})
FACTOR = 1.5
"""How far an estimate of memory may be from what an iteration really holds."""


def tiny() -> PanoHead:
    """A generator whose renders outweigh its weights, as in every real one."""
    config = GeneratorConfig.tiny()
    return PanoHead(
        dataclasses.replace(config, rendering=dataclasses.replace(config.rendering, use_background=False))
    )


def on_paper(config: GeneratorConfig, folder, dtype=torch.float32, device="cpu") -> Blueprint:
    with torch.device("meta"):
        generator = PanoHead(config)
    return Blueprint(generator, teacher_on_paper(TeacherPaths(folder).networks(), dtype), device=device)


_GUESSES = {}


def guessed(folder, config=PLAIN, tier="24"):
    """The estimate for the tiny networks, made once."""
    key = config.to_json(), tier
    if key not in _GUESSES:
        _GUESSES[key] = estimate(on_paper(tiny().config, folder), config, TIERS[tier])
    return _GUESSES[key]


OTHER = {"grid_mode": "after_sr", "batch": 2, "mirror": False, "canny": False}
QUICK = (("24", {}), ("8", {}), ("24", OTHER))
ITERATIONS = [
    *QUICK,
    *(
        pytest.param(tier, changes, marks=pytest.mark.slow)
        for tier in TIERS
        for changes in ({}, OTHER)
        if (tier, changes) not in QUICK
    ),
]


@pytest.mark.parametrize(("tier", "changes"), ITERATIONS)
def test_memory_and_work_are_those_of_a_real_iteration(teacher, teacher_folder, tier, changes, monkeypatch):
    generator = tiny()
    config = StylizeConfig.from_dict({"prompt": "a", "memory": tier, **changes})
    stylizer = Stylizer(copy.deepcopy(generator), generator, config, Networks(teacher))
    gc.collect()
    with Meter() as meter:
        with meter.phase("step"):
            stylizer.step()
        # On paper every point of a ray is computed; in a real iteration only those within the cube.
        monkeypatch.setattr(HeadField, "_where", lambda self, kept, points: self.at(points))
        with meter.phase("every point"):
            stylizer.step()
    teacher.save_memory(TIERS["24"])
    real, every = meter.phases["step"], meter.phases["every point"]
    guess = guessed(teacher_folder, config, tier)
    assert real.peak_bytes / FACTOR < guess.activations + guess.optimizer < real.peak_bytes * FACTOR
    assert sum(guess.flops.values()) == pytest.approx(sum(every.flops.values()), rel=0.1)
    assert guess.traffic == pytest.approx(every.traffic_bytes, rel=0.2)
    assert sum(real.flops.values()) < sum(every.flops.values())


@pytest.fixture
def dark():
    """A method that this package does not know, forgotten afterwards."""

    @dataclass(frozen=True, kw_only=True)
    class DarkSettings(TeacherSettings):
        pass

    class Dark(Distillation[DarkSettings]):
        name, title = "dark", "Darkness"

        def terms(self, scene: Scene, *, rng: torch.Generator) -> Terms:
            (latents,) = self.encode([resize(scene.views["single"].final(), self.teacher.image_size)], rng)
            return Terms(losses={"dark": latents.square().mean()})

    yield Dark
    del registry._DECLARED["dark"]


class Words:
    """Stands for a tokenizer."""

    input_ids = torch.ones(1, 4, dtype=torch.int64)
    attention_mask = torch.ones(1, 4, dtype=torch.int64)

    def __call__(self, *_: object, **__: object) -> "Words":
        return self


OTHERS = [name for name in (*BUILT_IN, "dark") if name != "ld"]


@pytest.mark.parametrize("method", OTHERS)
def test_every_method_is_estimated_by_its_own_step(teacher, teacher_folder, method, dark, monkeypatch):
    """Also one that is defined here."""
    settings = {**profile("default", method=method), "prompt": "a", "memory": "24"}
    generator, config = tiny(), StylizeConfig.from_dict(settings)
    needs = method_class(method).needed(config)
    networks = ImageTextEncoder(8).eval().requires_grad_(False), IdentityEncoder().eval()
    frozen = Networks(
        teacher=teacher if needs.teacher else None,
        features=networks[0].trunk.maps,
        image_text=EmbeddedImageText(networks[0], Words()),
        faces=networks[1].requires_grad_(False),
    )
    stylizer = Stylizer(copy.deepcopy(generator), generator, config, frozen)
    monkeypatch.setattr(HeadField, "_where", lambda self, kept, points: self.at(points))
    stylizer.method.rehearse(stylizer.reference)
    gc.collect()
    with Meter() as meter, meter.phase("step"):
        stylizer.step()
    real = meter.phases["step"]
    paper = on_paper(generator.config, teacher_folder)
    with torch.device("meta"):
        faces, trunk = IdentityEncoder().requires_grad_(False), ImageTextEncoder(8).trunk
    paper = dataclasses.replace(
        paper,
        teacher=paper.teacher if needs.teacher else None,
        image_text=EmbeddedImageText.on_paper(),
        faces=faces,
        features=trunk.requires_grad_(False).maps,
    )
    guess = estimate(paper, config, TIERS["24"])
    assert real.peak_bytes / FACTOR < guess.activations + guess.optimizer < real.peak_bytes * FACTOR
    assert sum(guess.flops.values()) == pytest.approx(sum(real.flops.values()), rel=0.1)
    assert guess.traffic == pytest.approx(real.traffic_bytes, rel=0.2)


def test_what_a_method_needs_must_be_on_the_paper(teacher_folder):
    paper = on_paper(GeneratorConfig.tiny(), teacher_folder)
    config = StylizeConfig.from_dict({"prompt": "a", "method": "nada"})
    with pytest.raises(MissingError, match="image-text network"):
        estimate(paper, config, TIERS["24"])


def test_parts_are_counted_to_the_byte(teacher, teacher_folder):
    generator = tiny()
    guess = guessed(teacher_folder)

    def size(network) -> int:
        tensors = (*network.parameters(), *network.buffers())
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    parts = teacher.parts
    assert guess.weights["generator"] == guess.weights["reference"] == size(generator)
    assert guess.weights["unet"] == size(parts.unet)
    assert guess.weights["controlnet_depth"] == size(parts.controlnets["depth"])
    assert guess.optimizer == 4 * sum(4 * p.numel() for _, p in trainable_parameters(generator))
    assert guess.device_bytes == sum(guess.weights.values()) + guess.optimizer + guess.activations


def test_half_precision_halves_the_denoiser_and_offloading_takes_it_away(teacher_folder):
    config, single = PLAIN, guessed(teacher_folder)
    half = on_paper(tiny().config, teacher_folder, torch.float16, "cuda")
    kept, moved = (estimate(half, config, TIERS[name]) for name in ("24", "8"))
    assert kept.weights["unet"] == single.weights["unet"] / 2
    assert kept.weights["vae"] == single.weights["vae"]
    assert kept.offloaded == 0
    assert "unet" not in moved.weights
    assert moved.offloaded == sum(v for k, v in kept.weights.items() if k not in moved.weights)
    assert moved.device_bytes < kept.device_bytes


def test_switches_change_the_work(teacher_folder):
    def work(**settings) -> float:
        config = StylizeConfig.from_dict({"prompt": "a", **settings})
        return sum(guessed(teacher_folder, config).flops.values())

    full, single = work(), work(grid=False)
    assert single < full
    assert work(grid=False, mirror=False) < single
    assert work(grid=False, canny=False) < single
    assert work(grid=False, tweedie_weight=0.0) < single
    assert work(grid=False, latent_weight=0.0) < single
    assert work(grid=False, memory="12") == single  # the tier is an argument of its own


def test_an_estimator_on_paper_costs_its_final_pictures(teacher_folder):
    from stylehead.perception.depth import DepthEstimator

    paper, config = on_paper(tiny().config, teacher_folder), PLAIN
    without = guessed(teacher_folder)
    seeing = dataclasses.replace(paper, depth_estimator=DepthEstimator(depth_skeleton(), size=28))
    with_it = estimate(seeing, config, TIERS["24"])
    assert with_it.weights["depth_estimator"] == 4 * 24_785_089
    assert sum(with_it.flops.values()) > sum(without.flops.values())


def test_stable_diffusion_on_paper_has_its_size():
    networks = teacher_skeleton(dict.fromkeys(STABLE_DIFFUSION_15))
    count = {role: sum(p.numel() for p in network.parameters()) for role, network in networks.items()}
    assert count == {
        "unet": 859_520_964,
        "vae": 83_653_863,
        "text_encoder": 123_060_480,
        "controlnet_canny": 361_279_120,
        "controlnet_depth": 361_279_120,
    }
    assert all(p.device.type == "meta" for network in networks.values() for p in network.parameters())


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_the_meter_counts_what_is_alive(device):
    kernel = torch.ones(8, 4, 3, 3, device=device, requires_grad=True)
    with Meter() as meter:
        with meter.phase("forward"):
            x = torch.ones(2, 4, 16, 16, device=device)
            y = functional.conv2d(x, kernel, padding=1)
            view = y[:1]
            del y
        assert meter.live_bytes == 4 * (x.numel() + 2 * view.numel())
        with meter.phase("backward"):
            view.sum().backward()
        del x, view
        assert meter.live_bytes == 4 * kernel.numel()
    assert meter.phases["forward"].flops == {torch.float32: 2 * 2 * 8 * 16 * 16 * 4 * 9}
    assert meter.phases["backward"].peak_bytes > meter.phases["forward"].peak_bytes


def test_fused_attention_keeps_no_scores_but_counts_its_products():
    shape, seen = (1, 2, 64, 8), {}
    for name in ("plain", "fused"):
        query, key, value = (torch.empty(shape, device="meta", requires_grad=True) for _ in range(3))
        meter = Meter()
        with meter, meter.phase("all"):
            if name == "fused":
                with fused_attention(meter):
                    out = functional.scaled_dot_product_attention(query, key, value)
            else:
                out = (query @ key.mT).softmax(-1) @ value
            out.sum().backward()
        assert query.grad.shape == key.grad.shape == value.grad.shape == shape
        seen[name] = meter.phases["all"]
    assert seen["fused"].peak_bytes < seen["plain"].peak_bytes / 2
    assert sum(seen["fused"].flops.values()) == pytest.approx(sum(seen["plain"].flops.values()), rel=0.2)


def test_time_is_work_over_rates_plus_traffic_over_another(teacher_folder):
    guess = guessed(teacher_folder)
    rates = Rates({torch.float32: 1e9, torch.float64: 1e8}, 1e8)
    single, double = guess.flops[torch.float32], guess.flops[torch.float64]
    assert guess.seconds(rates) == pytest.approx(single / 1e9 + double / 1e8 + guess.traffic / 1e8)
    measured = measure_rates("cpu", (torch.float32,))
    assert 1e8 < measured.flops[torch.float32] < 1e14
    assert 1e7 < measured.traffic < 1e13
