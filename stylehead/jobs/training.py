"""Training in a run directory: events, checkpoints and previews on the way, the results at the end."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from stylehead.checkpoints import Checkpoint
from stylehead.errors import JobError, quoted
from stylehead.export.card import model_card
from stylehead.export.recipe import save_image
from stylehead.export.run_page import PAGE, write_page
from stylehead.export.showcase import Showcase
from stylehead.export.small_style import set_changes, small_changes
from stylehead.export.video import write_mp4
from stylehead.files import atomic_write, write_json
from stylehead.generator import Style, load_style, save_style
from stylehead.jobs import environment
from stylehead.jobs.banking import is_refreshed, licences_of, supply_edits
from stylehead.jobs.disk import KEPT_CHECKPOINTS
from stylehead.jobs.failures import StoppedError
from stylehead.jobs.inventory import Inventory
from stylehead.jobs.job import followed, named, style_header
from stylehead.jobs.needs import list_needs
from stylehead.jobs.report import Report
from stylehead.jobs.signals import StopRequest
from stylehead.jobs.trackers import Tracker, TrackerName
from stylehead.methods import StepRecord, Stylizer
from stylehead.methods.config import StylizeConfig
from stylehead.methods.parallel import Crew, join_crew
from stylehead.runs import RunDirectory
from stylehead.weights.presets import Preset

STYLE = "style.safetensors"
CONFIG = "config.json"
SHEET = "contact_sheet.jpg"
TURNTABLE = "turntable.mp4"
CARD = "README.md"
PREVIEWS = "previews"
GROWTH = "training.mp4"
EARLY = (5, 10, 20, 35)
"""Steps after which a preview is drawn, beside every `preview_every`th: first steps change most."""
GROWTH_FPS = 4
"""Previews a second of the film of a training."""


@dataclass(frozen=True)
class Job:
    """What to train, on what, and how many checkpoints to keep."""

    config: StylizeConfig
    preset: Preset
    device: str
    keep_checkpoints: int
    log_with: TrackerName | None = None

    @functools.cached_property
    def needs(self) -> Inventory:
        """Return the weights that it reads, all of which are here.

        Raises:
            StyleheadError: They are not: the first problem.
        """
        return list_needs(self.config, self.preset).require()

    @functools.cached_property
    def licence(self) -> str:
        """Return the terms of what the job makes."""
        editors = [f"{name}: {terms}" for name, terms in licences_of(self.config).items()]
        return "; ".join([self.needs.licence(), *editors])


@dataclass(frozen=True)
class StylizeRun:
    """A finished run."""

    folder: Path
    """Its folder."""
    style: Path
    """The style file."""
    contact_sheet: Path
    """Heads from several sides, before and after."""
    turntable: Path
    """A film."""
    card: Path
    """The model card."""
    page: Path
    """Curves, previews and settings."""

    @property
    def history(self) -> list[dict[str, Any]]:
        """Return what every step logged, the first step first."""
        return RunDirectory(self.folder).events()

    @property
    def manifest(self) -> dict[str, Any]:
        """Return everything that is known of the run."""
        return RunDirectory(self.folder).manifest()

    @classmethod
    def at(cls, folder: Path) -> "StylizeRun":
        """Return the run in a folder."""
        return cls(folder, folder / STYLE, folder / SHEET, folder / TURNTABLE, folder / CARD, folder / PAGE)

    def files(self) -> dict[str, Path]:
        """Return its results by role."""
        names = ("style", "contact_sheet", "turntable", "card", "page")
        return {name: getattr(self, name) for name in names}


_NO_OPTIMISER_NOTE = (
    "A finished run keeps no optimiser: this one goes on from its style file, with a new one. "
    "`--keep-checkpoints 1` keeps it."
)
_WIDENED_NOTE = (
    "A gradient went beyond the range of half precision: the generator computes in single precision from "
    "here on, which takes more time and memory. `--generator-precision fp32` does so from the start."
)
_MOVED_NOTE = (
    "The checkpoint is from another kind of device: the noise is drawn anew from here on, so the result is "
    "as good as, but not bit for bit that of a run that never stopped."
)


class Training:
    """Runs a job in its directory.

    Args:
        job: What to train.
        stylizer: Its models.
        run: Its directory, locked by the caller.
        report: Where progress goes.
    """

    def __init__(self, job: Job, stylizer: Stylizer, run: RunDirectory, report: Report) -> None:
        self._job, self._stylizer, self._run, self._report = job, stylizer, run, report
        self._showcase = Showcase(stylizer.reference, psi=job.config.psi, title=job.config.prompt)
        self._saved: int | None = None
        self._tracker: Tracker | None = None
        self._seconds: float = run.manifest().get("seconds", 0.0)

    def resume(self) -> int:
        """Load the last complete checkpoint, if there is one, and drop the events after it.

        Returns:
            The step from which the run goes on.

        Raises:
            UsageError: The run was started with other settings.
            JobError: The run was started from another generator.
        """
        if self._run.manifest().get("generator") != self._stylizer.reference.fingerprint():
            raise JobError(f"{self._run.path} was started from another generator than this one.")
        found = self._run.saved.newest(self._report.warn)
        if found is not None:
            checkpoint, weights, state = found
            self._restore(checkpoint, {**state, "weights": weights})
        elif self._run.manifest().get("outcome") == "finished":
            self._go_on_from(load_style(self._run.path / STYLE))
        self._run.rewind_events(self._stylizer.iteration)
        return self._stylizer.iteration

    def _restore(self, checkpoint: Checkpoint, state: dict[str, Any]) -> None:
        try:
            self._stylizer.load_state_dict(state)
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise JobError(f"{checkpoint.path} does not fit this run: {error}.") from error
        if self._stylizer.moved:
            self._report.note(_MOVED_NOTE)
        self._saved = checkpoint.step

    def _go_on_from(self, style: Style) -> None:
        """Take the trained weights from the style file of a run that kept no checkpoint."""
        before = self._stylizer.reference.state_dict()
        changed = {name: style.trained(name, before[name]) for name in style.changed}
        steps = self._run.manifest().get("steps", 0)
        self._stylizer.start_from({**style.tensors, **changed}, iteration=steps)
        self._report.note(_NO_OPTIMISER_NOTE)
        self._saved = steps

    def execute(self) -> StylizeRun:
        """Train to the end and write the results.

        Raises:
            StoppedError: The user pressed Ctrl-C; a checkpoint is there.
            StyleheadError: The job failed; `run.json` says so.
        """
        job = self._job
        facts = {"config": job.config.to_dict(), "keep_checkpoints": job.keep_checkpoints}
        with followed(self._run, facts, job.device) as end:
            self._supply()
            tell_followers(self._stylizer)
            self._train_logged()
            with self._stylizer.averaged():
                results = self._write_results()
            end |= {"files": named(results.files()), "seconds": round(self._seconds, 1)}
            self._run.saved.prune(max(job.keep_checkpoints, 1))  # first: nobody takes up a finished run
        write_page(self._run)
        done = self._stylizer.iteration >= job.config.iterations or self._stylizer.stalled
        self._run.saved.prune(max(job.keep_checkpoints, 0 if done else 1))
        return results

    # ---------------------------------------------------------------------------------------------- training

    def _supply(self) -> None:
        """Give the method the edits of its bank, as they are at this iteration."""
        job = self._job
        supply_edits(self._stylizer, job.needs, self._run.path, job.device, self._report)

    def _train_logged(self) -> None:
        """Train, and keep the page of the run, and a tracker if one was asked for."""
        name, config = self._job.log_with, self._job.config
        tracker = None if name is None else Tracker.start(name, self._run.path, config.to_dict())
        self._tracker = tracker
        try:
            self._train()
        finally:
            write_page(self._run)
            if tracker is not None:
                tracker.close()

    def _train(self) -> None:
        total, done = self._job.config.iterations, self._stylizer.iteration
        (self._run.path / PREVIEWS).mkdir(exist_ok=True)
        stopping = False
        stop = StopRequest(lambda: self._report.note("Stopping after this step; Ctrl-C again stops at once."))
        with stop, self._report.progress(total=total, done=done, label=self._job.config.prompt) as shown:
            preview = self._preview() if done == 0 and self._job.config.preview_every else None
            for record in self._stylizer:
                self._run.log(event := _event(record))
                if self._tracker is not None:
                    self._tracker.log(event)
                preview = self._after(record) or preview
                shown.update(record.iteration, values=_headline(record), preview=preview)
                stopping = self._stylizer.crew.any(stop.asked)
                if stopping:
                    break
                if is_refreshed(self._job.config, record.iteration):
                    self._supply()
                    tell_edits(self._stylizer)
        if self._stylizer.iteration > done:
            self._checkpoint()
        budget, step = self._job.config.time_budget_minutes, self._stylizer.iteration
        if budget is not None and not stopping and step < total and not self._stylizer.stalled:
            self._report.warn(f"The time budget of {budget:g} minutes ran out after step {step} of {total}.")
        if self._stylizer.stalled and step < total:
            self._report.note(f"Nothing improved any more: done after step {step} of {total}.")
        if stopping and step < total and not self._stylizer.stalled:
            raise StoppedError(
                f"Stopped after step {self._stylizer.iteration} of {total}; the checkpoint is saved.",
                f"stylehead stylize --resume {quoted(self._run.path)}",
            )

    def _after(self, record: StepRecord) -> Path | None:
        """Write what is due after a step; the path of a new preview."""
        config, step = self._job.config, record.iteration
        self._seconds = record.elapsed_s
        if self._stylizer.widened_at == step:
            self._report.note(_WIDENED_NOTE)
        # first: a run that goes on from this step draws it no more
        preview = self._preview() if preview_due(step, config.preview_every, config.iterations) else None
        if config.checkpoint_every and step % config.checkpoint_every == 0:
            self._checkpoint()
        return preview

    def _checkpoint(self) -> None:
        step = self._stylizer.iteration
        if step == self._saved:
            return
        state = self._stylizer.state_dict()
        weights = state.pop("weights")
        self._run.save_checkpoint(
            step, weights, state, keep=max(self._job.keep_checkpoints, KEPT_CHECKPOINTS)
        )
        self._run.update({"steps": step, **self._measured()})
        self._saved = step

    def _preview(self) -> Path:
        step = self._stylizer.iteration
        path = self._run.path / PREVIEWS / f"step_{step:06d}.jpg"
        with self._stylizer.averaged():
            picture = self._showcase.preview(self._stylizer.generator, step=step)
        save_image(path, picture, {**self._recipe(), "step": step})
        write_page(self._run)
        return path.relative_to(self._run.path)

    # ----------------------------------------------------------------------------------------------- results

    def _write_results(self) -> StylizeRun:
        self._report.note("Drawing the contact sheet and the turntable.")
        results, generator = StylizeRun.at(self._run.path), self._stylizer.generator
        self._save_style(results.style)
        self._write_config(self._run.path / CONFIG)
        save_image(results.contact_sheet, self._showcase.contact_sheet(generator), self._recipe())
        write_mp4(results.turntable, self._showcase.turntable(generator), self._recipe())
        atomic_write(results.card, self._card())
        film_of_training(self._run.path, self._recipe())
        return results

    def _save_style(self, path: Path) -> None:
        """Write the style, and let the generator draw what was written."""
        generator, reference = self._stylizer.generator, self._stylizer.reference
        changes = None if self._job.config.full_style else small_changes(generator, reference)
        save_style(path, generator, reference, self._style_metadata(), changes)
        set_changes(generator, reference.state_dict(), changes or {})

    def _write_config(self, path: Path) -> None:
        generator = self._stylizer.generator.config.to_dict()
        preset = self._job.preset.name
        write_json(path, {"preset": preset, "stylize": self._job.config.to_dict(), "generator": generator})

    def _card(self) -> str:
        return model_card(
            self._job.config,
            name=str(self._run.path),
            steps=self._stylizer.iteration,
            preset=self._job.preset.name,
            licence=self._job.licence,
        )

    def _recipe(self) -> dict[str, Any]:
        """What pictures remember."""
        return {"command": "stylize", **self._facts()}

    def _style_metadata(self) -> dict[str, str]:
        return style_header({**self._facts(), "licence": self._job.licence})

    def _facts(self) -> dict[str, Any]:
        config = self._job.config
        return {
            "prompt": config.prompt,
            "method": config.method,
            "seed": config.seed,
            "iterations": self._stylizer.iteration,
            "preset": self._job.preset.name,
        }

    def _measured(self) -> dict[str, Any]:
        memory = environment.peak_memory(self._job.device)
        return {"seconds": round(self._seconds, 1), "peak_memory_bytes": memory}


def preview_due(step: int, every: int, total: int) -> bool:
    """Whether a preview is drawn after a step: early, then at every so many, and at the end."""
    return bool(every) and (step % every == 0 or step == total or step in EARLY)


def film_of_training(folder: Path, recipe: dict[str, Any]) -> None:
    """Write the previews of a run as a film, the last one held; nothing where there are fewer than two."""
    paths = sorted((folder / PREVIEWS).glob("step_*.jpg"))
    pictures = []
    for path in paths:
        with Image.open(path) as picture:
            pictures.append(np.asarray(picture.convert("RGB")))
    shapes = {picture.shape for picture in pictures}
    if len(pictures) < 2 or len(shapes) > 1:
        return
    frames = np.stack([*pictures, *[pictures[-1]] * GROWTH_FPS])
    write_mp4(folder / GROWTH, frames, recipe, fps=GROWTH_FPS)


def _event(record: StepRecord) -> dict[str, Any]:
    fields = record.to_dict()
    return {"step": fields.pop("iteration"), **fields}


def _headline(record: StepRecord) -> dict[str, float]:
    """The numbers worth watching: the sum of the regularisers, and the size of the score's gradient."""
    shown = {"loss": sum(record.losses.values())} if record.losses else {}
    return shown | {"score": max(record.gradient_rms.values())} if record.gradient_rms else shown


# ------------------------------------------------------------------------------------- several processes


def lead(job: Job) -> Crew:
    """Meet the other processes, if there are any, and tell them what is trained.

    Raises:
        UsageError: The settings are not for several processes.
        JobError: The others do not come.
    """
    crew = join_crew(job.config, job.device)
    crew.told({"config": job.config.to_dict(), "preset": job.preset.name})
    return crew


def tell_followers(stylizer: Stylizer) -> None:
    """Tell the others where the run stands, and what its method learns from beside networks."""
    if stylizer.crew.size > 1:
        stylizer.crew.told(stylizer.state_dict() if stylizer.iteration else None)
        tell_edits(stylizer)


def tell_edits(stylizer: Stylizer) -> None:
    """Tell the others the edits of the coming steps."""
    stylizer.crew.told(stylizer.method.edits)
