"""One iteration against the same maths written out slowly, and what every switch changes."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stylehead.geometry import conditioning_camera, mirror
from stylehead.images import resize
from stylehead.methods import ask as ask_module
from stylehead.methods.ask import surrogate
from stylehead.methods.draws import draw_inputs, step_limits
from stylehead.methods.scene import recolour
from stylehead.methods.scores import rank_weigh
from stylehead.methods.stages import merge, split
from stylehead.teacher import ControlCondition, canny_condition, depth_condition

BARE = {
    "score": "classifier",
    "tweedie_weight": 0.0,
    "alpha_weight": 0.0,
    "latent_weight": 0.0,
    "gradient_scale": 1.0,
    "gradient_clamp": 1e6,
}
SOME = ["backbone.synthesis.b8.conv0.weight", "backbone.synthesis.b32.torgb.weight"]
SUPER = "superresolution.block1.conv0.weight"


class Slow:
    """The iteration that a stylizer is about to do, written out one view at a time."""

    def __init__(self, stylizer):
        self.stylizer, self.config = stylizer, stylizer.config
        self.teacher, self.draw = stylizer.method.teacher, stylizer._draw()
        camera = conditioning_camera(math.radians(self.config.conditioning_pitch_deg))
        self.ws = stylizer.reference.mapping(self.draw.z, camera, truncation_psi=self.config.psi)

    def render(self, generator, label, colour):
        """Render one identity's view on its background, through the public path."""
        out = generator.synthesis(self.ws, label[None], background="white")
        mask = (out.mask + 0.001) / 1.002
        return out, mask, recolour(out.image, mask, colour), recolour(out.image_raw, mask, colour)

    def score(self, latents, stage, condition):
        """Return the unmasked gradient of the classifier score, from two separate calls."""
        t = 981 - 20 * self.draw.step_index[stage]
        alpha_bar = self.teacher.schedule.alphas_cumprod[t].reshape(1, 1, 1, 1)
        noised = alpha_bar.sqrt() * latents + (1 - alpha_bar).sqrt() * self.draw.eps[stage]
        text = self.teacher.encode_prompt(self.config.prompt)
        eps_cond, eps_uncond = self.teacher.predict(noised, t, text, condition=condition)
        return alpha_bar.sqrt() * self.config.cfg_scale * (eps_cond - eps_uncond)


def trained(stylizer, names):
    return [stylizer.trained[name] for name in names]


def assert_close(got, expected):
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=2e-3, atol=2e-3 * other.abs().max().item())


def test_single_and_mirrored_views_move_the_weights_as_the_formula_says(make_stylizer):
    stylizer = make_stylizer(**BARE, grid=False, rank="none")
    slow, names = Slow(stylizer), [*SOME, SUPER]
    label, colour = slow.draw.labels["single"][0, 0], slow.draw.backgrounds_01["single"][0]
    _, frozen_mask, frozen, _ = slow.render(stylizer.reference, label, colour)
    _, _, image, _ = slow.render(stylizer.generator, label, colour)
    _, _, mirrored, _ = slow.render(stylizer.generator, mirror(label[None])[0], colour)
    latents = slow.teacher.encode(resize(image, 32))
    latents_mirrored = slow.teacher.encode(resize(mirrored, 32))
    condition = ControlCondition("canny", canny_condition(resize(frozen, 32)))
    gradient = slow.score(latents.detach(), "single", condition) * resize(frozen_mask.detach(), 8)
    parameters = trained(stylizer, names)
    base = torch.autograd.grad(latents, parameters, 0.75 * gradient, retain_graph=True)
    flipped = torch.autograd.grad(latents_mirrored, parameters, 0.25 * gradient.flip(-1))
    expected = [one + other for one, other in zip(base, flipped, strict=True)]

    stylizer.choices.manual_seed(stylizer.config.seed)
    stylizer.step()
    assert_close([parameter.grad for parameter in parameters], expected)


