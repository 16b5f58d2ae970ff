"""`stylehead invert`: from a photograph to a head that can be turned, styled and exported."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from stylehead.cli.options import THE_RUN, JsonOption, QuietOption
from stylehead.cli.output import Output, reporting
from stylehead.errors import UsageError
from stylehead.jobs.report import Result
from stylehead.jobs.requests import InvertRequest
from stylehead.runs import RunDirectory, check_free, new_run_path
from stylehead.weights.presets import PresetName, resolve_preset

if TYPE_CHECKING:
    from stylehead.jobs.invert import InvertFiles

RUNS = Path("runs")
PICTURE, SEARCH, TUNING = "Which picture", "How it is found", "Personal generator"
MOST_STEPS = 10_000

EPILOG = """
[bold]Examples[/bold]

  [cyan]stylehead invert photo.jpg[/cyan]

  [cyan]stylehead invert group.jpg --face 2 --pti[/cyan]

  [cyan]stylehead invert head.png --aligned[/cyan]   already cropped as the generator was trained on

  [cyan]stylehead invert head.png --aligned --camera 20,-5[/cyan]   from 20 degrees yaw, 5 degrees above

  [cyan]stylehead render --latent runs/invert-photo-3f9c/latent.npz --style pixar.safetensors[/cyan]

Finding a face needs insightface's models (stylehead weights fetch insightface-buffalo_l); --aligned does not.
The embedded preset knows procedural heads only: for a photograph it finds the nearest of those.
"""


def invert(  # noqa: PLR0913
    context: typer.Context,
    *,
    photo: Annotated[
        Path | None, typer.Argument(help="The picture.", metavar="PHOTO", show_default=False)
    ] = None,
    face: Annotated[
        int | None,
        typer.Option(min=1, help="Which face: 1 is the largest.", rich_help_panel=PICTURE),
    ] = None,
    aligned: Annotated[
        bool,
        typer.Option(
            "--aligned",
            help="The picture is cropped to the head already.",
            rich_help_panel=PICTURE,
            metavar="",
        ),
    ] = False,
    camera: Annotated[
        str | None,
        typer.Option(
            help="Camera of an aligned picture, kept as it is: YAW,PITCH in degrees, or a file.",
            show_default="found",
            rich_help_panel=PICTURE,
            metavar="CAMERA",
        ),
    ] = None,
    steps: Annotated[int, typer.Option(help="Steps of the head that is kept.", rich_help_panel=SEARCH)] = 80,
    starts: Annotated[
        int, typer.Option(min=1, max=64, help="Starts that are tried.", rich_help_panel=SEARCH)
    ] = 4,
    identity_weight: Annotated[
        float, typer.Option(min=0, help="Weight of the face's identity.", rich_help_panel=SEARCH)
    ] = 0.1,
    latent_weight: Annotated[
        float,
        typer.Option(
            min=0,
            help="How strongly the head is held near the mean one; more keeps unseen sides plausible.",
            rich_help_panel=SEARCH,
        ),
    ] = 0.03,
    seed: Annotated[int, typer.Option(min=0, help="Of the noise.", rich_help_panel=SEARCH)] = 0,
    pti: Annotated[
        bool,
        typer.Option(
            "--pti",
            help="Then tune a copy of the generator, and save what changed as a style file.",
            rich_help_panel=TUNING,
            metavar="",
        ),
    ] = False,
    pti_steps: Annotated[int, typer.Option(help="Steps of the tuning.", rich_help_panel=TUNING)] = 100,
    preset: Annotated[
        PresetName, typer.Option(help="Which weights to use.", rich_help_panel=THE_RUN)
    ] = "auto",
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="Where to compute.", rich_help_panel=THE_RUN)
    ] = "auto",
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the run.", show_default="runs/invert-PHOTO-XXXX", rich_help_panel=THE_RUN
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(help="Go on with this stopped run, or add --pti to it.", rich_help_panel=THE_RUN),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace the run in --out.", rich_help_panel=THE_RUN, metavar=""),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Find the face, time a few steps, write nothing.",
            rich_help_panel=THE_RUN,
            metavar="",
        ),
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Find the head of a photograph: crop, camera, latent, and how good the likeness is."""
    with reporting(as_json=as_json, quiet=quiet) as output:
        request = InvertRequest(
            photo, face, aligned, camera, steps, starts, identity_weight, latent_weight, seed, pti, pti_steps,
            preset, device, out, overwrite,
        )  # fmt: skip
        check(request)
        if resume is not None:
            _check_resume(context, resume)
            _resume(request, resume, output)
        else:
            _start(request, output, dry_run=dry_run)


