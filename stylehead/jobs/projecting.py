"""Inverting in a run directory: latent, camera and tuning, with events and previews on the way."""

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from stylehead.errors import JobError, quoted
from stylehead.export.recipe import save_image
from stylehead.export.sheet import SheetRow, contact_sheet
from stylehead.export.views import render_views
from stylehead.generator import PanoHead, save_style
from stylehead.generator.checkpoint import read_config
from stylehead.images import Pixels, to_pixels
from stylehead.inversion import (
    Guess,
    ImageSimilarity,
    InversionConfig,
    Inverter,
    PivotalConfig,
    ProjectedHead,
    ProjectionStep,
    Quality,
    TargetImage,
    assess,
    read_camera,
    save_latent,
    tune,
)
from stylehead.inversion.centerface import CenterFace, installed_file
from stylehead.inversion.likely import LikelyPeople
from stylehead.inversion.likeness import LikenessJudge
from stylehead.inversion.masks import MaskSource
from stylehead.inversion.quality import without_face
from stylehead.jobs import environment
from stylehead.jobs.arguments import InvertArguments
from stylehead.jobs.checks import least_likeness
from stylehead.jobs.cropping import HeadCrop
from stylehead.jobs.failures import StoppedError
from stylehead.jobs.job import followed, named, style_header
from stylehead.jobs.named_heads import latent_head
from stylehead.jobs.report import ProgressView, Report
from stylehead.jobs.signals import StopRequest
from stylehead.runs import RunDirectory
from stylehead.weights import presets
from stylehead.weights.presets import Preset

JOB = "invert"
LATENT, PERSONAL, SHEET = "latent.npz", "personal.safetensors", "contact_sheet.jpg"
ALIGNED, PREVIEWS = "aligned.png", "previews"
FACES = "faces.jpg"
PREVIEW_EVERY = 20
SHEET_YAWS_DEG = (-90.0, -30.0, 30.0, 90.0, 180.0)
_MINI_NOTE = (
    "The embedded generator knows procedural heads only: for a photograph it finds the nearest of those, "
    "not a likeness."
)

_PLAIN_NOTE = (
    "Heads are found as they are without a style: for the person behind a picture in a style, "
    "give a picture from before it."
)
_STALE_NOTE = (
    "The first guess beside the generator was fitted to other encoders and is left aside: "
    "python -m stylehead.world guess fits it again."
)
_STALE_JUDGE_NOTE = (
    "What counts as a likeness was not measured for this generator and judge: "
    "python -m stylehead.world likeness does it."
)


@dataclass(frozen=True)
class InvertRun:
    """A finished run."""

    folder: Path
    """Its folder."""
    latent: Path
    """The head: a latent file, with its camera."""
    contact_sheet: Path
    """Photograph, inverted head, other sides."""
    aligned: Path
    """The crop."""
    personal: Path | None
    """The style file of the tuned generator, if there is one."""
    faces: Path | None = None
    """The picture with its faces numbered, where there were several."""

    @property
    def manifest(self) -> dict[str, Any]:
        """Return everything that is known of the run."""
        return RunDirectory(self.folder).manifest()

    @property
    def quality(self) -> dict[str, Any]:
        """Return how good the likeness is, and the camera that was found."""
        return dict(self.manifest["quality"])

    def missed(self, fail_under: str | None) -> str | None:
        """Say how it fails a limit of `--fail-under`, or return None when it does not."""
        if fail_under is None:
            return None
        quality, least = self.quality, least_likeness(fail_under)
        reached = quality["identity"] if quality["face"] is None else quality["face"]
        if least is None:
            return None if quality["likeness"] else "It is not a likeness."
        if reached is None:
            return "The likeness could not be measured."
        return None if reached >= least else f"The likeness is {reached:.4g}, under {least:g}."

    def files(self) -> dict[str, Path]:
        """Return its results by role."""
        every = {
            "latent": self.latent,
            "contact_sheet": self.contact_sheet,
            "aligned": self.aligned,
            "personal": self.personal,
            "faces": self.faces,
        }
        return {role: path for role, path in every.items() if path is not None}


