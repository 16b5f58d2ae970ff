"""Runs what happens on the pretend device in processes of their own: torch takes new devices at its start."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
JOBS, COMMANDS = "inside_jobs.py", "inside_commands.py"
METHODS = (
    "ld", "ld, paper", "ld, release", "ld, 8 GB", "ld, half", "sds", "csd", "nada", "styleclip",
    "styleganfusion", "diffusiongan3d",
)  # fmt: skip
SHORT = (
    *(f"{JOBS}::test_every_method_trains_on_the_device[{case}]" for case in METHODS),
    f"{JOBS}::test_a_constant_that_stayed_on_the_host_is_caught",
    f"{JOBS}::test_noise_of_a_foreign_generator_is_caught",
    f"{JOBS}::test_numpy_on_the_device_is_caught",
    f"{JOBS}::test_offloaded_networks_are_never_copied_back",
    f"{COMMANDS}::test_it_draws_and_measures_what_it_trained[pretend]",
    f"{COMMANDS}::test_it_inverts[pretend]",
    *(f"{COMMANDS}::test_a_mistake_is_caught[pretend-{job}]" for job in ("render", "eval", "invert")),
    "inside_device.py",
)
"""Every method, whole jobs, planted mistakes, and the device itself: last: it must not be there too
early. One process: importing everything takes longer than most of them do."""
SLOW = (
    "test_every_method_trains_on_the_device[ld, everything]",
    "test_kept_heads_wait_on_the_host",
    "test_the_numbers_are_those_of_the_host",
    "test_a_run_goes_on_on_another_kind_of_device[here to there]",
    "test_a_run_goes_on_on_another_kind_of_device[there to here]",
    "test_renders_come_back_to_the_host",
    "test_the_space_of_heads_is_measured_on_the_device",
)


def pretend(*tests: str) -> str:
    """Run tests in one process and return what it says: importing everything takes longer than most do."""
    words = [
        "-m",
        "pytest",
        "-n0",
        "-q",
        "-rA",
        "-p",
        "no:cacheprovider",
        *(str(HERE / test) for test in tests),
    ]
    variables = {"PYTHONPATH": str(HERE.parents[1]), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, env={**os.environ, **variables}, check=False
    )
    assert result.returncode in (0, 1), result.stdout[-6000:] + result.stderr[-2000:]
    return result.stdout


def check(tests: tuple[str, ...]) -> None:
    """Run tests that must pass, every one of them."""
    said = pretend(*tests)
    passed = re.findall(r"^PASSED \S*?([^/\s]+\.py::.*)$", said, flags=re.MULTILINE)
    missing = [
        test for test in tests if not any(name == test or name.startswith(f"{test}::") for name in passed)
    ]
    assert not missing, f"{missing}\n{said[-6000:]}"
    assert "FAILED" not in said, said[-6000:]


@pytest.mark.timeout(600)
def test_it_fails_as_a_device_does_and_every_method_and_job_runs_on_it() -> None:
    check(SHORT)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_job_of_the_full_scale_runs_on_it_as_on_the_host() -> None:
    said = pretend(COMMANDS)
    assert "FAILED" not in said, said[-6000:]
    assert "ERROR" not in said, said[-6000:]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_what_else_happens_on_it() -> None:
    check(tuple(f"{JOBS}::{name}" for name in SLOW))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_recipe_of_the_embedded_models_runs_on_it() -> None:
    pytest.importorskip("moderngl")
    check(("inside_recipes.py",))
