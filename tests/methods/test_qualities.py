"""Presets of quality: numbers that options override, refused with a profile; and when nothing improves."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stylehead.errors import UsageError
from stylehead.methods.config import StylizeConfig
from stylehead.methods.qualities import (
    LONG_MINUTES,
    QUALITIES,
    Timing,
    at_quality,
    expected_minutes,
    iterations_within,
    presets_of,
    quality_settings,
    start_settings,
)
from stylehead.methods.records import SMOOTHED, Progress
from stylehead.methods.registry import BUILT_IN, choose_method, method_class, settings_class


@pytest.mark.parametrize("full_scale", [False, True])
@pytest.mark.parametrize("method", BUILT_IN)
def test_presets_are_all_three_or_none_and_hold_settings_of_their_method(method, full_scale):
    presets = presets_of(method, full_scale=full_scale)
    assert tuple(presets) in ((), QUALITIES)
    for numbers in presets.values():
        settings_class(method)(prompt="x", **numbers)


@pytest.mark.parametrize("full_scale", [False, True])
def test_more_quality_is_more_work(full_scale):
    work = []
    for name in QUALITIES:
        start = start_settings("default", name, "edit", full_scale=full_scale)
        config = StylizeConfig.from_dict({**start, "prompt": "x"})
        work.append((config.people * config.bank_views, config.iterations))
    assert work == sorted(work)
    assert len(set(work)) == 3


@pytest.mark.parametrize(("name", "limit"), list(zip(QUALITIES, (2, 5, 30), strict=True)))
def test_presets_of_the_embedded_models_keep_their_limits(name, limit):
    config = StylizeConfig.from_dict(
        {"prompt": "x", **start_settings("default", name, "edit", full_scale=False)}
    )
    minutes = expected_minutes(config)
    assert minutes is not None
    assert minutes + 0.5 < limit, "half a minute loads models and draws results"
    assert (minutes > LONG_MINUTES) == (name == "best")


def test_good_is_what_the_method_does_anyhow():
    assert quality_settings(None, "edit", full_scale=False) == quality_settings(
        "good", "edit", full_scale=False
    )
    default = settings_class("edit")(prompt="x")
    assert at_quality(dataclasses.replace(default, people=3, iterations=7), "good") == default


def test_a_method_without_presets_says_so():
    with pytest.raises(UsageError, match="`--method nada` has no presets of quality") as caught:
        quality_settings("best", "nada", full_scale=False)
    assert caught.value.hint == "stylehead stylize --method nada --iterations NUMBER"
    assert quality_settings("good", "nada", full_scale=False) == {}


def test_a_profile_has_numbers_of_its_own():
    with pytest.raises(UsageError, match="does not go with `--profile`"):
        start_settings("paper", "good", "edit", full_scale=False)
    assert start_settings("paper", None, "ld", full_scale=False)["iterations"] == 10_000


def test_unknown_presets_are_refused():
    with pytest.raises(UsageError, match="must be one of quick, good, best"):
        quality_settings("fast", "edit", full_scale=False)  # type: ignore[arg-type]


def test_time_grows_with_people_sides_pictures_and_steps_and_a_budget_ends_it():
    config = settings_class("edit")(prompt="x", people=10, iterations=100)
    pace = Timing(step=2.0, person=3.0)
    assert expected_minutes(config, pace) == pytest.approx((200 + 30) / 60)
    assert expected_minutes(config.replace(batch=4, bank_views=8), pace) == pytest.approx((400 + 60) / 60)
    assert expected_minutes(config.replace(bank="b"), pace) == pytest.approx(200 / 60)
    assert expected_minutes(config.replace(time_budget_minutes=1), pace) == 1


@pytest.mark.parametrize("method", BUILT_IN)
@pytest.mark.parametrize("minutes", [0.2, 1.3, 2.4, 20])
def test_as_many_iterations_as_fit_into_a_time(method: str, minutes: float):
    config = settings_class(method)(prompt="x")
    steps = iterations_within(config, minutes)
    assert steps is not None
    within, beyond = (expected_minutes(config.replace(iterations=n)) for n in (steps, steps + 1))
    assert within is not None
    assert within <= minutes * (1 + 1e-6) or steps == 1
    assert beyond is not None
    assert beyond > minutes


def test_the_usual_quality_fits_into_the_time_that_a_table_gives():
    assert iterations_within(settings_class("edit")(prompt="x"), 2.4) == 140
    assert iterations_within(settings_class("sds")(prompt="x"), 2.4) == 450
    assert iterations_within(settings_class("sds")(prompt="x"), 2.4, step=0.64) == 225


def test_time_is_not_made_up_where_no_one_measured_it(monkeypatch):
    monkeypatch.setattr(method_class("nada"), "pace", None)
    assert iterations_within(settings_class("nada")(prompt="x"), 3) is None
    assert expected_minutes(settings_class("nada")(prompt="x")) is None


def test_a_named_method_wins_then_what_a_setting_means_then_the_default():
    assert choose_method({"method": "sds", "bank": "b"}, full_scale=True) == ("sds", "as asked")
    assert choose_method({"bank": "b"}, full_scale=True).method == "edit"
    assert choose_method({}, full_scale=True).method == "ld"
    assert "embedded" in choose_method({}, full_scale=False).why


# -------------------------------------------------------------------------------------- when nothing improves


def run(losses, patience):
    """Count the steps until a progress stalls."""
    progress = Progress()
    for loss in losses:
        progress.iteration += 1
        progress.note_loss(loss)
        if progress.stalled(patience):
            return progress.iteration
    return None


def test_a_falling_loss_never_stalls():
    assert run([1 / (step + 1) for step in range(2000)], 100) is None


def test_a_flat_loss_stalls_after_the_patience():
    falling, flat = [1 - step / 300 for step in range(300)], [0.001] * 500
    assert run([*falling, *flat], 100) == 300 + SMOOTHED + 100


def test_without_patience_or_losses_nothing_stalls():
    assert run([1.0] * 1000, 0) is None
    assert Progress(iteration=1000).stalled(100) is False


@given(st.lists(st.floats(0, 10), max_size=300), st.integers(1, 80), st.integers(0, 300))
def test_a_resumed_count_stalls_when_a_straight_one_does(losses, patience, cut):
    progress = Progress()
    for step, loss in enumerate(losses):
        if step == cut:
            progress = Progress(**dataclasses.asdict(progress))
        progress.iteration += 1
        progress.note_loss(loss)
        if progress.stalled(patience):
            assert run(losses, patience) == progress.iteration
            return
    assert run(losses, patience) is None
