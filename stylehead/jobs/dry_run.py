"""`stylize --dry-run`: what a job needs, would write and would cost; nothing is written.

The cost is measured in a few real steps where models are small or `--probe` asks for it, and estimated from
the shapes of the networks otherwise, whether their weights are here or not.
"""

import time
from pathlib import Path
from typing import NamedTuple, cast

from stylehead.cost import measure_rates
from stylehead.errors import LicenseError
from stylehead.jobs import environment
from stylehead.jobs.arguments import StylizeArguments
from stylehead.jobs.banking import EditCost, time_edits
from stylehead.jobs.blueprint import blueprint
from stylehead.jobs.disk import check_disk, checkpoint_bytes, disk_words, running_bytes, trained_bytes
from stylehead.jobs.forecast import Forecast, forecast
from stylehead.jobs.inventory import Inventory, Need
from stylehead.jobs.needs import list_needs, warn_of_lost_words
from stylehead.jobs.report import Report, Result
from stylehead.jobs.stylize import (
    configure,
    stylizer_of,
    understood,
    warn_of_settings,
    with_file,
)
from stylehead.jobs.training import CARD, CONFIG, PREVIEWS, SHEET, STYLE, TURNTABLE, Job
from stylehead.methods import Stylizer
from stylehead.methods.config import StylizeConfig
from stylehead.methods.qualities import (
    FULL_SCALE_MINUTES,
    QUALITIES,
    QualityName,
    Timing,
    at_quality,
    expected_minutes,
    presets_of,
)
from stylehead.runs import CHECKPOINTS, EVENTS, MANIFEST
from stylehead.settings import flag
from stylehead.units import format_bytes, format_duration
from stylehead.weights.presets import find_preset

WARM_UP_STEPS = 1
MEASURED_STEPS = 2
FILES = (MANIFEST, CONFIG, EVENTS, STYLE, SHEET, TURNTABLE, CARD, f"{PREVIEWS}/", f"{CHECKPOINTS}/")


class Cost(NamedTuple):
    """Cost of a job, measured."""

    seconds_per_step: float
    training_seconds: float
    peak_memory_bytes: dict[str, int]
    style_bytes: int
    checkpoint_bytes: int


def foretell_training(arguments: StylizeArguments, report: Report, *, probe: bool) -> Result:
    """Say what a job needs, would write and would cost: measured where that is quick, else estimated.

    Args:
        arguments: What was asked for.
        report: For notes, and a warning for everything that is missing.
        probe: Measure large models as well.

    Raises:
        StyleheadError: The job is refused; or its weights are missing, where they are needed to measure.
    """
    arguments = with_file(arguments)
    config, path = configure(arguments, report)
    preset, why = find_preset(config.preset)
    report.note(why)
    config = understood(config, preset, report)
    warn_of_settings(config, arguments, report)
    needs, device = list_needs(config, preset), environment.choose_device(arguments.device)
    if probe or (preset.teacher_entry is None and config.source("diffusion") is None):
        return measure_job(Job(config, preset, device, arguments.keep_checkpoints), path, report)
    if any(_is_refused(need) for need in needs.every):
        needs.require()  # with the first sentence that the run would say
    for problem in needs.problems:
        report.warn(problem.message)
    warn_of_lost_words(needs, report)
    return estimate_job(needs, device, path, arguments.keep_checkpoints)


def _is_refused(need: Need) -> bool:
    """Whether weights are here, and a run would not read them."""
    return need.problem is not None and need.folder is not None and not isinstance(need.problem, LicenseError)


def measure_job(job: Job, path: Path, report: Report) -> Result:
    """Time a few steps and say what the whole job would cost and write.

    Args:
        job: What would be trained; its weights are here.
        path: Where the run would be.
        report: For notes.

    Raises:
        JobError: It would not fit on the disk.
    """
    report.note(f"Timing {MEASURED_STEPS} steps.")
    stylizer = stylizer_of(job)
    stylizer.method.rehearse(stylizer.reference)
    cost, edits = measure(job, stylizer), time_edits(stylizer, job.needs, job.device)
    config = job.config
    check_disk(path, running_bytes(cost.style_bytes, job.keep_checkpoints))
    memory = ", ".join(f"{name} {format_bytes(used)}" for name, used in cost.peak_memory_bytes.items())
    rows = (
        *_edit_rows(edits),
        ("steps", f"{config.iterations} x {cost.seconds_per_step:.2f} s, measured"),
        ("training time", format_duration(cost.training_seconds)),
        *_quality_rows(config, cost, edits),
        ("peak memory", f"{memory}, measured"),
        ("disk", disk_words(cost.style_bytes, job.keep_checkpoints, path, full_style=config.full_style)),
    )
    return _result(job.needs, job.device, path, rows, {"measured": True, **cost._asdict()})


def _quality_rows(config: StylizeConfig, cost: Cost, edits: EditCost | None) -> tuple[tuple[str, str], ...]:
    """Say what each preset of quality would take at the pace that was measured; nothing without presets."""
    usual = type(config)(prompt=config.prompt)
    pictures = config.batch * config.views / (usual.batch * usual.views)
    sides = getattr(config, "bank_views", 1) / getattr(usual, "bank_views", 1)
    person = 0.0 if edits is None else edits.seconds_per_person / sides
    pace = Timing(cost.seconds_per_step / pictures, person)
    parts = [
        f"{name} {format_duration(60 * minutes)}"
        for name in presets_of(config.method, full_scale=False)
        if (minutes := expected_minutes(at_quality(config, cast(QualityName, name)), pace)) is not None
    ]
    return (("--quality", ", ".join(parts)),) if parts else ()