@pytest.mark.parametrize("mode", ["before_sr", "after_sr"])
@pytest.mark.parametrize("mirrored", [False, True])
def test_grids_move_the_weights_as_the_formula_says(make_stylizer, mode, mirrored):
    stylizer = make_stylizer(**BARE, rank="none", mirror=False, grid_mode=mode, grid_mirror=mirrored)
    slow = Slow(stylizer)
    colour = slow.draw.backgrounds_01["grid"][0, :1]

    def tiles(label_of):
        rendered = [
            slow.render(stylizer.generator, label_of(label), colour) for label in slow.draw.labels["grid"][0]
        ]
        if mode == "before_sr":
            raw = torch.cat([raw for _, _, _, raw in rendered])
            return torch.nn.functional.interpolate(raw, (16, 16), mode="bilinear", align_corners=True)
        return torch.cat([resize(image, 16) for _, _, image, _ in rendered])

    frozen = [slow.render(stylizer.reference, label, colour)[:2] for label in slow.draw.labels["grid"][0]]
    depth = torch.cat([depth_condition(out.depth, mask, size=16) for out, mask in frozen])
    condition = ControlCondition("depth", merge(depth))
    mask = merge(torch.cat([resize(mask.detach(), 4) for _, mask in frozen]))
    latents = slow.teacher.encode(merge(tiles(lambda label: label)))
    gradient = slow.score(latents.detach(), "grid", condition) * mask
    parameters = trained(stylizer, SOME)
    expected = torch.autograd.grad(latents, parameters, (0.75 if mirrored else 1.0) * gradient)
    if mirrored:
        by_hand = torch.cat([tile[None].flip(-1) for tile in split(gradient)])
        other = slow.teacher.encode(merge(tiles(lambda label: mirror(label[None])[0])))
        extra = torch.autograd.grad(other, parameters, 0.25 * merge(by_hand))
        expected = [one + two for one, two in zip(expected, extra, strict=True)]

    stylizer.choices.manual_seed(stylizer.config.seed)
    scene = stylizer._render(stylizer._draw())
    terms = stylizer.method.terms(scene, rng=stylizer.noise)
    got = torch.autograd.grad(terms.scores["grid"], parameters, retain_graph=True)
    assert_close(got, expected)
    through_super = torch.autograd.grad(
        terms.scores["grid"], trained(stylizer, [SUPER]), retain_graph=True, allow_unused=True
    )
    assert through_super[0].any() == (mode == "after_sr")


def test_batched_views_equal_each_rendered_alone(make_stylizer):
    """Two identities, two single views each: identity-major order survives every split and join."""
    stylizer = make_stylizer(batch=2, views=2)
    draw = stylizer._draw()
    scene = stylizer._render(draw)
    ws = stylizer.reference.mapping(draw.z, conditioning_camera(), truncation_psi=0.75)
    for name, views in scene.views.items():
        labels, colours = draw.labels[name], draw.backgrounds_01[name]
        count = labels.shape[1]
        for k in range(2):
            for n in (0, count - 1):
                out = stylizer.generator.synthesis(ws[k : k + 1], labels[k, n : n + 1], background="white")
                mask = (out.mask + 0.001) / 1.002
                raw = recolour(out.image_raw, mask, colours[k, n : n + 1])
                torch.testing.assert_close(views.image_raw[k * count + n], raw[0], rtol=1e-3, atol=1e-4)
                if views.image is not None:
                    image = recolour(out.image, mask, colours[k, n : n + 1])
                    torch.testing.assert_close(views.image[k * count + n], image[0], rtol=1e-3, atol=1e-4)


# -------------------------------------------------------------------------------------------------- switches


@pytest.fixture
def gradients(monkeypatch):
    """Collect every gradient that is injected, in order: single, its mirror, grid, its mirror."""
    seen = []

    def spy(latents, gradient):
        seen.append(gradient.clone())
        return surrogate(latents, gradient)

    monkeypatch.setattr(ask_module, "surrogate", spy)
    return seen


def injected(gradients, stylizer):
    gradients.clear()
    stylizer.step()
    return list(gradients)


def test_the_mirrored_gradient_is_the_flipped_one(gradients, make_stylizer):
    single, mirrored, grid, grid_mirrored = injected(gradients, make_stylizer(grid_mirror=True))
    assert torch.equal(mirrored, single.flip(-1))
    by_hand = grid.clone()
    by_hand[..., :4], by_hand[..., 4:] = grid[..., :4].flip(-1), grid[..., 4:].flip(-1)
    assert torch.equal(grid_mirrored, by_hand)


