"""What jobs that leave a run on the disk share: manifest, outcome, licences and recipe, each once."""

import contextlib
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from stylehead.jobs import environment
from stylehead.jobs.failures import StoppedError, explain
from stylehead.runs import RunDirectory
from stylehead.units import now
from stylehead.weights import Preset, WeightFile, catalogue
from stylehead.weights.store import hash_file

RUNS = Path("runs")


def first_facts(
    command: str,
    preset: Preset,
    device: str,
    *,
    licence: str,
    weights: Iterable[WeightFile],
    used: Iterable[str],
) -> dict[str, Any]:
    """Return the facts of `run.json` that are known before the first step.

    Args:
        command: The command line, or the call, that asked for the job.
        preset: Whose weights it works on.
        device: `cpu` or `cuda`.
        licence: Terms of what the job makes.
        weights: Every file that it reads, hashed.
        used: Names of the models that it uses beside the generator.
    """
    return {
        "command": command,
        "preset": preset.name,
        "licence": licence,
        "device": environment.device_name(device),
        "weights": [file._asdict() for file in weights],
        "licences_accepted": licences_accepted([preset.name, *used]),
        "versions": environment.versions(),
        "started": now(),
    }


@contextlib.contextmanager
def followed(run: RunDirectory, facts: Mapping[str, Any], device: str) -> Iterator[dict[str, Any]]:
    """Keep the outcome of a job in its manifest: running, then finished, interrupted, or failed and why.

    Args:
        run: The run, locked by the caller.
        facts: Further facts that hold from now on.
        device: Where it computes; the largest use of its memory is noted at the end.

    Yields:
        Where the job puts the facts of its end, such as `files`.

    Raises:
        StoppedError: In place of `KeyboardInterrupt`; says how to go on.
    """
    end: dict[str, Any] = {}
    run.update({"outcome": "running", "error": None, **facts})
    try:
        yield end
    except BaseException as error:
        stopped = isinstance(error, StoppedError | KeyboardInterrupt)
        failure = None if stopped else explain(error).message
        with contextlib.suppress(OSError):  # a full disk must not hide the first error
            run.update({"outcome": "interrupted" if stopped else "failed", "error": failure})
        if isinstance(error, KeyboardInterrupt):
            raise _stopped_at_once(run) from None
        raise
    memory = environment.peak_memory(device)
    run.update({"outcome": "finished", "finished": now(), "error": None, **end, "peak_memory_bytes": memory})


def _stopped_at_once(run: RunDirectory) -> StoppedError:
    """Return the error of a run that was stopped in the middle of a step, or while its results were drawn."""
    saved = run.checkpoints()
    safe = f"; the checkpoint of step {saved[-1].step} is there" if saved else ""
    job = run.manifest().get("job", "stylize")
    return StoppedError(f"Interrupted{safe}.", f"stylehead {job} --resume {shlex.quote(str(run.path))}")


def generator_file(preset: Preset) -> WeightFile:
    """Hash the generator, for a run manifest.

    Raises:
        MissingError: It is not there.
    """
    path = preset.require_generator()
    return WeightFile(f"{preset.name}/{path.name}", hash_file(path).sha256, preset.licence)


def licences_accepted(used: Iterable[str]) -> dict[str, str]:
    """Say when the user accepted the licences of what a job uses, by id; others need no acceptance."""
    dates = {name: catalogue.acceptance(name) for name in used if name in catalogue.CATALOGUE}
    return {name: date for name, date in dates.items() if date is not None}


def named(files: Mapping[str, Path | None]) -> dict[str, str]:
    """Return the names of a run's files by role, for its manifest."""
    return {role: path.name for role, path in files.items() if path is not None}


def style_header(facts: Mapping[str, object]) -> dict[str, str]:
    """Turn facts into the metadata of a style file."""
    return {f"stylehead.{key}": str(value) for key, value in facts.items()}