@dataclass(frozen=True)
class InvertJob:
    """What to do with which weights."""

    config: InversionConfig
    pivotal: PivotalConfig | None
    preset: Preset
    device: str

    @classmethod
    def of(cls, arguments: InvertArguments, preset: Preset) -> "InvertJob":
        """Turn what was asked for into a job."""
        config = InversionConfig(
            steps=arguments.steps,
            starts=arguments.starts,
            identity_weight=arguments.identity_weight,
            latent_weight=arguments.latent_weight,
            seed=arguments.seed,
        )
        return cls(config, pivotal_of(arguments), preset, environment.choose_device(arguments.device))

    def resolution(self) -> int:
        """Return the edge of the generator's pictures, read from its header."""
        return read_config(self.preset.require_generator()).img_resolution

    def load(self) -> Inverter:
        """Load the generator and what compares pictures: the preset's networks, else the embedded ones."""
        generator = PanoHead.load(self.preset.require_generator(), self.device)
        folder = self.preset.generator.parent
        own = self.preset.companion("faces") is not None
        similarity = ImageSimilarity.load(folder if own else presets.MINI_WEIGHTS, self.device)
        if not own:  # the embedded identity encoder knows the embedded world only
            similarity = dataclasses.replace(similarity, identity=None)
        path = self.preset.companion("guess")
        guess = None if path is None else Guess.load(path, self.device)
        reads = self.preset.companion("attributes") is not None
        likely = LikelyPeople.load(folder, self.device) if reads else None
        return Inverter(generator, similarity, guess, likely=likely, config=self.config)

    def recipe(self, photo: Path | str) -> dict[str, Any]:
        """Return how its pictures are made, for their metadata."""
        return {
            "command": JOB,
            "photo": Path(photo).name,
            "preset": self.preset.name,
            "licence": self.preset.licence,
            "steps": self.config.steps,
            "seed": self.config.seed,
        }

    def judge(self, generator: PanoHead) -> LikenessJudge | None:
        """Load what says whether a head is a likeness; None where the preset's heads have no such encoder."""
        if self.preset.companion("faces") is None:
            return None
        return LikenessJudge.load(self.preset.generator.parent, generator.fingerprint(), self.device)


def is_foreign(job: InvertJob, head: HeadCrop, source: MaskSource) -> bool:
    """Whether a photograph meets embedded models: they know no such picture; the nearest head is found."""
    photograph = head.kind == "photograph" or (source == "cut out" and head.kind != "render")
    return photograph and job.preset.vocabulary is not None


def aimed(inverter: Inverter, head: HeadCrop, target: TargetImage) -> tuple[TargetImage, torch.Tensor | None]:
    """What the projection of a foreign picture is to come near to, and from whom (coordinates [1, A])."""
    known = None if head.frame is None else head.frame.inside(target.image.shape[-1])
    nearest = inverter.nearest(head.pixels, head.camera, known)
    return inverter.aim(target, head.camera, known, nearest), nearest


def write_crop(folder: Path, head: HeadCrop, recipe: dict[str, Any]) -> None:
    """Write what an inversion goes on from: the crop as a PNG, with its alpha when the picture had any.

    Beside it comes the picture that numbers the faces, where there were several.
    """
    pixels = head.pixels
    if head.alpha is not None:
        pixels = np.concatenate([pixels, head.alpha[..., None]], axis=2)
    save_image(folder / ALIGNED, pixels, recipe)
    if head.faces is not None:
        save_image(folder / FACES, head.faces, recipe)


