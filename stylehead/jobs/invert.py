"""An inversion on the disk: models in, a run directory out, and everything needed to go on after a stop."""

import contextlib
import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

from stylehead.errors import JobError, UsageError
from stylehead.export.sheet import SheetRow, contact_sheet
from stylehead.export.stills import save_image
from stylehead.export.views import render_views
from stylehead.generator import PanoHead, save_style
from stylehead.generator.checkpoint import read_config
from stylehead.images import Pixels, to_pixels
from stylehead.inversion import (
    Camera,
    Found,
    Guess,
    InversionConfig,
    Inverter,
    Judge,
    PivotalConfig,
    Quality,
    Step,
    Target,
    assess,
    read_camera,
    save_latent,
    tune,
)
from stylehead.inversion.faces import MODELS as FACE_MODELS
from stylehead.inversion.guess import FILE as GUESS_FILE
from stylehead.jobs import environment
from stylehead.jobs.cropping import HeadCrop
from stylehead.jobs.failures import StoppedError, explain
from stylehead.jobs.heads import latent_head
from stylehead.jobs.report import Progress, Report
from stylehead.jobs.requests import InvertRequest
from stylehead.jobs.signals import StopRequest
from stylehead.runs import MANIFEST, RunDirectory
from stylehead.weights import catalogue, presets, store
from stylehead.weights.presets import Preset

JOB = "invert"
LATENT, PERSONAL, SHEET = "latent.npz", "personal.safetensors", "contact_sheet.jpg"
ALIGNED, PREVIEWS = "aligned.png", "previews"
PREVIEW_EVERY = 20
SHEET_YAWS_DEG = (-90.0, -30.0, 30.0, 90.0, 180.0)
_MINI_NOTE = (
    "The embedded generator knows procedural heads only: for a photograph it finds the nearest of those, "
    "not a likeness."
)

_STALE_NOTE = (
    "The first guess beside the generator was fitted to other encoders and is left aside: "
    "python -m stylehead.mini.recipes.guess fits it again."
)


class InvertFiles(NamedTuple):
    """What a finished run holds for its user."""

    latent: Path
    contact_sheet: Path
    aligned: Path
    personal: Path | None


@dataclass(frozen=True)
class InvertJob:
    """What to do with which weights."""

    config: InversionConfig
    pivotal: PivotalConfig | None
    preset: Preset
    device: str

    @classmethod
    def of(cls, request: InvertRequest, preset: Preset) -> "InvertJob":
        """Turn what was typed into a job."""
        config = InversionConfig(
            steps=request.steps,
            starts=request.starts,
            identity_weight=request.identity_weight,
            latent_weight=request.latent_weight,
            seed=request.seed,
        )
        return cls(config, _pivotal(request), preset, environment.choose_device(request.device))

    def resolution(self) -> int:
        """Edge of the generator's pictures, read from its header."""
        return read_config(self.preset.require_generator()).img_resolution

    def load(self) -> Inverter:
        """Load the generator and what compares pictures: the preset's networks, else the embedded ones."""
        generator = PanoHead.load(self.preset.require_generator(), self.device)
        folder = self.preset.generator.parent
        own = self.preset.companion("identity.safetensors") is not None
        judge = Judge.load(folder if own else presets.MINI_WEIGHTS, self.device)
        if not own:  # the embedded identity encoder knows the embedded world only
            judge = dataclasses.replace(judge, identity=None)
        path = self.preset.companion(GUESS_FILE)
        guess = None if path is None else Guess.load(path, self.device)
        return Inverter(generator, judge, guess, config=self.config)


def _pivotal(request: InvertRequest) -> PivotalConfig | None:
    return PivotalConfig(steps=request.pti_steps, seed=request.seed) if request.pti else None


def first_manifest(job: InvertJob, head: HeadCrop, photo: Path, command: str) -> dict[str, Any]:
    """The facts of `run.json` that are known before the first step."""
    camera = head.camera
    return {
        "job": JOB,
        "command": command,
        "photo": str(photo),
        "photo_sha256": store.hash_file(photo).sha256,
        "face": head.face,
        "start_camera": None if camera is None else camera.label[0].tolist(),
        "camera_fixed": camera is not None and camera.fixed,
        "seed": job.config.seed,
        "preset": job.preset.name,
        "licence": job.preset.licence,
        "device": environment.device_name(job.device),
        "weights": [weights_entry(job.preset)],
        "licences_accepted": _licences_accepted(job, head),
        "versions": environment.versions(),
        "config": dataclasses.asdict(job.config),
        "started": _now(),
    }


def weights_entry(preset: Preset) -> dict[str, str]:
    """The generator as run manifests list weights."""
    path = preset.require_generator()
    sha256 = store.hash_file(path).sha256
    return {"id": f"{preset.name}/{path.name}", "sha256": sha256, "licence": preset.licence}


