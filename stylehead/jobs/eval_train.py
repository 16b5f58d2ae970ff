"""Training for the table: a missing run is made, a stopped one goes on, a finished one is left alone."""

import shlex
import sys

from stylehead.jobs.eval_plan import Wanted
from stylehead.jobs.failures import StoppedError
from stylehead.jobs.report import Report
from stylehead.jobs.stylize import Job, Training, first_manifest, load_stylizer
from stylehead.runs import RunDirectory, check_free
from stylehead.weights.presets import Preset

KEEP_CHECKPOINTS = 1


def train(wanted: Wanted, weights: Preset, device: str, report: Report) -> None:
    """Train a row of the table to its end.

    Args:
        wanted: In the state `missing` or `stopped`.
        weights: The preset.
        device: Where to compute.
        report: For progress.

    Raises:
        StoppedError: The user pressed Ctrl-C; the same command goes on.
        StyleheadError: The job failed.
    """
    assert wanted.config is not None
    assert wanted.path is not None
    command = shlex.join(["stylehead", *sys.argv[1:]])
    job = Job(wanted.config, weights, device, KEEP_CHECKPOINTS)
    if wanted.state == "missing":
        check_free(wanted.path, overwrite=False)
        stylizer = load_stylizer(job)
        run = RunDirectory.create(wanted.path, first_manifest(job, stylizer, command))
    else:
        run, stylizer = RunDirectory.open(wanted.path), load_stylizer(job)
    with run.lock():
        training = Training(job, stylizer, run, report)
        if wanted.state == "stopped":
            report.note(f"It goes on from step {training.resume()}.")
        try:
            training.execute()
        except StoppedError as stopped:
            raise StoppedError(stopped.message, f"{command}   (goes on from here)") from stopped
