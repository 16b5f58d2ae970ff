"""`stylehead eval`: how good are the styles that were trained, and how good is the method?"""

from pathlib import Path
from typing import Annotated

import typer

from stylehead.cli.options import WHERE, JsonOption, QuietOption
from stylehead.cli.output import command_line, reporting
from stylehead.jobs.arguments import YAWS, EvaluateArguments
from stylehead.jobs.checks import check_evaluate
from stylehead.weights.presets import PresetName

WHAT, TRAINED, SAMPLE, AGAINST = "What to measure", "What to train first", "On whom", "Measured by what"
WRITTEN = "What is written"

EPILOG = """
[bold]Examples[/bold]

  [cyan]stylehead eval[/cyan]     every finished run under runs

  [cyan]stylehead eval --runs runs/pixar-3f9c --fail-under id=0.6[/cyan]

  [cyan]stylehead eval --methods all --prompts paper --report report.html[/cyan]

  [cyan]stylehead eval --ablation --prompts "Pixar character" --csv ablation.csv[/cyan]

  [cyan]stylehead eval --images theirs --identities 20[/cyan]     pictures of another system

The untouched generator is the first row of every style. In the embedded world it is known how
everybody truly looks in each style; these true pictures are the last row.

Numbers come with half the width of their 95 % interval, a bootstrap over people; both ends are
in --json, --csv and --report. A dash says that something could not be measured, a note says why.

A folder of pictures names them like seed-7/yaw+030.png (frames of stylehead render are fine),
and its pictures.json holds the prompt and the method.
"""


def evaluate(  # noqa: PLR0913
    runs: Annotated[
        list[Path] | None,
        typer.Option(
            help="A run, or a folder of runs; repeatable.",
            show_default="runs",
            rich_help_panel=WHAT,
            metavar="PATH",
        ),
    ] = None,
    images: Annotated[
        list[Path] | None,
        typer.Option(
            help="A folder of pictures in place of a run; repeatable.", rich_help_panel=WHAT, metavar="FOLDER"
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what would be done.", rich_help_panel=WHAT, metavar=""),
    ] = False,
    methods: Annotated[
        str | None,
        typer.Option(
            help="Methods to compare: all, or names like ld,sds.", rich_help_panel=TRAINED, metavar="A,B,..."
        ),
    ] = None,
    prompts: Annotated[
        list[str] | None,
        typer.Option(
            help="A prompt; or paper, its five styles; or all, the embedded world's six; repeatable.",
            rich_help_panel=TRAINED,
            metavar="TEXT",
        ),
    ] = None,
    ablation: Annotated[
        bool,
        typer.Option(
            "--ablation",
            help="The paper's ladder, SDS to ours, at equal budget.",
            rich_help_panel=TRAINED,
            metavar="",
        ),
    ] = False,
    iterations: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Budget of every run that is trained.",
            show_default="that of stylize",
            rich_help_panel=TRAINED,
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            help="The same as a time: every method has the steps that fit, at the pace of two idle cores.",
            rich_help_panel=TRAINED,
            metavar="X",
        ),
    ] = None,
    identities: Annotated[int, typer.Option(help="People, seeds 0, 1, 2, ...", rich_help_panel=SAMPLE)] = 40,
    yaws: Annotated[
        str, typer.Option(help="Sides, in degrees.", rich_help_panel=SAMPLE, metavar="A,B,...")
    ] = YAWS,
    psi: Annotated[
        float | None,
        typer.Option(
            help="Truncation of the heads.",
            show_default="1 where true pictures are known, else 0.75",
            rich_help_panel=SAMPLE,
        ),
    ] = None,
    batch: Annotated[
        int,
        typer.Option(min=1, help="Pictures that encoders see at once.", hidden=True, rich_help_panel=SAMPLE),
    ] = 16,
    preset: Annotated[
        PresetName, typer.Option(help="Which weights to use.", rich_help_panel=SAMPLE)
    ] = "auto",
    device: Annotated[
        str,
        typer.Option(
            help=WHERE,
            metavar="DEVICE",
            rich_help_panel=SAMPLE,
        ),
    ] = "auto",
    reference: Annotated[
        str,
        typer.Option(
            help="What distributions are compared with: truth (embedded world), teacher (its own pictures), "
            "or a folder (with several styles: a subfolder for each).",
            rich_help_panel=AGAINST,
            show_default="truth where it is known",
            metavar="NAME",
        ),
    ] = "auto",
    clip: Annotated[
        str | None,
        typer.Option(
            help="CLIP model, a folder or hub id.", hidden=True, rich_help_panel=AGAINST, metavar="FOLDER"
        ),
    ] = None,
    faces: Annotated[
        str | None,
        typer.Option(
            help="InsightFace models, a folder.", hidden=True, rich_help_panel=AGAINST, metavar="FOLDER"
        ),
    ] = None,
    depth_model: Annotated[
        str | None,
        typer.Option(
            help="Monocular depth network, a folder or hub id.",
            hidden=True,
            rich_help_panel=AGAINST,
            metavar="FOLDER",
        ),
    ] = None,
    inception: Annotated[
        Path | None,
        typer.Option(
            help="Inception weights of torch-fidelity.", hidden=True, rich_help_panel=AGAINST, metavar="FILE"
        ),
    ] = None,
    force_fid: Annotated[
        bool,
        typer.Option(
            "--force-fid",
            help="Frechet distances over too few pictures as well.",
            hidden=True,
            rich_help_panel=AGAINST,
            metavar="",
        ),
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(
            help="Page with tables, pictures, best and worst cases.", rich_help_panel=WRITTEN, metavar="FILE"
        ),
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option(help="One line for each number.", rich_help_panel=WRITTEN, metavar="FILE"),
    ] = None,
    fail_under: Annotated[
        list[str] | None,
        typer.Option(
            help="Exit with 1 when a run is below, such as id=0.6.",
            rich_help_panel=WRITTEN,
            metavar="COLUMN=X",
        ),
    ] = None,
    fail_over: Annotated[
        list[str] | None,
        typer.Option(
            help="Exit with 1 when a run is above, such as dd_geo=0.1.",
            hidden=True,
            rich_help_panel=WRITTEN,
            metavar="COLUMN=X",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Processes that train and measure, of one thread each.",
            show_default="this one",
            rich_help_panel=SAMPLE,
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            help="A Ray cluster that does.", hidden=True, rich_help_panel=SAMPLE, metavar="HOST:PORT"
        ),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure finished runs, or train and compare methods: identity, style, shape, each with its interval."""
    with reporting(as_json=as_json, quiet=quiet) as output:
        arguments = EvaluateArguments(
            runs=tuple(runs or ()), images=tuple(images or ()), methods=methods,
            prompts=tuple(prompts or ()), ablation=ablation, iterations=iterations, minutes=minutes,
            identities=identities, yaws=yaws, psi=psi, batch=batch, preset=preset, device=device,
            reference=reference, clip=clip, faces=faces, depth_model=depth_model,
            inception=inception, force_fid=force_fid, report=report,
            csv=csv, fail_under=tuple(fail_under or ()), fail_over=tuple(fail_over or ()),
            workers=workers, address=address,
        )  # fmt: skip
        check_evaluate(arguments)
        from stylehead.jobs import evaluate as job

        if dry_run:
            output.result(job.foretell_table(arguments, output))
            return
        found = job.evaluate(arguments, output, command=command_line())
        output.result(found.result)
        if found.unwritten is not None:
            raise found.unwritten
        for sentence in found.missed:
            output.warn(sentence)
        if found.missed or found.in_vain:
            raise typer.Exit(1)
