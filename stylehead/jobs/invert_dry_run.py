"""`invert --dry-run`: what an inversion would do and cost, from a few measured steps; nothing is written."""

import dataclasses
import time

import numpy as np

from stylehead.inversion.masks import MaskSource
from stylehead.jobs import environment
from stylehead.jobs.arguments import InvertArguments
from stylehead.jobs.checks import check_invert
from stylehead.jobs.cropping import HeadCrop
from stylehead.jobs.invert import prepare
from stylehead.jobs.projecting import (
    ALIGNED,
    LATENT,
    PERSONAL,
    PREVIEWS,
    SHEET,
    InvertJob,
    aimed,
    is_foreign,
)
from stylehead.jobs.report import Report, Result
from stylehead.runs import EVENTS, MANIFEST
from stylehead.units import format_duration

HEAD_TOLD: dict[MaskSource, str] = {
    "alpha": "the head is what is opaque",
    "plain background": "the head is what is not background, which is plain",
    "cut out": "the head is cut out by its colours, roughly",
}
"""How the head is told from the background, in words."""


def foretell_inversion(arguments: InvertArguments, report: Report) -> Result:
    """Time one step of every stage and say what the whole job would cost and write.

    Args:
        arguments: What was asked for.
        report: For notes.

    Raises:
        StyleheadError: The job is refused.
    """
    check_invert(arguments)
    job, head, path = prepare(arguments, report)
    report.note("Timing a few steps.")
    source, seconds = _measure(job, head)
    files = [MANIFEST, EVENTS, LATENT, SHEET, ALIGNED, f"{PREVIEWS}/", *([PERSONAL] if job.pivotal else [])]
    face = "aligned picture" if head.face is None else f"face {head.face}"
    document = {
        "dry_run": True,
        "run": path,
        "face": head.face,
        "mask": source,
        "preset": job.preset.name,
        "licence": job.preset.licence,
        "device": environment.device_name(job.device),
        "config": dataclasses.asdict(job.config),
        "files": files,
        "seconds": round(seconds, 1),
    }
    rows = (
        ("would write", f"{path}/"),
        ("files", " ".join(files)),
        ("picture", f"{face}, {HEAD_TOLD[source]}"),
        ("preset", f"{job.preset.name}  {job.preset.licence}"),
        ("device", environment.device_name(job.device)),
        ("time", f"about {format_duration(seconds)}"),
    )
    return Result(primary=(path,), rows=rows, data=document)


def _measure(job: InvertJob, head: HeadCrop) -> tuple[MaskSource, float]:
    """How the head is separated from the background, and the seconds of the whole job."""
    few = dataclasses.replace(job.config, coarse_steps=1, steps=2, raw_share=0.5)
    inverter = dataclasses.replace(job, config=few).load()
    started = time.perf_counter()
    prepared = inverter.prepare(head.pixels, head.alpha, head.camera)
    target, nearest = prepared.target, None
    if is_foreign(job, head, prepared.mask_source):
        inverter.config = few.for_photograph(camera_known=head.camera is not None)
        target, nearest = aimed(inverter, head, target)
    initial = inverter.initialise(target, head.camera, nearest)
    marks = [time.perf_counter()]
    inverter.project(target, initial, lambda _step: marks.append(time.perf_counter()))
    first, raw, whole = np.diff(marks)[:3].tolist()
    raw_steps = round(job.config.steps * job.config.raw_share)
    seconds = marks[0] - started + job.config.coarse_steps * first
    seconds += raw_steps * raw + (job.config.steps - raw_steps) * whole
    if job.pivotal is not None:
        seconds += 2 * job.pivotal.steps * whole  # two views a step
    return prepared.mask_source, seconds
