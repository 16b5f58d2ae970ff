"""`--log-with`: what a run logs also goes to TensorBoard or Weights & Biases, through accelerate.

Both write into the run's folder (Weights & Biases elsewhere if `WANDB_DIR` says so). What is logged goes to
the server of Weights & Biases as well, or to none where it is set to be offline (`WANDB_MODE=offline`): the
one place where a run talks to the network, as the user has asked.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from stylehead.errors import JobError, MissingError, UsageError

TrackerName = Literal["tensorboard", "wandb"]
FOLDER = "logs"
"""Of a run: where the files of trackers go."""


class Tracker:
    """Logs the numbers of a run with one of accelerate's trackers.

    Args:
        tracker: An `accelerate.tracking.GeneralTracker` that was started.
    """

    def __init__(self, tracker: Any) -> None:
        self._tracker = tracker

    @classmethod
    def start(cls, name: TrackerName, run: Path, settings: Mapping[str, Any]) -> "Tracker":
        """Start a tracker.

        Args:
            name: Which.
            run: Folder of the run; its name is that of the logged run.
            settings: What is stored as its settings; only numbers, texts and truth values are.

        Raises:
            MissingError: Its package is not installed.
            JobError: It could not start, for example for want of an account.
        """
        check_tracker(name)
        from accelerate import PartialState
        from accelerate.tracking import TensorBoardTracker, WandBTracker

        PartialState(cpu=True)  # the trackers ask it whether this process is the one that logs
        plain = {key: value for key, value in settings.items() if isinstance(value, bool | int | float | str)}
        try:
            if name == "tensorboard":
                tracker: Any = TensorBoardTracker(run.name, run / FOLDER)
            else:
                (run / FOLDER).mkdir(exist_ok=True)
                tracker = WandBTracker(
                    "stylehead", name=run.name, dir=os.environ.get("WANDB_DIR", run / FOLDER)
                )
            tracker.start()
            tracker.store_init_configuration(plain)
        except Exception as error:  # of libraries with classes of their own
            raise JobError(f"{name} could not start: {error}.", "leave --log-with out") from error
        return cls(tracker)

    def log(self, event: Mapping[str, Any]) -> None:
        """Log the numbers of one step, as `events.jsonl` has them; groups become names with a slash."""
        step = event.get("step")
        self._tracker.log(flat(event), step=step if isinstance(step, int) else None)

    def close(self) -> None:
        """Write what is left."""
        self._tracker.finish()


def flat(event: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Numbers of nested mappings by names joined with slashes; the step and the time are left out."""
    found: dict[str, float] = {}
    for key, value in event.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            found |= flat(value, f"{name}/")
        elif isinstance(value, int | float) and not isinstance(value, bool) and name not in ("step", "time"):
            found[name] = float(value)
    return found


def check_tracker(name: str) -> None:
    """Say no to a tracker that cannot be had.

    Raises:
        UsageError: There is no such tracker.
        MissingError: Its package is not installed.
    """
    if name not in get_args(TrackerName):
        raise UsageError(f"`--log-with` (={name}) must be {' or '.join(get_args(TrackerName))}.")
    from accelerate.utils import is_tensorboard_available, is_wandb_available

    there = {"tensorboard": is_tensorboard_available, "wandb": is_wandb_available}[name]()
    if not there:
        raise MissingError(f"`--log-with {name}` needs the package {name}.", f"pip install {name}")