def check(request: InvertRequest) -> None:
    """Check what needs no file.

    Raises:
        UsageError: Options exclude each other, or a number is out of range.
    """
    for name, value in (("--steps", request.steps), ("--pti-steps", request.pti_steps)):
        if not 1 <= value <= MOST_STEPS:
            raise UsageError(f"`{name}` (={value}) must be between 1 and {MOST_STEPS}.")
    if request.camera is not None and not request.aligned:
        raise UsageError("`--camera` is for pictures that are cropped already.", "add --aligned")
    if request.face is not None and request.aligned:
        raise UsageError("`--face` and `--aligned` exclude each other: an aligned picture shows one head.")


def _start(request: InvertRequest, output: Output, *, dry_run: bool) -> None:
    if request.photo is None:
        raise UsageError("Which picture?", "stylehead invert photo.jpg")
    from stylehead.inversion.pictures import read_photo

    picture = read_photo(request.photo)
    for note in picture.notes:
        output.note(note)
    path = request.out or new_run_path(RUNS, f"invert {request.photo.stem}")
    check_free(path, overwrite=request.overwrite)
    weights, why = resolve_preset(request.preset)
    output.note(why)
    weights.require_generator()
    from stylehead.jobs.cropping import find_head
    from stylehead.jobs.invert import Inversion, InvertJob, first_manifest

    job = InvertJob.of(request, weights)
    head = find_head(request, picture, job.resolution(), output)
    if dry_run:
        from stylehead.jobs.invert_dry_run import estimate_inversion

        output.result(estimate_inversion(job, head, path, output))
        return
    command = shlex.join(["stylehead", *sys.argv[1:]])
    manifest = first_manifest(job, head, request.photo, command)
    run = RunDirectory.create(path, manifest, overwrite=request.overwrite)
    with run.lock():
        output.note(f"Run {run.path}: previews come to {run.path / 'previews'}.")
        files = Inversion(job, head, run, output).execute()
    report(run, files, output)


def _check_resume(context: typer.Context, path: Path) -> None:
    """A run that goes on has its picture and settings already."""
    free = {"resume", "pti", "pti_steps", "device", "as_json", "quiet"}
    for name in context.params:
        source = context.get_parameter_source(name)
        if name not in free and source is not None and source.name != "DEFAULT":
            shown = "PHOTO" if name == "photo" else "--" + name.replace("_", "-")
            raise UsageError(f"`{shown}` does not go with `--resume`.", f"stylehead invert --resume {path}")


def _resume(request: InvertRequest, path: Path, output: Output) -> None:
    run = RunDirectory.open(path)
    from stylehead.jobs.invert import Inversion, reopen

    with run.lock():
        job, head = reopen(run, request)
        output.note(f"Run {run.path} goes on.")
        files = Inversion(job, head, run, output).execute()
    report(run, files, output)


def report(run: RunDirectory, files: "InvertFiles", output: Output) -> None:
    """Say what was found, how good it is, and what to do with it."""
    manifest = run.manifest()
    quality: dict[str, Any] = manifest["quality"]
    for warning in quality["warnings"]:
        output.warn(f"A poor likeness: {warning}.")
    rows: list[tuple[str, Path | str]] = [
        ("run", run.path),
        ("latent", files.latent),
        ("contact sheet", files.contact_sheet),
        ("camera", f"yaw {quality['yaw_deg']:.1f}, pitch {quality['pitch_deg']:.1f} degrees"),
        ("likeness", likeness(quality)),
    ]
    styles = ""
    if files.personal is not None:
        rows.insert(2, ("personal style", files.personal))
        styles = f" --style {shlex.quote(str(files.personal))}"
    named = {name: path for name, path in files._asdict().items() if path is not None}
    data = {"run": run.path, **named, "quality": quality, "manifest": manifest}
    output.result(Result(primary=(files.latent,), rows=tuple(rows), data=data))
    output.next(f"stylehead render --latent {shlex.quote(str(files.latent))}{styles} --yaw-steps 36")


def likeness(quality: dict[str, Any]) -> str:
    """The figures of a quality report in a few words."""
    parts = [f"outline {quality['outline']:.0%}", f"{quality['psnr_db']:.1f} dB"]
    if quality["perceptual"] is not None:
        parts.insert(0, f"perceptual distance {quality['perceptual']:.3f}")
    if quality["identity"] is not None:
        parts.insert(0, f"identity {quality['identity']:.2f}")
    if quality["face"] is not None:
        parts.insert(0, f"face {quality['face']:.2f}")
    return ", ".join(parts)
