"""`stylehead invert`: from a photograph to a head that can be turned, styled and exported."""

from pathlib import Path
from typing import Annotated

import typer

from stylehead.cli.invert_result import show
from stylehead.cli.options import THE_RUN, WHERE, JsonOption, QuietOption
from stylehead.cli.output import command_line, reporting
from stylehead.errors import UsageError, quoted
from stylehead.jobs.arguments import InvertArguments
from stylehead.weights.presets import PresetName

PICTURE, SEARCH, TUNING = "Which picture", "How it is found", "Personal generator"

EPILOG = """
[bold]Examples[/bold]

  [cyan]stylehead invert photo.jpg[/cyan]

  [cyan]stylehead invert group.jpg --face 2 --pti[/cyan]

  [cyan]stylehead invert head.png --aligned[/cyan]   already cropped as the generator was trained on

  [cyan]stylehead invert head.png --aligned --camera 20,-5[/cyan]   from 20 degrees yaw, 5 degrees above

  [cyan]stylehead render --latent runs/invert-me/latent.npz --style pixar.safetensors[/cyan]

Faces are found offline, by CenterFace, or better by insightface's models where their licence is accepted
(stylehead weights fetch insightface-buffalo_l). The embedded preset knows procedural heads only: for a
photograph it finds the nearest of those, and says whether that is a likeness.
"""


def invert(  # noqa: PLR0913
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
        int, typer.Option(min=1, max=64, help="Starts that are tried.", hidden=True, rich_help_panel=SEARCH)
    ] = 4,
    identity_weight: Annotated[
        float, typer.Option(min=0, help="Weight of the face's identity.", hidden=True, rich_help_panel=SEARCH)
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
    device: Annotated[str, typer.Option(help=WHERE, metavar="DEVICE", rich_help_panel=THE_RUN)] = "auto",
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
    fail_under: Annotated[
        str | None,
        typer.Option(
            help="Exit with 1 when it is not a likeness, or below this similarity.",
            rich_help_panel=THE_RUN,
            metavar="likeness|NUMBER",
        ),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Find the head of a photograph: crop, camera, latent, and how good the likeness is."""
    with reporting(as_json=as_json, quiet=quiet) as output:
        arguments = InvertArguments(
            photo=photo, face=face, aligned=aligned, camera=camera, steps=steps, starts=starts,
            identity_weight=identity_weight, latent_weight=latent_weight, seed=seed, pti=pti,
            pti_steps=pti_steps, preset=preset, device=device, out=out, resume=resume, overwrite=overwrite,
            fail_under=fail_under,
        )  # fmt: skip
        if resume is not None and dry_run:
            hint = f"stylehead invert --resume {quoted(resume)}"
            raise UsageError("`--dry-run` does not go with `--resume`.", hint)
        if dry_run:
            from stylehead.jobs.invert_dry_run import foretell_inversion

            output.result(foretell_inversion(arguments, output))
            return
        from stylehead.jobs import invert as job

        run = job.invert(arguments, output, command=command_line())
        show(run, output)
        if (missed := run.missed(fail_under)) is not None:
            output.warn(missed)
            raise typer.Exit(1)
