"""The trainer as a user sees it: running, resuming, budgets, failures."""

import copy
import json
import math
import re
from pathlib import Path

import pytest
import torch

import stylehead.methods
from stylehead.checkpoints import pack_state, unpack_state
from stylehead.errors import JobError, MemoryShortError, MissingError, UsageError
from stylehead.generator import trainable_parameters
from stylehead.methods import Networks, Stylizer
from stylehead.methods.config import StylizeConfig, profile
from stylehead.methods.records import StepRecord
from stylehead.teacher import EpsPair, Teacher

EVERYTHING = {
    **profile("release"),
    "preview_every": 0,
    "checkpoint_every": 0,
    "iterations": 3,
    "grid_mirror": True,
    "alpha_weight": 1.0,
    "latent_weight": 0.1,
    "background": "random",
    "perceptual_weight": 0.05,
    "views": 2,
}


def feature_maps(image: torch.Tensor) -> list[torch.Tensor]:
    return [torch.nn.functional.avg_pool2d(image, 4) + 1.5, image**2]


def weights_of(stylizer: Stylizer) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in stylizer.generator.state_dict().items()}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_only_the_trainable_subset_moves(make_stylizer, pristine):
    before = copy.deepcopy(pristine.state_dict())
    stylizer = make_stylizer()
    stylizer.run()
    trained = {name for name, _ in trainable_parameters(stylizer.generator)}
    after = stylizer.generator.state_dict()
    assert equal(before, pristine.state_dict())
    assert {name for name in before if not torch.equal(before[name], after[name])} <= trained
    moved = {name for name in trained if not torch.equal(before[name], after[name])}
    assert len(moved) > 0.9 * len([n for n in trained if not n.endswith("noise_strength")])
    assert not any(name.endswith(".bias") for name in moved)


def test_equal_seeds_give_equal_runs_and_others_do_not(make_stylizer):
    runs = [make_stylizer(seed=seed, iterations=2) for seed in (0, 0, 1)]
    for run in runs:
        run.run()
    assert equal(weights_of(runs[0]), weights_of(runs[1]))
    assert not equal(weights_of(runs[0]), weights_of(runs[2]))


def test_global_randomness_is_neither_used_nor_touched(make_stylizer):
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    one, two = (make_stylizer(**EVERYTHING, features=feature_maps) for _ in range(2))
    one.step()
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    two.step()
    assert equal(weights_of(one), weights_of(two))


@pytest.mark.parametrize("settings", [{"iterations": 3}, EVERYTHING], ids=["default", "everything"])
def test_a_resumed_run_equals_a_straight_one_bit_for_bit(make_stylizer, settings):
    straight = make_stylizer(**settings, features=feature_maps)
    straight.run()

    first = make_stylizer(**settings, features=feature_maps)
    state = [first.step(), first.step(), first.state_dict()][-1]
    first.step()  # going on must not change the snapshot
    packed, tensors = pack_state(state)
    second = make_stylizer(**settings, features=feature_maps)
    second.load_state_dict(unpack_state(json.loads(json.dumps(packed)), tensors))
    assert second.iteration == 2
    second.run()
    assert equal(weights_of(straight), weights_of(second))
    assert torch.equal(straight.choices.get_state(), second.choices.get_state())


def test_resuming_with_other_settings_or_another_generator_is_refused(make_stylizer):
    state = make_stylizer().state_dict()
    with pytest.raises(UsageError, match="--cfg-scale"):
        make_stylizer(cfg_scale=3.0).load_state_dict(state)
    make_stylizer(iterations=99, preview_every=7).load_state_dict(state)
    state["weights"].popitem()
    with pytest.raises(JobError):
        make_stylizer().load_state_dict(state)


@pytest.mark.parametrize("name", ["paper", "release"])
def test_published_profiles_run(make_stylizer, name):
    stylizer = make_stylizer(**{**profile(name), "iterations": 2}, features=feature_maps)
    records = list(stylizer)
    assert set(records[0].losses) == {"tweedie", "perceptual"}
    assert set(records[1].losses) == {"tweedie", "perceptual", "relative_distance"}
    assert all(record.non_finite == () for record in records)


@pytest.mark.parametrize("method", ["sds", "csd"])
def test_baselines_denoise_single_views_only(make_stylizer, method):
    record = make_stylizer(**profile("default", method=method)).step()
    assert set(record.gradient_rms) == {"single"}