def test_the_mask_multiplies_the_score(gradients, make_stylizer):
    free = injected(gradients, make_stylizer(**BARE, mask="none"))
    masked_run = make_stylizer(**BARE, mask="reference")
    masked = injected(gradients, masked_run)
    masked_run.choices.manual_seed(0)
    scene = masked_run._render(masked_run._draw())
    mask = resize(scene.reference_views["single"].mask, 8)
    torch.testing.assert_close(masked[0], free[0] * mask)
    own = injected(gradients, make_stylizer(**BARE, mask="generator"))
    torch.testing.assert_close(own[0], masked[0])  # the first step starts from equal networks


@pytest.mark.parametrize(
    ("rank", "stages"), [("none", ()), ("single", (0,)), ("grid", (2,)), ("both", (0, 2))]
)
def test_rank_weighing_acts_on_its_stages(gradients, make_stylizer, rank, stages):
    plain = injected(gradients, make_stylizer(**BARE, mask="none", rank="none", grid_mirror=True))
    got = injected(gradients, make_stylizer(**BARE, mask="none", rank=rank, grid_mirror=True))
    for index in (0, 2):
        wanted = plain[index]
        if index in stages:
            wanted = rank_weigh(wanted, (1.0, 0.75, 0.5, 0.25))
        torch.testing.assert_close(got[index], wanted, rtol=1e-3, atol=1e-5)


def test_scale_and_clamp(gradients, make_stylizer):
    loud = injected(gradients, make_stylizer(**BARE))[0]
    quiet = injected(gradients, make_stylizer(**{**BARE, "gradient_scale": 1e-3}))[0]
    torch.testing.assert_close(quiet, loud * 1e-3)
    held = injected(gradients, make_stylizer(**{**BARE, "gradient_clamp": 0.01}))[0]
    assert torch.equal(held, loud.clamp(-0.01, 0.01))
    assert (held.abs() == 0.01).any()


def test_the_released_slip_only_rescales_the_score(gradients, make_stylizer):
    stylizer = make_stylizer(**BARE, rank="none", grid=False)
    index = stylizer._draw().step_index["single"]
    right = injected(gradients, make_stylizer(**BARE, rank="none", grid=False))[0]
    wrong = injected(gradients, make_stylizer(**BARE, rank="none", grid=False, alpha_lookup="step_index"))[0]
    schedule = stylizer.method.teacher.schedule
    ratio = schedule.misread_alpha_bar(index).sqrt() / schedule.alpha_bar(981 - 20 * index).sqrt()
    torch.testing.assert_close(wrong, right * ratio)


def test_draws_do_not_depend_on_switches(make_stylizer):
    one = make_stylizer()._draw()
    two = make_stylizer(mirror=False, grid=False, background="bare", canny=False, score="sds")._draw()
    for name in ("single", "grid"):
        assert torch.equal(one.labels[name], two.labels[name])
        assert torch.equal(one.eps[name], two.eps[name])
        assert torch.equal(one.step_index[name], two.step_index[name])
    assert torch.equal(one.z, two.z)


def test_draws_stay_in_their_ranges(make_stylizer):
    stylizer = make_stylizer(batch=40, views=5, step_range=(35, 49), grid_step_range=(15, 40), step_window=0)
    draw = draw_inputs(
        stylizer.config,
        stylizer.method.sampling,
        z_dim=4,
        latent_shape=(4, 2, 2),
        rng=torch.Generator().manual_seed(0),
    )
    assert set(draw.step_index["single"].tolist()) == set(range(35, 50))
    assert 15 <= draw.step_index["grid"].min() < draw.step_index["grid"].max() <= 40
    yaw = torch.atan2(draw.labels["single"][..., 3], draw.labels["single"][..., 11]).rad2deg()
    assert 50 < yaw.abs().max() <= 60.001
    around = torch.atan2(draw.labels["grid"][..., 3], draw.labels["grid"][..., 11]).rad2deg()
    assert around.abs().max() > 150
    assert draw.labels["single"].shape == (40, 5, 25)
    assert torch.equal(mirror(draw.labels["grid"][3]), draw.labels["grid_mirrored"][3])
    assert (draw.backgrounds_01["grid"] == draw.backgrounds_01["grid"][:, :1]).all()


