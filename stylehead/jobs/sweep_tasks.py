"""What the workers of a sweep do: train a run to its end, or find out what a run costs."""

import time
from pathlib import Path
from typing import Any

from stylehead.errors import JobError
from stylehead.export import showcase
from stylehead.export.showcase import Showcase
from stylehead.folders import is_held
from stylehead.jobs import environment
from stylehead.jobs.arguments import StylizeArguments
from stylehead.jobs.banking import time_edits
from stylehead.jobs.disk import finished_bytes, running_bytes
from stylehead.jobs.dry_run import estimated, measure
from stylehead.jobs.engines import gpu_memory
from stylehead.jobs.finishing import finish_run
from stylehead.jobs.inventory import Inventory
from stylehead.jobs.needs import list_needs
from stylehead.jobs.report import Silent
from stylehead.jobs.stylize import open_job, stylizer_of
from stylehead.jobs.training import Job
from stylehead.methods import Stylizer
from stylehead.methods.config import StylizeConfig
from stylehead.runs import MANIFEST, RunDirectory
from stylehead.weights.presets import find_preset

_PATIENCE_S = 600.0


def train_planned(
    *, settings: dict[str, Any], folder: str, device: str, keep_checkpoints: int, command: str
) -> dict[str, Any]:
    """Train a run to its end, wherever it is now.

    Args:
        settings: Its settings.
        folder: Its folder, which may hold a part of it.
        device: Where to compute.
        keep_checkpoints: How many stay.
        command: How the sweep was asked for.

    Returns:
        `steps` that are done, and `seconds`.

    Raises:
        StoppedError: The worker was asked to stop; a checkpoint is there.
        StyleheadError: The run failed; its manifest says so.
    """
    path = Path(folder)
    _wait_until_free(path)
    arguments = StylizeArguments(device=device, keep_checkpoints=keep_checkpoints)
    config = StylizeConfig.from_dict(settings)
    job = open_job(config, arguments, Silent(), preset=config.preset)
    if not _ended(path, job.config):
        finish_run(job, path, Silent(), command=command)
    manifest = RunDirectory.open(path).manifest()
    return {"steps": manifest.get("steps"), "seconds": manifest.get("seconds")}


def _wait_until_free(path: Path) -> None:
    """Wait for a worker of an earlier, killed driver: it stops after the step that it is in."""
    end = time.monotonic() + _PATIENCE_S
    while path.is_dir() and is_held(path):
        if time.monotonic() > end:
            raise JobError(f"Another process is working on {path}.", "wait until it is done")
        time.sleep(0.2)


def _ended(path: Path, config: StylizeConfig) -> bool:
    """Whether a run was finished meanwhile: a worker may die after its last step."""
    if not (path / MANIFEST).is_file():
        return False
    manifest = RunDirectory.open(path).manifest()
    settings = manifest.get("config", {})
    return manifest.get("outcome") == "finished" and settings.get("iterations") == config.iterations


def cost(*, settings: dict[str, Any], device: str, keep_checkpoints: int) -> dict[str, Any]:
    """Find out what a run costs: measured where models are small, else estimated.

    Returns:
        `seconds`, `memory_bytes` (of the device that computes), `main_memory_bytes` (0 if unknown),
        `gpu_bytes` (memory of the GPU that computes, 0 without one), `running_bytes` on the disk and
        `disk_bytes` when it is finished, and whether it was `measured`.
    """
    config = StylizeConfig.from_dict(settings)
    preset = find_preset(config.preset).preset
    chosen = environment.choose_device(device)
    job = Job(config, preset, chosen, keep_checkpoints)
    if preset.teacher_entry is not None or config.source("diffusion") is not None:
        return _estimated_cost(list_needs(config, preset), chosen, keep_checkpoints)
    start = time.perf_counter()
    stylizer = stylizer_of(job)
    loading = time.perf_counter() - start
    stylizer.method.rehearse(stylizer.reference)
    pictures = _pictures_seconds(stylizer)
    measured, edits = measure(job, stylizer), time_edits(stylizer, job.needs, chosen)
    seconds = measured.training_seconds + (0 if edits is None else edits.seconds_per_person * edits.people)
    memory = measured.peak_memory_bytes
    return {
        "seconds": loading + pictures + seconds,
        "memory_bytes": memory.get("gpu", memory.get("process", 0)),
        "main_memory_bytes": memory.get("process", 0),
        "gpu_bytes": _gpu_bytes(chosen),
        **_disk(measured.style_bytes, keep_checkpoints),
        "measured": True,
    }


def _estimated_cost(needs: Inventory, device: str, keep_checkpoints: int) -> dict[str, Any]:
    found = estimated(needs, device)
    assert found.seconds is not None, "rates were measured"
    return {
        "seconds": found.seconds * needs.config.iterations,
        "memory_bytes": found.total_bytes,
        "main_memory_bytes": 0 if device.startswith("cuda") else found.total_bytes,
        "gpu_bytes": _gpu_bytes(device),
        **_disk(found.estimate.optimizer // 4, keep_checkpoints),
        "measured": False,
    }


def _gpu_bytes(device: str) -> int:
    """Return the memory of the GPU that a task has: engines show it no other one."""
    return gpu_memory() if device.startswith("cuda") else 0


def _pictures_seconds(stylizer: Stylizer) -> float:
    """Time a preview, and say how long all pictures of a run take: previews, sheet and film."""
    shown, config = Showcase(stylizer.reference, psi=stylizer.config.psi, title=""), stylizer.config
    start = time.perf_counter()
    shown.preview(stylizer.generator, step=0)
    preview = len(showcase.PREVIEW_SEEDS) * len(showcase.PREVIEW_YAWS_DEG)
    per_view = (time.perf_counter() - start) / (2 * preview)
    previews = 2 + config.iterations // config.preview_every if config.preview_every else 0
    sheet = len(showcase.SHEET_SEEDS) * len(showcase.SHEET_YAWS_DEG)
    return per_view * (previews * preview + 2 * (sheet + showcase.TURNTABLE_STEPS))


def _disk(style_bytes: int, keep: int) -> dict[str, int]:
    return {
        "disk_bytes": finished_bytes(style_bytes, keep),
        "running_bytes": running_bytes(style_bytes, keep),
    }
