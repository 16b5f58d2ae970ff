"""The noise schedule against diffusers, and its laws."""

import pytest
import torch
from diffusers import DDIMScheduler
from hypothesis import given, settings
from hypothesis import strategies as st

from stylehead.errors import JobError
from stylehead.teacher import Schedule

SD15 = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}


def diffusers_schedule(steps: int, **changes: object) -> DDIMScheduler:
    scheduler = DDIMScheduler(**{**SD15, "clip_sample": False, "set_alpha_to_one": False, **changes})
    scheduler.set_timesteps(steps)
    return scheduler


@pytest.mark.parametrize("steps", [1, 2, 7, 20, 49, 50, 64, 100, 333, 999])
def test_timesteps_and_alphas_equal_diffusers(steps):
    theirs, ours = diffusers_schedule(steps), Schedule(steps=steps)
    assert torch.equal(ours.timesteps, theirs.timesteps)
    torch.testing.assert_close(ours.alphas_cumprod, theirs.alphas_cumprod, rtol=1e-6, atol=0)


def test_linear_betas_equal_diffusers():
    config = {**SD15, "beta_schedule": "linear"}
    theirs = DDIMScheduler(**config)
    ours = Schedule.from_config(config)
    torch.testing.assert_close(ours.alphas_cumprod, theirs.alphas_cumprod, rtol=1e-6, atol=0)


def test_the_published_range_of_indices_is_281_to_1():
    indices = torch.arange(35, 50)
    assert Schedule().timestep(indices).tolist() == list(range(281, 0, -20))


def test_the_published_factors():
    schedule = Schedule()
    indices = torch.tensor([15, 35, 40, 45, 49])
    right = schedule.alpha_bar(schedule.timestep(indices)).sqrt().flatten()
    wrong = schedule.misread_alpha_bar(indices).sqrt().flatten()
    torch.testing.assert_close(right, torch.tensor([0.308, 0.789, 0.885, 0.958, 0.999]), atol=6e-4, rtol=0)
    torch.testing.assert_close(wrong, torch.tensor([0.993, 0.983, 0.981, 0.978, 0.976]), atol=6e-4, rtol=0)


@settings(deadline=None, max_examples=40)
@given(steps=st.integers(1, 999))
def test_step_indices_and_timesteps_are_inverse(steps):
    schedule = Schedule(steps=steps)
    indices = torch.arange(steps)
    assert torch.equal(schedule.step_index(schedule.timestep(indices)), indices)


def test_add_noise_equals_diffusers():
    generator = torch.Generator().manual_seed(0)
    latents, eps = torch.randn(2, 6, 4, 5, 5, generator=generator)
    timestep = torch.tensor([1, 21, 281, 500, 981, 999])
    theirs = diffusers_schedule(50).add_noise(latents, eps, timestep)
    torch.testing.assert_close(Schedule().add_noise(latents, eps, timestep), theirs)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 1000), timestep=st.integers(0, 999))
def test_tweedie_with_the_true_noise_undoes_add_noise(seed, timestep):
    generator = torch.Generator().manual_seed(seed)
    latents, eps = torch.randn(2, 1, 4, 3, 3, generator=generator, dtype=torch.float64)
    at = torch.tensor([timestep])
    schedule = Schedule()
    noised = schedule.add_noise(latents, eps, at)
    torch.testing.assert_close(schedule.tweedie(noised, eps, at), latents)


@pytest.mark.parametrize("steps", [5, 50])
@pytest.mark.parametrize("to_one", [False, True])
def test_ddim_steps_equal_diffusers(steps, to_one):
    theirs = diffusers_schedule(steps, set_alpha_to_one=to_one)
    ours = Schedule(steps=steps, set_alpha_to_one=to_one)
    generator = torch.Generator().manual_seed(1)
    for step_index, timestep in enumerate(theirs.timesteps):
        latents, eps = torch.randn(2, 2, 4, 4, 4, generator=generator)
        expected = theirs.step(eps, timestep, latents).prev_sample
        torch.testing.assert_close(ours.ddim_step(latents, eps, step_index), expected, rtol=1e-5, atol=1e-5)


def test_from_config_ignores_the_models_own_spacing():
    config = {**SD15, "timestep_spacing": "trailing", "steps_offset": 0, "_class_name": "PNDMScheduler"}
    assert Schedule.from_config(config).timesteps[0] == 981


@pytest.mark.parametrize(
    "change",
    [
        {"prediction_type": "v_prediction"},
        {"trained_betas": [0.1, 0.2]},
        {"rescale_betas_zero_snr": True},
        {"beta_schedule": "squaredcos_cap_v2"},
    ],
)
def test_schedules_that_cannot_teach_are_refused(change):
    with pytest.raises(JobError):
        Schedule.from_config({**SD15, **change})


@pytest.mark.parametrize("steps", [0, -3, 1000, 5000])
def test_impossible_numbers_of_steps_are_refused(steps):
    with pytest.raises(JobError):
        Schedule(steps=steps)