def _licences_accepted(job: InvertJob, head: HeadCrop) -> dict[str, str]:
    """When the user accepted the licences of what the job uses, by id; others need no acceptance."""
    used = [job.preset.name] if head.face is None else [job.preset.name, FACE_MODELS]
    dates = {name: catalogue.acceptance(name) for name in used if name in catalogue.CATALOGUE}
    return {name: date for name, date in dates.items() if date is not None}


def reopen(run: RunDirectory, request: InvertRequest) -> tuple[InvertJob, HeadCrop]:
    """Read the job of a stopped run back, or of a finished one that is to be tuned.

    Raises:
        UsageError: The run is no inversion, or is finished and nothing is to be added.
        JobError: Its files cannot be used.
    """
    manifest = run.manifest()
    if manifest.get("job") != JOB:
        raise UsageError(f"{run.path} is not an inversion.", f"stylehead info {run.path}")
    tuned = manifest.get("pivotal") is not None
    if manifest.get("outcome") == "finished" and (tuned or not request.pti):
        hint = f"stylehead render --latent {run.path / LATENT}"
        raise UsageError(
            f"{run.path} is finished.", hint if tuned else f"stylehead invert --resume {run.path} --pti"
        )
    weights, _ = presets.resolve_preset(manifest["preset"])
    if [weights_entry(weights)] != manifest["weights"]:
        raise JobError(f"{run.path} was made with another generator than this one.")
    try:
        config = InversionConfig(**manifest["config"])
        stored = manifest.get("pivotal")
        pivotal = _pivotal(request) or (PivotalConfig(**stored) if stored else None)
        with Image.open(run.path / ALIGNED) as picture:
            planes = np.array(picture)
        label = manifest["start_camera"]
        camera = None if label is None else Camera(torch.tensor([label]), bool(manifest["camera_fixed"]))
    except (TypeError, KeyError, ValueError, OSError) as error:
        raise JobError(f"The settings in {run.path / MANIFEST} cannot be used ({error}).") from error
    alpha = planes[..., 3] if planes.shape[2] == 4 else None
    head = HeadCrop(planes[..., :3], alpha, camera, manifest.get("face"))
    return InvertJob(config, pivotal, weights, environment.choose_device(request.device)), head


