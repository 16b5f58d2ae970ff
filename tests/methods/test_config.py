"""The settings of a stylise job: checks, JSON form, profiles and their descriptions."""

import math
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stylehead.errors import UsageError
from stylehead.methods.config import StylizeConfig, profile
from stylehead.methods.registry import BUILT_IN, method_class, settings_class
from stylehead.settings import field_help, flag

LdSettings = settings_class("ld")


def config(**changes: object) -> StylizeConfig:
    return StylizeConfig.from_dict({"prompt": "Portrait of a werewolf", **changes})


@settings(deadline=None, max_examples=40)
@given(
    prompt=st.text(min_size=1).filter(lambda text: text.strip()),
    cfg_scale=st.floats(0, 1000),
    steps=st.tuples(st.integers(0, 49), st.integers(0, 49)).map(lambda pair: tuple(sorted(pair))),
    rank_weights=st.lists(st.floats(0, 2), min_size=1, max_size=6).map(tuple),
    budget=st.none() | st.floats(0.01, 1e4),
    mirror=st.booleans(),
)
def test_json_round_trip(prompt, cfg_scale, steps, rank_weights, budget, mirror):
    original = LdSettings(
        prompt=prompt,
        cfg_scale=cfg_scale,
        step_range=steps,
        rank_weights=rank_weights,
        time_budget_minutes=budget,
        mirror=mirror,
    )
    assert StylizeConfig.from_json(original.to_json()) == original


@pytest.mark.parametrize("name", ["default", "paper", "release"])
@pytest.mark.parametrize("method", BUILT_IN)
def test_every_profile_and_method_is_valid_and_round_trips(name, method):
    original = config(**profile(name, method=method))
    assert original.method == method
    assert StylizeConfig.from_json(original.to_json()) == original


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("prompt", "  "),
        ("prompt", 3),
        ("seed", -1),
        ("iterations", 0),
        ("iterations", 2.5),
        ("iterations", True),
        ("learning_rate", 0.0),
        ("learning_rate", math.nan),
        ("cfg_scale", math.inf),
        ("batch", 0),
        ("psi", 1.4),
        ("step_range", (40, 35)),
        ("step_range", (40, 50)),
        ("step_range", (40,)),
        ("grid_step_range", (-1, 5)),
        ("rank_weights", ()),
        ("rank_weights", (1.0, -0.1)),
        ("score", "csd"),
        ("mirror", "yes"),
        ("mask", "trained"),
        ("yaw_deg", 181.0),
        ("relative_distance_floor", 1.5),
        ("time_budget_minutes", 0.0),
        ("max_non_finite", 0),
        ("psi_cutoff", -1),
    ],
)
def test_bad_values_name_the_flag(name, value):
    with pytest.raises(UsageError) as error:
        config(**{name: value})
    assert f"`{flag(name)}` (=" in error.value.message
    assert "must be" in error.value.message


def test_methods_fix_their_score():
    with pytest.raises(UsageError, match="sds with `--method sds`"):
        config(method="sds", score="paper")
    assert config(method="ld", score="sds").score == "sds"


def test_mirrored_views_need_some_weight():
    with pytest.raises(UsageError, match="--base-weight"):
        config(base_weight=0.0, mirror_weight=0.0)
    assert not config(base_weight=0.0, mirror_weight=0.0, mirror=False).mirror


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(UsageError) as error:
        StylizeConfig.from_dict({"prompt": "Pixar", "cfg_scales": 3})
    assert error.value.hint == "did you mean `cfg_scale`?"


@pytest.mark.parametrize(
    "newer",
    [["latent_colour"], ["latent_colour", "step_window"], ["latent_colour", "canny_bytes", "score_limit"]],
)
def test_records_that_lack_newer_settings_mean_what_they_ran_with(newer):
    older = {name: value for name, value in config().to_dict().items() if name not in newer}
    read = StylizeConfig.from_dict(older)
    assert read.latent_colour == 1.0
    assert read.step_window == (0 if "step_window" in newer else config().step_window)
    few = StylizeConfig.from_dict({"prompt": "Pixar", "step_range": [5, 9]})
    assert few.step_window == config().step_window > 0


