"""How much of a GPU a run asks for, and where workers compute."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stylehead.errors import MissingError
from stylehead.jobs import engines
from stylehead.jobs.engines import MEMORY_SHARE, MOST_A_GPU, gpu_share, usual_gpu_share, worker_device

GB = 10**9


class Workers:
    """As much of an engine as is asked about devices."""

    def __init__(self, gpus: int) -> None:
        self.workers, self.gpus = 1, gpus


@given(st.integers(0, 200 * GB), st.integers(4 * GB, 200 * GB))
def test_as_many_runs_share_a_gpu_as_fit(memory: int, gpu: int) -> None:
    share = gpu_share(memory, gpu)
    together = int(1 / share)
    assert 1 <= together <= MOST_A_GPU
    assert together * share <= 1
    assert together == 1 or together * memory < MEMORY_SHARE * gpu
    assert round(share * 10_000) == pytest.approx(share * 10_000)


def test_small_runs_share_and_large_ones_are_alone() -> None:
    assert gpu_share(int(1.4 * GB), 80 * GB) == 1 / 8
    assert gpu_share(int(1.4 * GB), 12 * GB) == 0.2
    assert gpu_share(int(13.5 * GB), 40 * GB) == gpu_share(30 * GB, 80 * GB) == 1.0
    assert (usual_gpu_share(128), usual_gpu_share(512)) == (1 / 8, 1.0)


@pytest.mark.parametrize(
    ("asked", "gpus", "device"),
    [("auto", 0, "cpu"), ("auto", 2, "cuda"), ("cuda", 2, "cuda"), ("cpu", 2, "cpu")],
)
def test_a_cluster_computes_on_the_gpus_that_it_has(asked: str, gpus: int, device: str) -> None:
    assert worker_device(asked, Workers(gpus), elsewhere=True) == device


def test_a_cluster_without_gpus_is_said() -> None:
    with pytest.raises(MissingError, match="No machine of the cluster has a GPU"):
        worker_device("cuda", Workers(0), elsewhere=True)


def test_this_machine_s_workers_compute_where_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "choose_device", lambda asked: f"{asked}:0")
    assert worker_device("cuda", Workers(0), elsewhere=False) == "cuda"


def test_one_thread_a_run_also_on_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "count_gpus", lambda: 2)
    monkeypatch.setattr(engines, "gpu_memory", lambda index=0: (80 * GB, 12 * GB)[index])
    monkeypatch.setattr(engines, "processors", lambda: 100)
    assert engines.room_for(int(1.4 * GB), "cuda") == 8 + 5
    monkeypatch.setattr(engines, "processors", lambda: 4)
    assert engines.room_for(int(1.4 * GB), "cuda") == 4
    assert engines.room_for(70 * GB, "cuda") == 2