def test_run_reports_every_step_and_how_it_ended(make_stylizer):
    seen = []
    summary = make_stylizer(iterations=3).run(seen.append)
    assert [record.iteration for record in seen] == [1, 2, 3]
    assert (summary.iterations, summary.ended_by, summary.non_finite_steps) == (3, "iterations", 0)
    assert 0 < seen[0].elapsed_s < seen[2].elapsed_s <= summary.elapsed_s
    assert json.loads(json.dumps(seen[0].to_dict()))["step_index"].keys() == {"single", "grid"}
    assert seen[0].seconds.keys() == {"render", "teacher", "backward"}


def test_the_time_budget_ends_a_run_and_counts_earlier_sessions(make_stylizer):
    stylizer = make_stylizer(iterations=10_000, time_budget_minutes=1e-5)
    summary = stylizer.run()
    assert (summary.iterations, summary.ended_by) == (1, "time_budget")
    resumed = make_stylizer(iterations=10_000, time_budget_minutes=1e-5)
    resumed.load_state_dict(stylizer.state_dict())
    assert resumed.run().iterations == 1


# -------------------------------------------------------------------------------------------------- failures


def spoil(monkeypatch, stylizer: Stylizer, spoiled: set[int]) -> None:
    """Let the teacher answer NaN to some of its questions (0 is the single stage, 1 the grid)."""
    honest = stylizer.method.teacher.predict_all

    def answer(questions, text):
        return [
            EpsPair(pair.eps_cond * torch.nan, pair.eps_uncond) if index in spoiled else pair
            for index, pair in enumerate(honest(questions, text))
        ]

    monkeypatch.setattr(stylizer.method.teacher, "predict_all", answer)


def test_a_score_that_is_not_finite_counts_for_nothing(make_stylizer, monkeypatch):
    stylizer = make_stylizer()
    spoil(monkeypatch, stylizer, {0})
    record = stylizer.step()
    assert record.non_finite == ("single",)
    assert set(record.gradient_rms) == {"grid"}
    assert all(torch.isfinite(tensor).all() for tensor in stylizer.generator.state_dict().values())
    monkeypatch.undo()
    assert stylizer.step().non_finite == ()
    assert stylizer._progress.non_finite_steps == 1
    assert stylizer._progress.non_finite_in_row == 0


def test_without_any_usable_term_no_weight_moves(make_stylizer, monkeypatch):
    stylizer = make_stylizer(alpha_weight=0.0, latent_weight=0.0)
    before = weights_of(stylizer)
    spoil(monkeypatch, stylizer, {0, 1})
    assert stylizer.step().non_finite == ("single", "grid", "step")
    assert equal(before, weights_of(stylizer))


def test_a_gradient_that_is_not_finite_moves_no_weight(make_stylizer):
    stylizer = make_stylizer(perceptual_weight=1.0, features=lambda image: [(image - image).sqrt()])
    before = weights_of(stylizer)
    record = stylizer.step()
    assert record.non_finite == ("step",)
    assert equal(before, weights_of(stylizer))


def test_where_half_precision_holds_no_gradient_the_next_step_computes_in_single(make_stylizer, monkeypatch):
    stylizer = make_stylizer(generator_precision="fp16")
    beyond = StepRecord({}, {"tweedie": 1.0}, {}, parameter_gradient=math.inf, non_finite=())
    honest = stylizer._descend
    monkeypatch.setattr(stylizer, "_descend", lambda draw, terms: beyond)
    assert stylizer.step().non_finite == ("step",)
    assert (stylizer.widened_at, stylizer._dtype) == (1, torch.float32)
    monkeypatch.setattr(stylizer, "_descend", honest)
    assert stylizer.step().non_finite == ()
    assert stylizer.widened_at == 1
    single = make_stylizer()
    monkeypatch.setattr(single, "_descend", lambda draw, terms: beyond)
    single.step()
    assert single.widened_at is None


def test_many_non_finite_steps_in_a_row_end_the_job(make_stylizer, monkeypatch):
    stylizer = make_stylizer(max_non_finite=3, iterations=10, learning_rate=1e-3)
    spoil(monkeypatch, stylizer, {1})
    with pytest.raises(JobError, match="3 iterations in a row") as error:
        stylizer.run()
    assert error.value.hint == "--learning-rate 0.0005"
    assert stylizer.iteration == 3