@given(low=st.integers(0, 49), high=st.integers(0, 49), window=st.integers(0, 60), parts=st.integers(1, 200))
def test_a_window_slides_from_the_noisy_end_to_the_clean_one(low, high, window, parts):
    low, high = sorted((low, high))
    seen = [step_limits((low, high), window=window, progress=k / parts) for k in range(parts + 1)]
    if window == 0 or window > high - low:
        assert set(seen) == {(low, high)}
        return
    assert seen == sorted(seen)
    assert all(last - first + 1 == window for first, last in seen)
    assert seen[0][0] == low
    assert seen[-1][1] == high


def test_a_run_goes_from_noisy_to_clean(make_stylizer):
    stylizer = make_stylizer(iterations=4, step_range=(9, 48), grid_step_range=(30, 49), step_window=5)
    drawn = []
    for _ in range(4):
        drawn.append({name: int(steps[0]) for name, steps in stylizer._draw().step_index.items()})
        stylizer._progress.iteration += 1
    for name, first, last in (("single", 9, 48), ("grid", 30, 49)):
        steps = [step[name] for step in drawn]
        assert steps[0] in range(first, first + 5)
        assert steps == sorted(steps)
        assert last - 15 < steps[-1] <= last


class Calls:
    """Counts calls of the teacher's networks during one step."""

    def __init__(self, stylizer, monkeypatch):
        self.counts = {}
        parts = stylizer.method.teacher.parts
        targets = {
            "unet": (parts.unet, "forward"),
            "canny": (parts.controlnets["canny"], "forward"),
            "depth": (parts.controlnets["depth"], "forward"),
            "encode": (parts.vae, "encode"),
            "decode": (parts.vae, "decode"),
            "super": (stylizer.generator.superresolution, "forward"),
            "super_reference": (stylizer.reference.superresolution, "forward"),
            "planes": (stylizer.generator, "planes"),
            "planes_reference": (stylizer.reference, "planes"),
            "render": (stylizer.generator, "render_raw"),
            "render_reference": (stylizer.reference, "render_raw"),
        }
        for name, (owner, method) in targets.items():
            monkeypatch.setattr(owner, method, self.counting(name, getattr(owner, method)))

    def counting(self, name, function):
        def counted(*args, **options):
            self.counts[name] = self.counts.get(name, 0) + 1
            return function(*args, **options)

        return counted


FULL = {
    "unet": 1, "canny": 1, "depth": 1, "encode": 2, "super": 1, "super_reference": 1,
    "planes": 1, "planes_reference": 1, "render": 1, "render_reference": 1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "changes", "losses"),
    [
        ({}, {}, {"alpha", "latent"}),
        ({"latent_weight": 0.0}, {"encode": 1}, {"alpha"}),
        ({"alpha_weight": 0.0}, {}, {"latent"}),
        ({"canny": False}, {"canny": None}, {"alpha", "latent"}),
        (
            {"canny": False, "latent_weight": 0.0},
            {"canny": None, "encode": 1, "super_reference": None},
            {"alpha"},
        ),
        ({"depth": "none"}, {"depth": None}, {"alpha", "latent"}),
        ({"grid": False}, {"depth": None}, {"alpha", "latent"}),
        ({"tweedie_weight": 0.1}, {"decode": 1}, {"alpha", "latent", "tweedie"}),
        (
            {"canny": False, "depth": "none", "mask": "none", "alpha_weight": 0.0, "latent_weight": 0.0},
            {"canny": None, "depth": None, "encode": 1, "super_reference": None, "render_reference": None},
            set(),
        ),
    ],
)  # fmt: skip
def test_what_is_switched_off_is_not_computed(make_stylizer, monkeypatch, settings, changes, losses):
    stylizer = make_stylizer(**{"tweedie_weight": 0.0} | settings)
    calls = Calls(stylizer, monkeypatch)
    record = stylizer.step()
    expected = {name: count for name, count in {**FULL, **changes}.items() if count is not None}
    assert calls.counts == expected
    assert set(record.losses) == losses