def _computed_rows(config: StylizeConfig) -> tuple[tuple[str, str], ...]:
    """Say what the presets of the published size are made for; nothing without presets."""
    parts = [f"{name} {FULL_SCALE_MINUTES[name]}" for name in QUALITIES]
    known = presets_of(config.method, full_scale=True)
    return (("--quality", f"{', '.join(parts)} minutes of a large GPU, computed"),) if known else ()


def _edit_rows(edits: EditCost | None) -> tuple[tuple[str, str], ...]:
    if edits is None:
        return ()
    total = format_duration(edits.seconds_per_person * edits.people)
    return (("edits", f"{edits.people} people x {edits.seconds_per_person:.2f} s, measured: {total}"),)


def estimate_job(needs: Inventory, device: str, path: Path, keep_checkpoints: int) -> Result:
    """Say what a job would cost and write, from the shapes of its networks alone.

    Args:
        needs: Its weights, here or not.
        device: Where it would run.
        path: Where the run would be.
        keep_checkpoints: How many checkpoints would stay.

    Raises:
        JobError: It would not fit on the disk.
    """
    config, found = needs.config, estimated(needs, device)
    style_bytes = found.estimate.optimizer // 4
    assert found.seconds is not None, "rates were measured"
    check_disk(path, running_bytes(style_bytes, keep_checkpoints))
    rows = (
        *forecast_rows(found),
        ("training time", f"about {format_duration(found.seconds * config.iterations)}, estimated"),
        *_computed_rows(config),
        ("disk", disk_words(style_bytes, keep_checkpoints, path, full_style=config.full_style)),
    )
    data = {"measured": False, "style_bytes": style_bytes, "checkpoint_bytes": checkpoint_bytes(style_bytes)}
    return _result(needs, device, path, rows, data | {"estimate": found.to_dict()})


def estimated(needs: Inventory, device: str) -> Forecast:
    """Estimate what a job needs on a device of this machine, which is timed for it."""
    config, networks = needs.config, blueprint(needs, device.partition(":")[0])
    tier = config.tier(device, largest_image=networks.largest_image)
    return forecast(networks, config, tier, measure_rates(device, networks.dtypes))


def forecast_rows(found: Forecast) -> tuple[tuple[str, str], ...]:
    """Say for people what a tier needs, part by part."""
    parts = found.estimate
    summed = {
        "weights": sum(parts.weights.values()),
        "optimiser": parts.optimizer,
        "activations": parts.activations,
    }
    rest = found.total_bytes - sum(summed.values())
    named = [f"{name} {format_bytes(size)}" for name, size in {**summed, "libraries": rest}.items() if size]
    per_step = (
        "unknown without the device" if found.seconds is None else f"about {found.seconds:.3g} s, estimated"
    )
    return (
        (f"memory {found.tier.name}", ", ".join(found.tier.words())),
        ("peak memory", f"about {format_bytes(found.total_bytes)}, estimated: {', '.join(named)}"),
        ("measured peak", found.measured),
        ("one step", per_step),
    )


def _result(
    needs: Inventory, device: str, path: Path, rows: tuple[tuple[str, str], ...], data: dict[str, object]
) -> Result:
    config, preset = needs.config, needs.preset
    common = [
        ("would write", f"{path}/"),
        ("files", " ".join(FILES)),
        ("prompt", config.prompt),
        ("preset", f"{preset.name}  {preset.licence}"),
        *needs.rows(),
        ("device", environment.device_name(device)),
        *rows,
        ("settings", f"{config.method}, {_changes(config) or 'all at their defaults'}"),
    ]
    document = {
        "dry_run": True,
        "run": path,
        "preset": preset.name,
        "licence": preset.licence,
        "device": environment.device_name(device),
        "config": config.to_dict(),
        "files": list(FILES),
        "weights": [need.to_dict() for need in needs.every],
        **data,
    }
    return Result(primary=(path,), rows=tuple(common), data=document, next=needs.hints())


def step_seconds(stylizer: Stylizer, steps: int = 1) -> float:
    """Time training steps, after one that warms up."""
    for _ in range(WARM_UP_STEPS):
        stylizer.step()
    start = time.perf_counter()
    for _ in range(steps):
        stylizer.step()
    return (time.perf_counter() - start) / steps


def measure(job: Job, stylizer: Stylizer) -> Cost:
    """Measure what a job costs in a few of its steps, after which its stylizer is of no use."""
    seconds = step_seconds(stylizer, MEASURED_STEPS)
    size = trained_bytes(stylizer)
    budget = job.config.time_budget_minutes
    total = seconds * job.config.iterations
    return Cost(
        seconds_per_step=seconds,
        training_seconds=total if budget is None else min(total, budget * 60),
        peak_memory_bytes=environment.peak_memory(job.device),
        style_bytes=size,
        checkpoint_bytes=checkpoint_bytes(size),
    )


def _changes(config: StylizeConfig) -> str:
    default = type(config)(prompt=config.prompt).to_dict()
    changed = {name: value for name, value in config.to_dict().items() if value != default[name]}
    return " ".join(f"{flag(name)} {value}" for name, value in changed.items())
