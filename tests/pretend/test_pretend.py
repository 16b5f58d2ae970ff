"""Runs what happens on the pretend device in processes of their own: torch takes new devices at its start."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
DEVICE = "inside_device.py"
MISTAKES = (
    "test_a_constant_that_stayed_on_the_host_is_caught",
    "test_noise_of_a_foreign_generator_is_caught",
    "test_numpy_on_the_device_is_caught",
)
SLOW = (
    "test_the_numbers_are_those_of_the_host",
    "test_a_run_goes_on_on_another_kind_of_device[here to there]",
    "test_a_run_goes_on_on_another_kind_of_device[there to here]",
    "test_renders_come_back_to_the_host",
    "test_the_space_of_heads_is_measured_on_the_device",
)
METHODS = (
    "ld, paper", "ld, release", "ld, everything", "ld, 8 GB", "sds", "csd", "nada", "styleclip",
    "styleganfusion", "diffusiongan3d",
)  # fmt: skip


def pretend(test: str) -> None:
    words = ["-m", "pytest", "-n0", "-q", "-p", "no:cacheprovider", str(HERE / test)]
    variables = {"PYTHONPATH": str(HERE.parents[1]), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, env={**os.environ, **variables}, check=False
    )
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-2000:]


def test_the_device_itself() -> None:
    pretend(DEVICE)


def test_the_method_of_the_paper_trains_on_it() -> None:
    pretend("inside_jobs.py::test_every_method_trains_on_the_device[ld]")


@pytest.mark.parametrize("name", MISTAKES)
def test_planted_mistakes_are_caught(name: str) -> None:
    pretend(f"inside_jobs.py::{name}")


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_what_else_happens_on_it(name: str) -> None:
    pretend(f"inside_jobs.py::{name}")


@pytest.mark.slow
@pytest.mark.parametrize("case", METHODS)
def test_every_method_trains_on_it(case: str) -> None:
    pretend(f"inside_jobs.py::test_every_method_trains_on_the_device[{case}]")