def test_the_learning_rate_falls_along_a_cosine(make_stylizer):
    stylizer = make_stylizer(iterations=4, learning_rate=1e-3, learning_rate_end=0.2)
    rates = []
    stylizer.run(lambda _record: rates.append(stylizer.optimizer.param_groups[0]["lr"]))
    expected = [1e-3 * (0.2 + 0.8 * 0.5 * (1 + math.cos(math.pi * done / 4))) for done in range(4)]
    assert rates == pytest.approx(expected)
    constant = make_stylizer(iterations=2, learning_rate_end=1.0)
    constant.run()
    assert constant.optimizer.param_groups[0]["lr"] == constant.config.learning_rate


def test_what_is_handed_over_is_the_running_average(make_stylizer):
    stylizer = make_stylizer(iterations=6, learning_rate=1e-3, weight_average=0.7)
    average = weights_of(stylizer)
    for step, _ in enumerate(stylizer, start=1):
        share = max(1 / step, 0.3)
        average = {name: (1 - share) * average[name] + share * w for name, w in weights_of(stylizer).items()}
    last = weights_of(stylizer)
    with stylizer.averaged():
        for name, tensor in weights_of(stylizer).items():
            torch.testing.assert_close(tensor, average[name])
    assert equal(weights_of(stylizer), last)
    assert not equal(average, last)


def test_without_an_average_the_last_weights_are_handed_over(make_stylizer):
    stylizer = make_stylizer(iterations=2, weight_average=0.0)
    stylizer.run()
    last = weights_of(stylizer)
    with stylizer.averaged():
        assert all(torch.allclose(tensor, last[name]) for name, tensor in weights_of(stylizer).items())


def test_running_out_of_memory_names_the_flags(make_stylizer, monkeypatch):
    stylizer = make_stylizer()

    def exhausted(*_args, **_options):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(stylizer.method.teacher, "encode", exhausted)
    with pytest.raises(MemoryShortError) as error:
        stylizer.step()
    assert "--no-grid" in error.value.hint


@pytest.mark.gpu
def test_a_gpu_runs_the_same_job_in_half_precision(teacher_folder, pristine):
    device = torch.device("cuda")
    teacher = Teacher.load(teacher_folder, device=device, dtype=torch.float16)
    config = StylizeConfig.from_dict({"prompt": "a rosa", **EVERYTHING})
    reference = copy.deepcopy(pristine).to(device)
    stylizer = Stylizer(copy.deepcopy(reference), reference, config, Networks(teacher, feature_maps))
    records = list(stylizer)
    assert [record.non_finite for record in records] == [()] * 3
    state = unpack_state(*pack_state(stylizer.state_dict()))
    resumed = Stylizer(copy.deepcopy(reference), reference, config, Networks(teacher, feature_maps))
    resumed.load_state_dict(state)
    assert equal(weights_of(stylizer), weights_of(resumed))


def test_generator_and_reference_must_be_two_objects(teacher, pristine, make_stylizer):
    with pytest.raises(UsageError, match="two objects"):
        Stylizer(pristine, pristine, make_stylizer().config, Networks(teacher))


@pytest.mark.parametrize(
    ("settings", "error", "hint"),
    [
        ({"perceptual_weight": 0.1}, MissingError, "--perceptual-weight 0"),
        ({"depth": "estimated"}, MissingError, "--depth rendered"),
        ({"rank_weights": (1.0, 0.5)}, UsageError, None),
        ({"ddim_steps": 60}, UsageError, None),
    ],
)
def test_settings_that_do_not_fit_the_models_are_refused(make_stylizer, settings, error, hint):
    with pytest.raises(error) as caught:
        make_stylizer(**settings)
    assert caught.value.hint == hint


def test_missing_controlnets_are_refused_before_training(make_stylizer, teacher, monkeypatch):
    monkeypatch.setattr(type(teacher), "kinds", ("canny",))
    with pytest.raises(MissingError) as error:
        make_stylizer()
    assert error.value.hint == "--depth none"
    assert make_stylizer(depth="none").step().non_finite == ()
    assert make_stylizer(grid=False).step().non_finite == ()


def test_gradients_are_computed_in_one_place_for_the_generator_and_one_for_its_critic():
    sources = Path(stylehead.methods.__file__).parent.rglob("*.py")
    calls = [path.name for path in sources for _ in re.findall(r"\.backward\(", path.read_text())]
    assert sorted(calls) == ["critic.py", "trainer.py"]
