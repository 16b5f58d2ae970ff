"""An inversion job: a photograph in, a run directory out, and going on after a stop."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from stylehead.errors import JobError, UsageError, quoted
from stylehead.inversion import (
    Camera,
    InversionConfig,
    PivotalConfig,
)
from stylehead.inversion.photographs import read_photo
from stylehead.jobs import environment
from stylehead.jobs.arguments import InvertArguments
from stylehead.jobs.checks import check_invert
from stylehead.jobs.cropping import CropFrame, HeadCrop, Kind, find_head
from stylehead.jobs.job import RUNS, first_facts, generator_file
from stylehead.jobs.projecting import (
    ALIGNED,
    FACES,
    JOB,
    LATENT,
    PREVIEWS,
    Inversion,
    InvertJob,
    InvertRun,
    pivotal_of,
    write_crop,
)
from stylehead.jobs.report import Report
from stylehead.runs import MANIFEST, RunDirectory, check_free, new_run_path
from stylehead.weights import presets
from stylehead.weights.store import hash_file


def invert(arguments: InvertArguments, report: Report, *, command: str) -> InvertRun:
    """Find the head of a photograph, or go on with a stopped run.

    Args:
        arguments: What was asked for.
        report: Where progress goes.
        command: How it was asked for, for the manifest.

    Raises:
        UsageError: The arguments do not go together, or the folder holds something else.
        StoppedError: The user pressed Ctrl-C.
        StyleheadError: The job failed; `run.json` says so.
    """
    check_invert(arguments)
    if arguments.resume is not None:
        return _resume(arguments, arguments.resume, report)
    photo, (job, head, path) = _photo(arguments), prepare(arguments, report)
    run = RunDirectory.create(
        path,
        inversion_manifest(job, head, photo, command),
        overwrite=arguments.overwrite,
        begin=lambda folder: write_crop(folder, head, job.recipe(photo)),
    )
    with run.lock():
        if head.faces is not None:
            report.note(f"{run.path / FACES} numbers the faces.")
        report.note(f"Run {run.path}: previews come to {run.path / PREVIEWS}.")
        return Inversion(job, head, run, report).execute()


def prepare(arguments: InvertArguments, report: Report) -> tuple[InvertJob, HeadCrop, Path]:
    """Read the picture, find the head in it, and a free folder for the run.

    Raises:
        StyleheadError: The picture, the weights or the folder cannot be used.
    """
    photo = _photo(arguments)
    picture = read_photo(photo)
    for note in picture.notes:
        report.note(note)
    path = arguments.out or new_run_path(RUNS, f"invert {photo.stem}")
    check_free(path, overwrite=arguments.overwrite)
    weights, why = presets.resolve_preset(arguments.preset)
    report.note(why)
    weights.require_generator()
    job = InvertJob.of(arguments, weights)
    return job, find_head(arguments, picture, job.resolution(), report), path


def _photo(arguments: InvertArguments) -> Path:
    if arguments.photo is None:
        raise UsageError("Which picture?", "stylehead invert photo.jpg")
    return arguments.photo


def inversion_manifest(job: InvertJob, head: HeadCrop, photo: Path, command: str) -> dict[str, Any]:
    """Return the facts of `run.json` that are known before the first step."""
    camera = head.camera
    return {
        "job": JOB,
        **first_facts(
            command,
            job.preset,
            job.device,
            licence=job.preset.licence,
            weights=[generator_file(job.preset)],
            used=[] if head.entry is None else [head.entry],
        ),
        "photo": str(photo),
        "photo_sha256": hash_file(photo).sha256,
        "face": head.face,
        "picture": head.kind,
        "frame": None if head.frame is None else head.frame.facts(),
        "start_camera": None if camera is None else camera.label[0].tolist(),
        "camera_fixed": camera is not None and camera.fixed,
        "seed": job.config.seed,
        "config": dataclasses.asdict(job.config),
    }


def _resume(arguments: InvertArguments, path: Path, report: Report) -> InvertRun:
    run = RunDirectory.open(path)
    with run.lock():
        job, head = reopen(run, arguments)
        report.note(f"Run {run.path} goes on.")
        return Inversion(job, head, run, report).execute()


def reopen(run: RunDirectory, arguments: InvertArguments) -> tuple[InvertJob, HeadCrop]:
    """Read the job of a stopped run back, or of a finished one that is to be tuned.

    Raises:
        UsageError: The run is no inversion, or is finished and nothing is to be added.
        JobError: Its files cannot be used.
    """
    manifest = run.manifest()
    if manifest.get("job") != JOB:
        raise UsageError(f"{run.path} is not an inversion.", f"stylehead info {quoted(run.path)}")
    tuned = manifest.get("pivotal") is not None
    if manifest.get("outcome") == "finished" and (tuned or not arguments.pti):
        hint = f"stylehead render --latent {quoted(run.path / LATENT)}"
        raise UsageError(
            f"{run.path} is finished.",
            hint if tuned else f"stylehead invert --resume {quoted(run.path)} --pti",
        )
    weights, _ = presets.resolve_preset(manifest["preset"])
    if [generator_file(weights)._asdict()] != manifest["weights"]:
        raise JobError(f"{run.path} was made with another generator than this one.")
    try:
        config = InversionConfig(**manifest["config"])
        stored = manifest.get("pivotal")
        pivotal = pivotal_of(arguments) or (PivotalConfig(**stored) if stored else None)
        with Image.open(run.path / ALIGNED) as picture:
            planes = np.array(picture)
        label = manifest["start_camera"]
        camera = None if label is None else Camera(torch.tensor([label]), bool(manifest["camera_fixed"]))
        frame = CropFrame.read(manifest.get("frame"))
    except (TypeError, KeyError, ValueError, OSError) as error:
        raise JobError(f"The settings in {run.path / MANIFEST} cannot be used ({error}).") from error
    alpha = planes[..., 3] if planes.shape[2] == 4 else None
    face = manifest.get("face")
    kind: Kind = manifest.get("picture") or ("aligned" if face is None else "photograph")  # 0.2.0 named none
    head = HeadCrop(planes[..., :3], alpha, camera, face, kind=kind, frame=frame)
    return InvertJob(config, pivotal, weights, environment.choose_device(arguments.device)), head
