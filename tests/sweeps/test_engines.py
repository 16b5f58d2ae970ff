"""What every engine does, whatever happens to its workers."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Open

from stylehead.errors import JobError, MissingError
from stylehead.jobs.engines import gpu_share
from stylehead.sweeps import Driver, Ended, LocalEngine, Task, driver
from stylehead.sweeps.driver import TRIES
from stylehead.sweeps.engine import THREADS


def chore(name: str, function: str, **arguments: object) -> Task:
    return Task(name, f"chores:{function}", arguments)


def test_every_task_is_done_and_its_value_comes_back(opened: Open) -> None:
    tasks = [chore(f"sum {number}", "add", one=number, other=1) for number in range(7)]
    ended = Driver(opened()).run(tasks)
    assert {name: one.value for name, one in ended.items()} == {f"sum {n}": n + 1 for n in range(7)}
    assert {one.how for one in ended.values()} == {"done"}


def test_workers_have_one_thread_and_take_one_task_after_the_other(opened: Open) -> None:
    ended = Driver(opened(1)).run([chore(str(number), "who") for number in range(3)])
    facts = [one.value for one in ended.values()]
    assert len({fact["pid"] for fact in facts}) == 1
    assert facts[0]["pid"] != os.getpid()
    assert THREADS.items() <= facts[0]["threads"].items()


def test_a_task_that_fails_stops_no_other_and_says_why(opened: Open) -> None:
    tasks = [
        chore("bad", "fail", words="It rained."),
        chore("none", "nothing"),
        chore("good", "add", one=1, other=1),
    ]
    ended = Driver(opened()).run(tasks)
    assert (ended["bad"].how, ended["bad"].error, ended["bad"].hint) == ("failed", "It rained.", "try again")
    assert ended["none"].how == "failed"
    assert ended["good"].value == 2


def test_a_task_whose_worker_is_killed_is_done_by_another(opened: Open, tmp_path: Path) -> None:
    folder = tmp_path / "tries"
    folder.mkdir()
    tasks = [chore("deadly", "die", times=2, folder=str(folder)), chore("good", "add", one=1, other=1)]
    ended = Driver(opened()).run(tasks)
    assert (ended["deadly"].how, ended["deadly"].value, ended["good"].value) == ("done", 3, 2)


def test_a_task_that_kills_every_worker_fails(opened: Open, tmp_path: Path) -> None:
    folder = tmp_path / "tries"
    folder.mkdir()
    ended = Driver(opened()).run([chore("deadly", "die", times=99, folder=str(folder))])["deadly"]
    assert ended.how == "failed"
    assert f"{TRIES} workers were lost" in (ended.error or "")
    assert len(list(folder.iterdir())) == TRIES


def test_stopping_is_polite_and_ends_what_waits(opened: Open, tmp_path: Path) -> None:
    tasks = [chore(str(number), "sleep", seconds=300, folder=str(tmp_path)) for number in range(4)]
    driver = Driver(opened(), asked=lambda: len(list(tmp_path.glob("begun-*"))) == 2)
    ended = driver.run(tasks)
    assert {one.how for one in ended.values()} == {"stopped"}
    assert (tmp_path / "polite").exists()
    assert len(list(tmp_path.glob("begun-*"))) == 2


def test_what_waits_for_a_place_on_busy_machines_is_stopped_too(opened: Open, tmp_path: Path) -> None:
    engine = opened(1)
    engine.resize(3)  # Ray has as many processors as it was started with: two tasks find none
    tasks = [chore(str(number), "sleep", seconds=300, folder=str(tmp_path)) for number in range(4)]
    ended = Driver(engine, asked=lambda: bool(list(tmp_path.glob("begun-*")))).run(tasks)
    assert {one.how for one in ended.values()} == {"stopped"}


def test_relative_paths_are_the_driver_s(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = opened(1)
    (tmp_path / "there").mkdir()
    for name in ("there", "."):
        monkeypatch.chdir(tmp_path / name)
        (Path.cwd() / "mine.txt").write_text(name)
        assert Driver(engine).run([chore("read", "read", path="mine.txt")])["read"].value == name


def test_more_workers_can_be_had(opened: Open, tmp_path: Path) -> None:
    engine = opened(2)
    engine.resize(2)
    ended = Driver(engine).run([chore(str(number), "sleep", seconds=0.1) for number in range(3)])
    assert [one.value for one in ended.values()] == ["slept"] * 3


# ----------------------------------------------------------------------------------------------------- driver


class Forgetful:
    """An engine that loses every task a few times, and tells of ends in another order."""

    def __init__(self, losses: int) -> None:
        self.workers, self.gpus, self.queue, self.losses = 3, 0, [], dict[str, int]()
        self.limit, self.stops = losses, []

    def submit(self, task: Task) -> None:
        self.queue.append(task)

    def resize(self, workers: int) -> None:
        self.workers = workers

    def running(self) -> set[str]:
        return {task.name for task in self.queue[: self.workers]}

    def poll(self, seconds: float) -> list[Ended]:
        ready, self.queue = self.queue[: self.workers], self.queue[self.workers :]
        return [self._ended(task) for task in reversed(ready)]

    def _ended(self, task: Task) -> Ended:
        if self.stops:
            return Ended(task, "stopped")
        lost = self.losses.get(task.name, 0)
        if lost < self.limit:
            self.losses[task.name] = lost + 1
            return Ended(task, "lost", error="gone")
        return Ended(task, "done", value=task.name)

    def stop(self, *, at_once: bool = False) -> None:
        self.stops.append(at_once)

    def close(self) -> None: ...


TASKS = [Task(str(number), "x:y") for number in range(10)]


def test_the_driver_tries_lost_tasks_again() -> None:
    seen: list[str] = []
    ended = Driver(Forgetful(TRIES - 1), on_end=lambda one: seen.append(one.task.name)).run(TASKS)
    assert {name: one.value for name, one in ended.items()} == {task.name: task.name for task in TASKS}
    assert sorted(seen) == sorted(ended)


def test_the_driver_gives_up_in_the_end() -> None:
    ended = Driver(Forgetful(TRIES)).run(TASKS[:1])["0"]
    assert (ended.how, ended.error) == ("failed", f"{TRIES} workers were lost with it; the last: gone")


def test_a_second_interrupt_stops_at_once() -> None:
    engine, ticks = Forgetful(0), []

    def tick(_: set[str]) -> None:
        ticks.append(1)
        if len(ticks) == 2:
            raise KeyboardInterrupt

    ended = Driver(engine, tick=tick, asked=lambda: True).run(TASKS)
    assert engine.stops == [False, True]
    assert {one.how for one in ended.values()} == {"stopped"}


class Deaf(Forgetful):
    """An engine whose tasks never end, or end only when they are stopped at once."""

    def __init__(self, *, dies: bool) -> None:
        super().__init__(0)
        self.dies = dies

    def poll(self, seconds: float) -> list[Ended]:
        return super().poll(seconds) if self.dies and True in self.stops else []


@pytest.mark.parametrize("dies", [True, False])
def test_the_driver_waits_for_nothing_without_a_bound(monkeypatch: pytest.MonkeyPatch, *, dies: bool) -> None:
    monkeypatch.setattr(driver, "PATIENCE_S", 0.0)
    monkeypatch.setattr(driver, "LAST_S", 60.0 if dies else 0.0)
    engine, heard = Deaf(dies=dies), list[str]()
    ended = Driver(engine, asked=lambda: True, on_end=lambda one: heard.append(one.task.name)).run(TASKS)
    assert engine.stops == [False, True]
    assert {name: one.how for name, one in ended.items()} == {task.name: "stopped" for task in TASKS}
    assert len(heard) == (len(TASKS) if dies else 0)


# ---------------------------------------------------------------------------------------- local engine


def test_what_libraries_print_is_no_answer() -> None:
    engine = LocalEngine(1)
    try:
        assert Driver(engine).run([chore("talk", "talk")])["talk"].value == "said"
    finally:
        engine.close()


def wait_until(holds: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat").read_text() if Path("/proc").exists() else "x (x) S"
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_workers_of_a_killed_driver_stop_politely_and_go(tmp_path: Path) -> None:
    code = (
        "import sys; from stylehead.sweeps import *; engine = LocalEngine(1); "
        "engine.submit(Task('a', 'chores:sleep', {'seconds': 300, 'folder': sys.argv[1]})); "
        "[engine.poll(1) for _ in range(300)]"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], start_new_session=True) as driver:
        wait_until(lambda: list(tmp_path.glob("begun-*")))
        pid = int(next(tmp_path.glob("begun-*")).name.partition("-")[2])
        driver.send_signal(signal.SIGKILL)
        driver.wait()
        wait_until(lambda: not alive(pid))
    assert (tmp_path / "polite").exists()


def test_a_closed_engine_leaves_no_process_and_no_thread() -> None:
    engine = LocalEngine(2)
    ended = Driver(engine).run([chore(str(number), "who") for number in range(4)])
    pids = {one.value["pid"] for one in ended.values()}
    before = threading.active_count()
    engine.close()
    assert not any(map(alive, pids))
    assert threading.active_count() <= before - len(pids)


# ------------------------------------------------------------------------------------------------ ray


def test_without_the_extra_the_sentence_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from stylehead.sweeps.ray_engine import RayEngine

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingError) as caught:
        RayEngine(1, print)
    assert caught.value.hint == "pip install 'stylehead[cluster]'"


def test_a_cluster_that_does_not_start_is_a_sentence_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ray = pytest.importorskip("ray")
    from stylehead.sweeps import ray_engine

    def late(**words: object) -> None:
        Path(str(words["_temp_dir"]), "log").touch()
        raise Exception("The current node timed out during startup.")

    monkeypatch.setattr(ray, "init", late)
    monkeypatch.setattr(ray_engine, "_temporary", lambda: tmp_path)
    with pytest.raises(JobError, match="no Ray cluster on this machine: The current node timed out"):
        ray_engine.RayEngine(1, print)
    assert list(tmp_path.iterdir()) == []


def listeners(pids: set[int]) -> set[str]:
    """The addresses on which processes listen, as the kernel says."""
    import psutil

    found = set()
    for pid in pids:
        for connection in psutil.Process(pid).net_connections(kind="inet"):
            if connection.status == psutil.CONN_LISTEN:
                found.add(connection.laddr.ip.removeprefix("::ffff:"))
    return found


@pytest.mark.slow
def test_ray_deals_out_shares_of_gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No GPU is needed: a cluster believes in the one that it is told of."""
    pytest.importorskip("ray")
    from stylehead.jobs.worker import perform
    from stylehead.sweeps.ray_engine import RayEngine

    own = RayEngine._own_cluster
    monkeypatch.setattr(RayEngine, "_own_cluster", lambda self: {**own(self), "num_gpus": 1})
    engine = RayEngine(4, perform)
    try:
        assert engine.gpus == 1
        small = [
            Task(
                str(number), "chores:meet", {"folder": str(tmp_path), "others": 2}, gpus=gpu_share(0, 10**10)
            )
            for number in range(2)
        ]
        ended = Driver(engine).run(small)
        assert [one.value for one in ended.values()] == [{"GPU": 0.125, "visible": "0"}] * 2, ended
        whole = [Task(f"whole {n}", "chores:alone", {"folder": str(tmp_path)}, gpus=1.0) for n in range(3)]
        assert {one.value for one in Driver(engine).run(whole).values()} == {"alone"}
    finally:
        engine.close()