@pytest.mark.parametrize(
    ("settings", "groups"),
    [
        ({}, {"single": True, "single_mirrored": True, "grid": False}),
        ({"mirror": False}, {"single": True, "grid": False}),
        ({"mirror_weight": 0.0}, {"single": True, "grid": False}),
        ({"grid": False, "grid_mirror": True}, {"single": True, "single_mirrored": True}),
        ({"grid_mode": "after_sr"}, {"single": True, "single_mirrored": True, "grid": True}),
        (
            {"grid_mirror": True},
            {"single": True, "single_mirrored": True, "grid": False, "grid_mirrored": False},
        ),
    ],
)
def test_only_views_that_are_used_are_rendered(make_stylizer, settings, groups):
    assert make_stylizer(**settings).method.groups() == groups


def test_backgrounds(make_stylizer):
    images = {}
    for background in ("bare", "white", "random"):
        stylizer = make_stylizer(background=background)
        scene = stylizer._render(stylizer._draw())
        images[background] = scene.views["grid"].image_raw
        mask, colours = scene.views["grid"].mask, scene.draw.backgrounds_01["grid"].flatten(0, 1)
    assert mask.min() < 0.1 < 0.9 < mask.max()
    torch.testing.assert_close(images["white"], images["bare"] * mask + (1 - mask))
    torch.testing.assert_close(images["random"], images["bare"] * mask + (1 - mask) * (colours * 2 - 1))


def test_an_estimator_replaces_rendered_depth(make_stylizer, monkeypatch):
    seen = []

    def nearness(image):
        seen.append(image.shape)
        return image.mean(1, keepdim=True)

    for source, calls in (("auto", 1), ("estimated", 1), ("rendered", 0)):
        seen.clear()
        make_stylizer(depth=source, depth_estimator=nearness).step()
        assert seen == [(4, 3, 64, 64)] * calls


def test_the_tweedie_target_is_the_decoded_guided_estimate(make_stylizer):
    stylizer = make_stylizer(**BARE | {"grid": False, "tweedie_weight": 2.0})
    slow = Slow(stylizer)
    stylizer.choices.manual_seed(0)
    scene = stylizer._render(stylizer._draw())
    got = stylizer.method.terms(scene, rng=stylizer.noise).losses["tweedie"]

    teacher, image = slow.teacher, resize(scene.views["single"].final(), 32)
    t = 981 - 20 * slow.draw.step_index["single"]
    alpha_bar = teacher.schedule.alphas_cumprod[t].reshape(1, 1, 1, 1)
    noised = alpha_bar.sqrt() * teacher.encode(image) + (1 - alpha_bar).sqrt() * slow.draw.eps["single"]
    frozen = canny_condition(resize(scene.reference_views["single"].final(), 32))
    pair = teacher.predict(noised, t, stylizer.method.text, condition=ControlCondition("canny", frozen))
    guided = pair.eps_uncond + 7.5 * (pair.eps_cond - pair.eps_uncond)
    decoded = teacher.decode((noised - (1 - alpha_bar).sqrt() * guided) / alpha_bar.sqrt())
    expected = 2.0 * ((image + 1) / 2 - (decoded.clamp(-1, 1) + 1) / 2).square().mean()
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-5)


def test_posterior_samples_come_from_the_runs_own_generator(make_stylizer):
    one, two = (make_stylizer(posterior="sample", **BARE) for _ in range(2))
    before = one.noise.get_state()
    records = [one.step(), two.step()]
    assert not torch.equal(one.noise.get_state(), before)
    assert records[0].gradient_rms == records[1].gradient_rms
    mean = make_stylizer(posterior="mean", **BARE)
    untouched = mean.noise.get_state()
    assert mean.step().gradient_rms != records[0].gradient_rms
    assert torch.equal(mean.noise.get_state(), untouched)


def test_relative_distance_compares_with_the_iteration_before(make_stylizer):
    stylizer = make_stylizer(relative_distance_weight=1.0, relative_distance_floor=0.0)
    first, second = stylizer.step(), stylizer.step()
    assert "relative_distance" not in first.losses
    # one step of the weights lies between the two tri-grids of the trained generator
    assert 0 < second.losses["relative_distance"] < 1
