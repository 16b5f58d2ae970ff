"""Train every embedded model in one go: `python -m stylehead.world all --minutes 600 --device auto`.

The minutes are divided over the recipes by a table. Pictures are drawn first, as many as a part of the time
allows, and by processes of their own while the networks train. A stage that is finished is not trained again
when the command is started again with the same folders; one that was interrupted goes on.
"""

import contextlib
import io
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TypedDict

from stylehead.errors import JobError, StyleheadError
from stylehead.files import write_json
from stylehead.world.recipes import assembly
from stylehead.world.recipes.assembly import Place
from stylehead.world.recipes.loop import Budget

SHARES: Mapping[str, float] = {
    "vae": 0.17, "text": 0.02, "instruction": 0.23, "generator": 0.22, "mapping": 0.02, "finish": 0.03,
    "denoiser": 0.13, "identity": 0.04, "style": 0.01, "image_text": 0.01, "face_adapter": 0.02,
    "style_judge": 0.01, "identity_judge": 0.03, "attributes": 0.02,
}  # fmt: skip
"""Parts of the minutes, in the order of training; what builds on a network comes after it."""
DRAWING = 1 - sum(SHARES.values())
"""Part of the minutes in which pictures are drawn and nothing is trained."""
LARGEST_FILE = 15_000_000
"""Bytes of an exported file."""
_STATE = "all.json"
_FIRST_PEOPLE = 40


class Reached(TypedDict):
    """What a stage came to."""

    figures: dict[str, float]


def train_everything(
    at: Place, minutes: float, *, people: int, seed: int, report: Callable[[str], None]
) -> dict[str, Reached]:
    """Draw pictures and train all networks; the last lines say what each reached.

    Args:
        at: Where to read, write and compute.
        minutes: For everything.
        people: Training identities that are drawn, if the time allows.
        seed: Of everything random.
        report: Takes a line of progress at a time.

    Raises:
        JobError: A stage failed; those after it that do not build on it were trained all the same.
    """
    at = replace(at, everything=True)
    at.work.mkdir(parents=True, exist_ok=True)
    started, done = time.monotonic(), _finished(at.work)
    drawing = _draw(at, minutes, people=people, report=report)
    failed: dict[str, StyleheadError] = {}
    try:
        for name in SHARES:
            if name in done:
                report(f"{name}: finished before")
                continue
            left = minutes - (time.monotonic() - started) / 60
            try:
                figures = assembly.run(name, _budget(at, name, left, done, seed), at, report=report)
            except StyleheadError as error:
                failed[name] = error
                report(f"{name}: {error.message}")
                continue
            done[name] = {"figures": figures}
            write_json(at.work / _STATE, done)
    finally:
        for process in drawing:
            process.terminate()
            process.join()
    if not failed:
        report(f"guess: {_fit_guess(at)}")
        report(f"likeness: {_measure_likeness(at)}")
    for line in summary(done, failed, too_large(at.export)):
        report(line)
    if failed:
        raise JobError(f"{', '.join(failed)} could not be trained.", "the lines above say why")
    return done


def _fit_guess(at: Place) -> str:
    """Fit the first guess of `invert` to the new generator and encoders; returns its figures."""
    from stylehead.world.recipes import fit_guess

    with contextlib.redirect_stdout(io.StringIO()) as printed:
        fit_guess.main(["--data", str(at.data), "--weights", str(at.export)])
    return printed.getvalue().strip()


def _measure_likeness(at: Place) -> str:
    """Measure what `invert` calls a likeness with the new generator and judge; returns the threshold."""
    from stylehead.world.recipes import measure_likeness as likeness

    people = 2 if at.rehearsal else likeness.PEOPLE
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        likeness.main(["--weights", str(at.export), "--people", str(people)])
    return printed.getvalue().strip()


def summary(
    done: Mapping[str, Reached], failed: Mapping[str, StyleheadError], large: Mapping[str, int]
) -> list[str]:
    """The last lines: what each network reached, and what is not as it should be."""
    lines = [f"{name}: {_figures(done[name]['figures'])}" for name in SHARES if name in done]
    lines += [f"{name}: not trained, {error.message}" for name, error in failed.items()]
    most = f"more than {LARGEST_FILE / 1e6:.0f}"
    lines += [f"{name} has {size / 1e6:.1f} MB, {most}" for name, size in large.items()]
    return lines


def too_large(export: Path) -> dict[str, int]:
    """Exported files of more than 15 MB, which should be written in pieces."""
    files = (path for path in export.rglob("*.safetensors") if path.stat().st_size > LARGEST_FILE)
    return {str(path.relative_to(export)): path.stat().st_size for path in files}


def stage_minutes(name: str, left: float, done: Mapping[str, object]) -> float:
    """A stage's part of the minutes that are left, among the stages that are still to come."""
    waiting = [stage for stage in SHARES if stage not in done]
    waiting = waiting[waiting.index(name) :]
    return max(0.0, left) * SHARES[name] / sum(SHARES[stage] for stage in waiting)


def _budget(at: Place, name: str, left: float, done: Mapping[str, object], seed: int) -> Budget:
    if at.rehearsal:
        return Budget(10.0, seed=seed, max_steps=1)
    return Budget(stage_minutes(name, left, done), checkpoint_minutes=1.0, seed=seed)


def _figures(figures: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in figures.items())


def _finished(work: Path) -> dict[str, Reached]:
    """Stages that an earlier call finished."""
    try:
        found: dict[str, Reached] = json.loads((work / _STATE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        hint = "remove it to train everything again"
        raise JobError(f"{work / _STATE} is damaged: {error}.", hint) from error
    return found


def _draw(at: Place, minutes: float, *, people: int, report: Callable[[str], None]) -> list[BaseProcess]:
    """Draw the first people here, and start the processes that draw the others."""
    from stylehead.world.recipes.drawing import draw_data

    if at.rehearsal:
        draw_data(at.data, people=people, minutes=10.0, report=report, tests=2)
        return []
    draw_data(at.data, people=min(people, _FIRST_PEOPLE), minutes=DRAWING * minutes, report=report)
    context = multiprocessing.get_context("spawn")
    parts = [(at.data, people, minutes, number, at.workers) for number in range(at.workers)]
    processes = [context.Process(target=_draw_part, args=part, daemon=True) for part in parts]
    for process in processes:
        process.start()
    return list(processes)


def _draw_part(data: Path, people: int, minutes: float, number: int, workers: int) -> None:
    os.environ.setdefault("LP_NUM_THREADS", "1")  # of the software renderer, which takes all cores otherwise
    from stylehead.world.recipes.drawing import draw_data

    draw_data(data, people=people, minutes=minutes, report=lambda _line: None, part=(number, workers))