class Inversion:
    """Runs a job in its directory.

    Args:
        job: What to do.
        head: The aligned picture.
        run: Its directory, locked by the caller.
        report: Where progress goes.
    """

    def __init__(self, job: InvertJob, head: HeadCrop, run: RunDirectory, report: Report) -> None:
        self._job, self._head, self._run, self._report = job, head, run, report
        self._photo = run.manifest()["photo"]
        self._inverter = job.load()

    def execute(self) -> InvertFiles:
        """Invert and write the results.

        Raises:
            StoppedError: The user pressed Ctrl-C.
            StyleheadError: The job failed; `run.json` says so.
        """
        started = time.monotonic()
        pivotal = None if self._job.pivotal is None else dataclasses.asdict(self._job.pivotal)
        self._run.update({"outcome": "running", "pivotal": pivotal})
        try:
            files, quality = self._invert()
        except BaseException as error:
            self._note_end(error)
            raise
        self._run.update(
            {
                "outcome": "finished",
                "finished": _now(),
                "files": {role: path.name for role, path in files._asdict().items() if path is not None},
                "quality": quality._asdict(),
                "seconds": round(time.monotonic() - started, 1),
                "peak_memory_bytes": environment.peak_memory(self._job.device),
            }
        )
        return files

    def _invert(self) -> tuple[InvertFiles, Quality]:
        if self._job.preset.companion(GUESS_FILE) is not None and not self._inverter.guess_fits:
            self._report.note(_STALE_NOTE)
        self._write_aligned()
        stop = StopRequest(lambda: self._report.note("Stopping; Ctrl-C again stops at once."))
        with stop:
            target = self._target()
            found = self._found_before() or self._project(target, stop)
            generator, personal = self._inverter.generator, None
            if self._job.pivotal is not None:
                generator = self._tune(found, target, self._job.pivotal, stop)
                personal = self._run.path / PERSONAL
                save_style(personal, generator, self._inverter.generator, self._style_metadata())
        coords = self._inverter.space.coords(found.ws)
        quality, image = assess(generator, found, target, judge=self._inverter.judge, coords=coords)
        if self._head.likeness is not None:
            quality = self._head.likeness(quality, to_pixels(image)[0])
        folder = self._run.path
        self._draw_sheet(generator, found, image)
        return InvertFiles(folder / LATENT, folder / SHEET, folder / ALIGNED, personal), quality

    # ------------------------------------------------------------------------------------------------- steps

    def _target(self) -> Target:
        prepared = self._inverter.prepare(self._head.pixels, self._head.alpha, self._head.camera)
        self._run.update({"mask": prepared.mask_source})
        if prepared.mask_source == "cut out":
            self._report.note("The background is not plain: the head is cut out by its colours, roughly.")
        photograph = self._head.face is not None or prepared.mask_source == "cut out"
        if photograph and self._job.preset.knows_few_styles:
            self._report.warn(_MINI_NOTE)
        return prepared.target

    def _project(self, target: Target, stop: StopRequest) -> Found:
        self._report.note("Searching poses.")
        knowns = self._inverter.knowns(target, self._head.camera)
        total = self._job.config.coarse_steps + self._job.config.steps
        with self._report.progress(total=total, label="Inverting") as shown:

            def on_step(step: Step) -> None:
                self._after(shown, f"project_{step.number:04d}", step.number, step.terms, step.image)
                if stop.asked and step.number < step.total:
                    self._stopped(step.number, step.total)

            found = self._inverter.project(target, knowns, on_step)
        save_latent(self._run.path / LATENT, found.ws, found.camera_label)
        self._run.update({"steps": total})
        return found

    def _found_before(self) -> Found | None:
        """The head of an earlier session, if it was found."""
        path = self._run.path / LATENT
        if not path.is_file():
            return None
        label = read_camera(path)
        if label is None:
            raise JobError(f"{path} has no camera.")
        ws = latent_head(self._inverter.generator, path).ws
        return Found(ws, label.to(ws), float("nan"))

    def _tune(self, found: Found, target: Target, config: PivotalConfig, stop: StopRequest) -> PanoHead:
        with self._report.progress(total=config.steps, label="Tuning") as shown:

            def on_step(step: int, terms: dict[str, float], image: torch.Tensor) -> None:
                self._after(shown, f"tune_{step:04d}", step, terms, image)
                if stop.asked and step < config.steps:
                    self._stopped(step, config.steps)

            return tune(
                self._inverter.generator,
                found,
                target,
                judge=self._inverter.judge,
                config=config,
                on_step=on_step,
            )

    def _after(
        self, shown: Progress, name: str, step: int, terms: dict[str, float], image: torch.Tensor
    ) -> None:
        """Log a step, show it, and draw a preview now and then."""
        loss = sum(terms.values())
        self._run.log({"stage": name.partition("_")[0], "step": step, "loss": loss, **terms})
        preview = None
        if step % PREVIEW_EVERY == 0 or step == 1:
            preview = self._run.path / PREVIEWS / f"{name}.jpg"
            preview.parent.mkdir(exist_ok=True)
            picture = Image.fromarray(to_pixels(image)[0]).resize(self._head.pixels.shape[:2])
            pair = np.concatenate([self._head.pixels, np.asarray(picture)], axis=1)
            save_image(preview, pair, {**self._recipe(), "step": step})
            preview = preview.relative_to(self._run.path)
        shown.update(step, values={"loss": loss}, preview=preview)

    def _stopped(self, step: int, total: int) -> None:
        raise StoppedError(
            f"Stopped after step {step} of {total}; crop and camera are saved.",
            f"stylehead invert --resume {self._run.path}",
        )

    # ----------------------------------------------------------------------------------------------- results

    def _write_aligned(self) -> None:
        """The crop as a PNG, with its alpha when the picture had any."""
        if (self._run.path / ALIGNED).is_file():
            return
        pixels = self._head.pixels
        if self._head.alpha is not None:
            pixels = np.concatenate([pixels, self._head.alpha[..., None]], axis=2)
        save_image(self._run.path / ALIGNED, pixels, self._recipe())

    def _draw_sheet(self, generator: PanoHead, found: Found, image: torch.Tensor) -> None:
        """Photograph, inverted, five views."""
        views: Pixels = render_views(generator, found.ws, SHEET_YAWS_DEG)
        cells = np.concatenate([self._head.pixels[None], to_pixels(image), views])
        headings = ("photo", "inverted", *(f"{yaw:+.0f}°" if yaw else "0°" for yaw in SHEET_YAWS_DEG))
        sheet = contact_sheet([SheetRow("", cells)], title=Path(self._photo).name, headings=headings, split=2)
        save_image(self._run.path / SHEET, sheet, self._recipe())

    def _recipe(self) -> dict[str, Any]:
        return {
            "command": JOB,
            "photo": Path(self._photo).name,
            "preset": self._job.preset.name,
            "licence": self._job.preset.licence,
            "steps": self._job.config.steps,
            "seed": self._job.config.seed,
        }

    def _style_metadata(self) -> dict[str, str]:
        assert self._job.pivotal is not None
        facts = {
            "prompt": f"personal: {Path(self._photo).name}",
            "method": "pti",
            "iterations": self._job.pivotal.steps,
            "seed": self._job.pivotal.seed,
            "preset": self._job.preset.name,
            "licence": self._job.preset.licence,
        }
        return {f"stylehead.{key}": str(value) for key, value in facts.items()}

    def _note_end(self, error: BaseException) -> None:
        stopped = isinstance(error, StoppedError | KeyboardInterrupt)
        failure = None if stopped else explain(error).message
        with contextlib.suppress(OSError):  # a full disk must not hide the first error
            self._run.update({"outcome": "interrupted" if stopped else "failed", "error": failure})


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
