"""How well work spreads on this machine: sweeps and eval with two workers against one, and what Ray costs.

    python examples/sweep_benchmark.py

Takes about six minutes on two idle cores; on busy ones the ratios say nothing. Every worker has one thread.
The runs are short ones of the embedded models, with few pictures at their end.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from stylehead.errors import MissingError
from stylehead.sweeps import Driver, Engine, LocalEngine, Task

HERE = Path(__file__).parent
GOALS = {"runs": 1.8, "eval": 1.7}
"""How many times faster two workers ought to be than one."""


def short_run(*, folder: str, seed: int, steps: int) -> None:
    """Train a short run, in a worker."""
    from stylehead.export import showcase
    from stylehead.jobs.sweep_tasks import train_planned

    showcase.SHEET_SEEDS, showcase.SHEET_YAWS_DEG, showcase.TURNTABLE_STEPS = (1,), (0.0,), 2
    settings = {
        "prompt": "Pixar character", "method": "ld", "preset": "mini", "seed": seed, "iterations": steps,
        "preview_every": 0,
    }  # fmt: skip
    train_planned(
        settings=settings, folder=folder, device="cpu", keep_checkpoints=0, command="sweep_benchmark"
    )


def warm_up() -> int:
    """Load what every run needs."""
    import stylehead.jobs.sweep_tasks  # noqa: F401

    return os.getpid()


def measured(engine: Engine, tasks: list[Task]) -> float:
    """Do tasks, and return the seconds that it took."""
    start = time.perf_counter()
    ended = Driver(engine).run(tasks)
    failed = [one.error for one in ended.values() if one.how != "done"]
    if failed:
        raise SystemExit(f"A task failed: {failed[0]}")
    return time.perf_counter() - start


def runs(open_engine: Callable[[int], Engine], workers: int, folder: Path, count: int, steps: int) -> dict:
    """Time a start of an engine and its workers, and short runs on it."""
    start = time.perf_counter()
    engine = open_engine(workers)
    try:
        opened = time.perf_counter() - start
        warm = measured(
            engine, [Task(f"warm {index}", "sweep_benchmark:warm_up") for index in range(workers)]
        )
        tasks = [
            Task(f"run {seed}", "sweep_benchmark:short_run",
                 {"folder": str(folder / f"{workers}-{seed}"), "seed": seed, "steps": steps})
            for seed in range(count)
        ]  # fmt: skip
        seconds = measured(engine, tasks)
        return {"start_s": opened, "workers_start_s": warm, "runs_s": seconds, **family()}
    finally:
        engine.close()
        shutil.rmtree(folder, ignore_errors=True)


def family() -> dict[str, object]:
    """Memory of this process' descendants, and the addresses that they listen on."""
    import psutil

    memory, listening = 0, set()
    for child in psutil.Process().children(recursive=True):
        try:
            memory += getattr(child.memory_full_info(), "pss", child.memory_info().rss)
            found = child.net_connections("inet")
            listening |= {item.laddr.ip for item in found if item.status == psutil.CONN_LISTEN}
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return {"memory_bytes": memory, "listening": sorted(listening)}


def ray_engine(workers: int) -> Engine:
    """Start Ray on this machine."""
    from stylehead.jobs.worker import perform
    from stylehead.sweeps.ray_engine import RayEngine

    return RayEngine(workers, perform)


def idle_ray() -> dict[str, object]:
    """Time the start of Ray, and look at what it needs while it does nothing."""
    start = time.perf_counter()
    engine = ray_engine(2)
    try:
        opened = time.perf_counter() - start
        time.sleep(2)
        return {"start_s": opened, **family()}
    finally:
        engine.close()


def tables(folder: Path, rows: int, people: int) -> dict[str, float]:
    """Time `eval` of some runs with one worker and with two; the numbers must be equal."""
    import stylehead

    engine = LocalEngine(2)
    try:
        tasks = [
            Task(str(seed), "sweep_benchmark:short_run",
                 {"folder": str(folder / f"run-{seed}"), "seed": seed, "steps": 1})
            for seed in range(rows)
        ]  # fmt: skip
        measured(engine, tasks)
    finally:
        engine.close()
    found, seconds = {}, {}
    for workers in (1, 2):
        start = time.perf_counter()
        table = stylehead.evaluate(runs=folder, identities=people, workers=workers).table
        seconds[workers] = time.perf_counter() - start
        found[workers] = [
            (row.label, name, getattr(cell, "value", None))
            for row in table.rows
            for name, cell in row.cells.items()
        ]
    if json.dumps(found[1]) != json.dumps(found[2]):
        raise SystemExit("eval with two workers gave other numbers than with one.")
    return {"one_s": seconds[1], "two_s": seconds[2], "ratio": seconds[1] / seconds[2]}


def compared(open_engine: Callable[[int], Engine], folder: Path, count: int, steps: int) -> dict[str, object]:
    """Time short runs on one worker and on two."""
    one, two = (runs(open_engine, workers, folder, count, steps) for workers in (1, 2))
    return {"one": one, "two": two, "ratio": one["runs_s"] / two["runs_s"]}


def main(words: list[str] | None = None) -> None:
    """Measure, and print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=8, help="short runs")
    parser.add_argument("--steps", type=int, default=4, help="steps of each")
    parser.add_argument("--rows", type=int, default=8, help="runs in the table")
    parser.add_argument("--people", type=int, default=12, help="people in the table")
    parser.add_argument("--only", default="local,ray,idle,eval", help="parts, joined by commas")
    asked = parser.parse_args(words)
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")]
    )
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        parts = {
            "local": lambda: compared(LocalEngine, where / "local", asked.runs, asked.steps),
            "ray": lambda: compared(ray_engine, where / "ray", asked.runs, asked.steps),
            "idle": idle_ray,
            "eval": lambda: tables(where / "eval", asked.rows, asked.people),
        }
        for name in asked.only.split(","):
            print(f"measuring: {name}", file=sys.stderr, flush=True)
            try:
                found[name] = parts[name]()
            except MissingError as error:
                print(f"{name}: {error.message} {error.hint}", file=sys.stderr)
    report(found, asked.runs)


def report(found: dict, count: int) -> None:
    """Print what was measured, for people and for programs."""
    for name in ("local", "ray"):
        if name in found:
            one, two, ratio = (found[name][part] for part in ("one", "two", "ratio"))
            print(f"{count} short runs, {name}: {one['runs_s']:.1f} s with one worker,")
            print(f"  {two['runs_s']:.1f} s with two: {ratio:.2f} x (goal {GOALS['runs']} x)")
            print(f"  start {two['start_s']:.1f} s, workers {two['workers_start_s']:.1f} s")
            print(f"  {two['memory_bytes'] / 1e6:.0f} MB with two; listening on {two['listening']}")
    if "idle" in found:
        idle = found["idle"]
        print(f"Ray idle: start {idle['start_s']:.1f} s, {idle['memory_bytes'] / 1e6:.0f} MB, "
              f"listening on {idle['listening']}")  # fmt: skip
    if "eval" in found:
        table = found["eval"]
        print(f"eval: {table['one_s']:.1f} s with one worker, {table['two_s']:.1f} s with two: "
              f"{table['ratio']:.2f} x (goal {GOALS['eval']} x), equal numbers")  # fmt: skip
    print(json.dumps(found))


if __name__ == "__main__":
    main()
