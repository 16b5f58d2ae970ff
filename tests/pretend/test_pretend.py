"""Runs what happens on the pretend device in a process of its own: torch takes new devices at its start."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.parametrize("file", sorted(path.name for path in HERE.glob("inside_*.py")))
def test_on_the_pretend_device(file: str) -> None:
    words = ["-m", "pytest", "-n0", "-q", "-p", "no:cacheprovider", str(HERE / file)]
    variables = {"PYTHONPATH": str(HERE.parents[1]), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, env={**os.environ, **variables}, check=False
    )
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-2000:]