def pivotal_of(arguments: InvertArguments) -> PivotalConfig | None:
    """Return the settings of the tuning that was asked for, if any."""
    return PivotalConfig(steps=arguments.pti_steps, seed=arguments.seed) if arguments.pti else None


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
        self._nearest = False

    def execute(self) -> InvertRun:
        """Invert and write the results.

        Raises:
            StoppedError: The user pressed Ctrl-C.
            StyleheadError: The job failed; `run.json` says so.
        """
        started = time.monotonic()
        pivotal = None if self._job.pivotal is None else dataclasses.asdict(self._job.pivotal)
        with followed(self._run, {"pivotal": pivotal}, self._job.device) as end:
            results, quality = self._invert()
            end |= {"files": named(results.files()), "quality": quality._asdict()}
            end["seconds"] = round(time.monotonic() - started, 1)
        return results

    def _invert(self) -> tuple[InvertRun, Quality]:
        if self._job.preset.companion("guess") is not None and not self._inverter.guess_fits:
            self._report.note(_STALE_NOTE)
        done = (self._run.path / LATENT).is_file()
        self._run.keep_events(lambda event: done and event.get("stage") == "project")
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
        similarity, judge = self._inverter.similarity, self._job.judge(self._inverter.generator)
        if judge is not None and not judge.fits:
            self._report.note(_STALE_JUDGE_NOTE)
        quality, image = assess(generator, found, target, similarity=similarity, coords=coords, judge=judge)
        if self._head.likeness is not None:
            quality = self._head.likeness(quality, to_pixels(image)[0])
        elif self._head.kind == "aligned" and installed_file() is not None:  # nobody looked for a face there
            quality = without_face(quality, CenterFace.load(), self._head.pixels)
        if self._head.kind == "aligned" and quality.likeness is False:
            self._report.note(_PLAIN_NOTE)
        folder = self._run.path
        self._draw_sheet(generator, found, image)
        faces = folder / FACES if (folder / FACES).is_file() else None
        return InvertRun(folder, folder / LATENT, folder / SHEET, folder / ALIGNED, personal, faces), quality

    # ------------------------------------------------------------------------------------------------- steps

    def _target(self) -> TargetImage:
        prepared = self._inverter.prepare(self._head.pixels, self._head.alpha, self._head.camera)
        self._run.update({"mask": prepared.mask_source})
        if prepared.mask_source == "cut out":
            self._report.note("The background is not plain: the head is cut out by its colours, roughly.")
        self._nearest = is_foreign(self._job, self._head, prepared.mask_source)
        if self._nearest:
            self._report.warn(_MINI_NOTE)
            known = self._head.camera is not None
            self._inverter.config = self._job.config.for_photograph(camera_known=known)
        return prepared.target

    def _project(self, target: TargetImage, stop: StopRequest) -> ProjectedHead:
        people = self._inverter.config.people
        self._report.note("Reading who it shows." if people else "Searching poses.")
        nearest = None
        if self._nearest:
            target, nearest = aimed(self._inverter, self._head, target)
        initial = self._inverter.initialise(target, self._head.camera, nearest)
        total = self._job.config.coarse_steps + self._job.config.steps
        with self._report.progress(total=total, label="Inverting") as shown:

            def on_step(step: ProjectionStep) -> None:
                self._after(shown, f"project_{step.number:04d}", step.number, step.terms, step.image)
                if stop.asked and step.number < step.total:
                    self._stopped(step.number, step.total)

            found = self._inverter.project(target, initial, on_step)
        save_latent(self._run.path / LATENT, found.ws, found.camera_label)
        self._run.update({"steps": total})
        return found

    def _found_before(self) -> ProjectedHead | None:
        """The head of an earlier session, if it was found."""
        path = self._run.path / LATENT
        if not path.is_file():
            return None
        label = read_camera(path)
        if label is None:
            raise JobError(f"{path} has no camera.")
        ws = latent_head(self._inverter.generator, path).ws
        return ProjectedHead(ws, label.to(ws), float("nan"))

    def _tune(
        self, found: ProjectedHead, target: TargetImage, config: PivotalConfig, stop: StopRequest
    ) -> PanoHead:
        with self._report.progress(total=config.steps, label="Tuning") as shown:

            def on_step(step: int, terms: dict[str, float], image: torch.Tensor) -> None:
                self._after(shown, f"tune_{step:04d}", step, terms, image)
                if stop.asked and step < config.steps:
                    self._stopped(step, config.steps)

            return tune(
                self._inverter.generator,
                found,
                target,
                similarity=self._inverter.similarity,
                config=config,
                on_step=on_step,
            )

    def _after(
        self, shown: ProgressView, name: str, step: int, terms: dict[str, float], image: torch.Tensor
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
            save_image(preview, pair, {**self._job.recipe(self._photo), "step": step})
            preview = preview.relative_to(self._run.path)
        shown.update(step, values={"loss": loss}, preview=preview)

    def _stopped(self, step: int, total: int) -> None:
        raise StoppedError(
            f"Stopped after step {step} of {total}; crop and camera are saved.",
            f"stylehead invert --resume {quoted(self._run.path)}",
        )

    # ----------------------------------------------------------------------------------------------- results

    def _draw_sheet(self, generator: PanoHead, found: ProjectedHead, image: torch.Tensor) -> None:
        """Photograph, inverted, five views."""
        views: Pixels = render_views(generator, found.ws, SHEET_YAWS_DEG)
        cells = np.concatenate([self._head.pixels[None], to_pixels(image), views])
        headings = ("photo", "inverted", *(f"{yaw:+.0f}°" if yaw else "0°" for yaw in SHEET_YAWS_DEG))
        sheet = contact_sheet([SheetRow("", cells)], title=Path(self._photo).name, headings=headings, split=2)
        save_image(self._run.path / SHEET, sheet, self._job.recipe(self._photo))

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
        return style_header(facts)