@pytest.mark.slow
def test_what_no_machine_has_room_for_fails_and_does_not_wait_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("ray")
    from stylehead.jobs.worker import perform
    from stylehead.sweeps.ray_engine import RayEngine

    engine = RayEngine(2, perform)
    monkeypatch.setattr(engine, "_spread", True)  # as a cluster of others
    sums = {"one": 1, "other": 1}
    tasks = [
        Task("huge", "chores:add", sums, memory_bytes=10**16),
        Task("gpu", "chores:add", sums, memory_bytes=10**6, gpus=0.5),
        Task("small", "chores:add", sums, memory_bytes=10**6),
    ]
    try:
        ended = Driver(engine).run(tasks)
    finally:
        engine.close()
    assert {name: one.how for name, one in ended.items()} == {
        "huge": "failed",
        "gpu": "failed",
        "small": "done",
    }
    assert (ended["huge"].error or "").startswith("It needs 10000000.0 GB of memory, which no machine of the")
    assert "1.0 MB of memory and 0.5 of a GPU" in (ended["gpu"].error or "")


@pytest.mark.slow
def test_ray_listens_on_loopback_only_and_leaves_nothing(tmp_path: Path) -> None:
    psutil = pytest.importorskip("psutil")
    pytest.importorskip("ray")
    (tmp_path / "home").mkdir()
    short = Path(tempfile.mkdtemp(prefix="t", dir="/tmp"))  # sockets have short names only
    code = (
        "import sys, ray; from stylehead.jobs.worker import perform; from stylehead.sweeps import *; "
        "from stylehead.sweeps.ray_engine import RayEngine; engine = RayEngine(2, perform); "
        "task = Task('a', 'chores:add', {'one': 1, 'other': 1}); "
        "print(Driver(engine).run([task])['a'].value, flush=True); "
        "sys.stdin.read(); engine.close()"
    )
    env = {**os.environ, "HOME": str(tmp_path / "home"), "TMPDIR": str(short)}
    with subprocess.Popen(
        [sys.executable, "-c", code], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "2\n"
        family = {driver.pid, *(child.pid for child in psutil.Process(driver.pid).children(recursive=True))}
        assert listeners(family) == {"127.0.0.1"}
        assert driver.stdin is not None
        driver.stdin.close()
        assert driver.wait(60) == 0
    assert list((tmp_path / "home").iterdir()) == []
    assert list(short.iterdir()) == []
    short.rmdir()