@pytest.mark.parametrize("text", ["{", "[1]", '{"seed": 1}'])
def test_broken_json_is_a_usage_error(text):
    with pytest.raises(UsageError):
        StylizeConfig.from_json(text)


def test_unknown_profile_and_method_are_usage_errors():
    with pytest.raises(UsageError, match="--profile"):
        profile("best")
    with pytest.raises(UsageError, match="--method"):
        profile("paper", method="gan")


def test_the_paper_profile_states_the_equations():
    paper = config(**profile("paper"))
    assert (paper.score, paper.alpha_lookup, paper.mask) == ("paper", "timestep", "reference")
    assert (paper.rank, paper.rank_renormalise, paper.rank_weights) == ("both", False, (1.0, 0.75, 0.5, 0.25))
    assert (paper.noise_mode, paper.ray_jitter, paper.posterior) == ("const", False, "mean")
    assert (paper.base_weight, paper.mirror_weight) == (1.0, 1.0)
    assert (paper.relative_distance_floor, paper.relative_distance_limit) == (0.0, 0.0)
    assert (paper.canny_channel, paper.canny_bytes) == ("luma", "rounded")


def test_both_published_profiles_share_the_published_numbers():
    for name in ("paper", "release"):
        got = config(**profile(name))
        assert (got.iterations, got.learning_rate, got.batch, got.views) == (10_000, 1e-4, 1, 1)
        assert (got.cfg_scale, got.ddim_steps) == (7.5, 50)
        assert got.step_range == got.grid_step_range == (35, 49)
        assert got.grid_weight == 1.0
        assert (got.gradient_scale, got.gradient_clamp) == (1e-3, 1.0)
        assert (got.tweedie_weight, got.perceptual_weight, got.relative_distance_weight) == (0.1, 0.05, 1.0)
        assert (got.alpha_weight, got.latent_weight, got.background) == (0.0, 0.0, "bare")
        assert (got.yaw_deg, got.grid_yaw_deg, got.pitch_deg, got.psi) == (60.0, 180.0, 30.0, 0.75)
        assert math.isclose(math.radians(got.conditioning_pitch_deg), 0.2)
        assert (got.grid_mode, got.grid_mirror) == ("before_sr", False)


def test_the_release_profile_repeats_the_scripts_quirks():
    release = config(**profile("release"))
    assert (release.score, release.alpha_lookup, release.mask) == ("classifier", "step_index", "mixed")
    assert (release.base_weight, release.mirror_weight) == (0.75, 0.25)
    assert (release.canny_channel, release.canny_bytes) == ("red", "truncated")
    assert (release.rank, release.rank_renormalise) == ("single", True)
    assert (release.noise_mode, release.ray_jitter, release.posterior) == ("random", True, "sample")
    assert (release.relative_distance_axis, release.relative_distance_floor) == ("planes", 0.0)


def test_baselines_switch_the_papers_additions_off():
    sds = config(**profile("default", method="sds"))
    assert (sds.score, sds.mirror, sds.grid, sds.rank) == ("sds", False, False, "none")
    assert config(**profile("paper", method="csd")).score == "classifier"


@pytest.mark.parametrize("method", BUILT_IN)
def test_every_setting_has_one_line_of_help(method):
    kind = settings_class(method)
    described = field_help(kind)
    assert tuple(described) == kind.names()
    assert all(text.endswith(".") and "\n" not in text for text in described.values())


def test_reading_settings_does_not_import_torch():
    code = (
        "import sys; from stylehead import settings; from stylehead.methods import config, registry; "
        "settings.field_help(config.StylizeConfig); registry.method_names(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("method", BUILT_IN)
def test_full_scale_has_defaults_of_its_own_and_profiles_stay(method):
    plain, large = (config(**profile(method=method, full_scale=whole)) for whole in (False, True))
    changed = {name for name, value in large.to_dict().items() if value != plain.to_dict()[name]}
    assert changed == set(settings_class(method).names()) & set(method_class(method).full_scale)
    for name in ("paper", "release"):
        assert profile(name, method=method, full_scale=True) == profile(name, method=method)
    ld = config(**profile(full_scale=True))
    assert (ld.iterations, ld.learning_rate, ld.step_range, ld.score_limit) == (10_000, 1e-4, (35, 49), 1.0)
    assert (ld.alpha_weight, ld.latent_weight) == (4.5, 1.3)
