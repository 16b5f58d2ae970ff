"""Training a run to its end, whether it was begun or not."""

from pathlib import Path

from stylehead.jobs.failures import StoppedError
from stylehead.jobs.report import Report
from stylehead.jobs.stylize import first_manifest, stylizer_of
from stylehead.jobs.training import Job, Training
from stylehead.runs import MANIFEST, RunDirectory, check_free


def finish_run(job: Job, path: Path, report: Report, *, command: str) -> None:
    """Train a run to its end: a missing one is made, a stopped one goes on.

    Args:
        job: What to train.
        path: Folder of the run.
        report: Where progress goes.
        command: How it was asked for, which also goes on with it.

    Raises:
        StoppedError: The user pressed Ctrl-C; the same command goes on.
        StyleheadError: The job failed.
    """
    stopped = (path / MANIFEST).is_file()
    if not stopped:
        check_free(path, overwrite=False)
    stylizer = stylizer_of(job)
    run = (
        RunDirectory.open(path)
        if stopped
        else RunDirectory.create(path, first_manifest(job, stylizer, command))
    )
    with run.lock():
        training = Training(job, stylizer, run, report)
        if stopped:
            report.note(f"It goes on from step {training.resume()}.")
        try:
            training.execute()
        except StoppedError as error:
            raise StoppedError(error.message, f"{command}   (goes on from here)") from error
