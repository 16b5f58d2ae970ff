"""What is freed is there for the next tensor."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from stylehead.processes import allow_compiling, leave_no_folder, share_processors

COUNT = """
import resource
import numpy as np
from stylehead.processes import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.full(64 * 2**20, 1, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if {keep} and not keep_freed_memory():
    raise SystemExit(77)
print(faults(), faults(), faults())
"""


def faults(*, keep: bool) -> list[int]:
    """Page faults of the same large array, made and freed three times."""
    command = [sys.executable, "-c", COUNT.format(keep=keep)]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    if outcome.returncode == 77:
        pytest.skip("the C library has no mallopt")
    return [int(word) for word in outcome.stdout.split()]


@pytest.mark.skipif(sys.platform != "linux", reason="glibc only")
def test_large_arrays_reuse_the_pages_of_freed_ones():
    first, second, third = faults(keep=True)
    assert first > 10
    assert second + third < first / 4
    assert min(faults(keep=False)) > second + third  # few, too, where the system maps pages of two megabytes


def test_waiting_threads_spin_a_little_then_sleep_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
        monkeypatch.delenv(name, raising=False)
    share_processors()
    assert (os.environ["OMP_WAIT_POLICY"], os.environ["GOMP_SPINCOUNT"]) == ("PASSIVE", "1000")
    monkeypatch.delenv("GOMP_SPINCOUNT")
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    share_processors()
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
    assert "GOMP_SPINCOUNT" not in os.environ


FOLDER = """
import sys, tempfile
tempfile.tempdir = sys.argv[1]
from stylehead.processes import allow_compiling, leave_no_folder
leave_no_folder()
import torch._dynamo
import os
print(os.listdir(sys.argv[1]))
allow_compiling()
from torch._inductor.runtime.cache_dir_utils import cache_dir
print(os.path.basename(os.path.dirname(cache_dir())) == os.path.basename(sys.argv[1]))
"""


def test_torch_leaves_no_folder_where_nothing_is_compiled(tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if name != "TORCHINDUCTOR_CACHE_DIR"}
    command = [sys.executable, "-c", FOLDER, str(tmp_path)]
    outcome = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    assert outcome.stdout.splitlines() == ["[]", "True"]


def test_a_machine_without_a_temporary_folder_is_no_reason_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    leave_no_folder()
    allow_compiling()
    assert "TORCHINDUCTOR_CACHE_DIR" not in os.environ
