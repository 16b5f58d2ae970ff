"""Training for the table: a missing run is made, a stopped one goes on, a finished one is left alone."""

import shlex
import sys

from stylehead.cli.errors import StoppedError
from stylehead.cli.eval_plan import Wanted
from stylehead.cli.output import Output
from stylehead.cli.training import Job, Training, first_manifest, load_stylizer
from stylehead.runs import RunDirectory, check_free
from stylehead.weights.presets import Preset

KEEP_CHECKPOINTS = 1


def train(wanted: Wanted, weights: Preset, device: str, output: Output) -> None:
    """Train a row of the table to its end.

    Args:
        wanted: In the state `missing` or `stopped`.
        weights: The preset.
        device: Where to compute.
        output: For progress.

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
        training = Training(job, stylizer, run, output)
        if wanted.state == "stopped":
            output.note(f"It goes on from step {training.resume()}.")
        try:
            training.execute()
        except StoppedError as stopped:
            raise StoppedError(stopped.message, f"{command}   (goes on from here)") from stopped
