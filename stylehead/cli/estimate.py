"""`stylize --dry-run`: what a job would do and cost, from a few measured steps; nothing is written."""

import time
from pathlib import Path
from typing import NamedTuple

from stylehead.cli import environment
from stylehead.cli.output import Output, Result
from stylehead.cli.progress import format_bytes, format_duration
from stylehead.cli.training import CARD, CONFIG, PREVIEWS, SHEET, STYLE, TURNTABLE, Job, load_stylizer
from stylehead.config import StylizeConfig, flag
from stylehead.distill import Stylizer
from stylehead.runs import CHECKPOINTS, EVENTS, MANIFEST

WARM_UP_STEPS = 1
MEASURED_STEPS = 2


class Cost(NamedTuple):
    """Measured cost of a job."""

    seconds_per_step: float
    training_seconds: float
    peak_memory_bytes: dict[str, int]
    style_bytes: int
    checkpoint_bytes: int


def estimate_job(job: Job, path: Path, output: Output) -> Result:
    """Time a few steps and say what the whole job would cost and write.

    Args:
        job: What would be trained.
        path: Where the run would be.
        output: For notes.
    """
    output.note(f"Timing {MEASURED_STEPS} steps.")
    cost = _measure(job, load_stylizer(job))
    files = [MANIFEST, CONFIG, EVENTS, STYLE, SHEET, TURNTABLE, CARD, f"{PREVIEWS}/", f"{CHECKPOINTS}/"]
    document = {
        "dry_run": True,
        "run": path,
        "preset": job.preset.name,
        "licence": job.preset.licence,
        "device": environment.device_name(job.device),
        "config": job.config.to_dict(),
        "files": files,
        **cost._asdict(),
    }
    return Result(primary=(path,), rows=_rows(job, path, cost, files), data=document)


def _measure(job: Job, stylizer: Stylizer) -> Cost:
    for _ in range(WARM_UP_STEPS):
        stylizer.step()
    start = time.perf_counter()
    for _ in range(MEASURED_STEPS):
        stylizer.step()
    seconds = (time.perf_counter() - start) / MEASURED_STEPS
    size = sum(tensor.numel() * tensor.element_size() for tensor in stylizer.trained.values())
    budget = job.config.time_budget_minutes
    total = seconds * job.config.iterations
    return Cost(
        seconds_per_step=seconds,
        training_seconds=total if budget is None else min(total, budget * 60),
        peak_memory_bytes=environment.peak_memory(job.device),
        style_bytes=size,
        checkpoint_bytes=3 * size,  # weights and Adam's two moments
    )


def _rows(job: Job, path: Path, cost: Cost, files: list[str]) -> tuple[tuple[str, str], ...]:
    config, keep = job.config, job.keep_checkpoints
    memory = ", ".join(f"{name} {format_bytes(used)}" for name, used in cost.peak_memory_bytes.items())
    disk = cost.style_bytes + keep * cost.checkpoint_bytes
    return (
        ("would write", f"{path}/"),
        ("files", " ".join(files)),
        ("prompt", config.prompt),
        ("preset", f"{job.preset.name}  {job.preset.licence}"),
        ("device", environment.device_name(job.device)),
        ("steps", f"{config.iterations} x {cost.seconds_per_step:.2f} s"),
        ("training time", format_duration(cost.training_seconds)),
        ("peak memory", memory),
        ("disk", f"{format_bytes(disk)}  ({keep} checkpoints of {format_bytes(cost.checkpoint_bytes)})"),
        ("settings", f"{config.method}, {_changes(config) or 'all at their defaults'}"),
    )


def _changes(config: StylizeConfig) -> str:
    default = StylizeConfig(prompt=config.prompt, method=config.method, score=config.score).to_dict()
    changed = {name: value for name, value in config.to_dict().items() if value != default[name]}
    return " ".join(f"{flag(name)} {value}" for name, value in changed.items())
