"""`stylehead stylize`: train the generator towards a prompt."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stylehead.cli.options import (
    THE_RUN,
    WHERE,
    JsonOption,
    KeepCheckpointsOption,
    LogWithOption,
    ProbeOption,
    QuietOption,
    given_settings,
)
from stylehead.cli.output import Output, command_line, reporting
from stylehead.errors import UsageError, quoted
from stylehead.jobs.arguments import StylizeArguments
from stylehead.jobs.report import Result
from stylehead.methods.config import ProfileName
from stylehead.methods.qualities import QualityName
from stylehead.processes import is_follower

if TYPE_CHECKING:
    from stylehead.jobs.training import StylizeRun

MAKE = "What to make"
EXAMPLE = 'stylehead stylize --prompt "Pixar character"'

EPILOG = """
[bold]Examples[/bold]

  [cyan]stylehead stylize --prompt "Pixar character"[/cyan]

  [cyan]stylehead stylize --prompt "Portrait of a werewolf" --iterations 600 --seed 3[/cyan]

  [cyan]stylehead stylize --prompt "a marble statue" --method sds --dry-run[/cyan]

  [cyan]stylehead stylize --resume runs/pixar-character-3f9c[/cyan]

What a method can be told: stylehead stylize --method ld --help

Ctrl-C saves a checkpoint and says how to go on. A run's folder holds its page
(index.html: curves, previews), style file, contact sheet, films and card.
"""


def stylize(  # noqa: PLR0913
    context: typer.Context,
    *,
    profile_name: Annotated[
        ProfileName,
        typer.Option(
            "--profile",
            help="Settings to start from: paper follows the equations, release the published script.",
            rich_help_panel=MAKE,
        ),
    ] = "default",
    quality: Annotated[
        QualityName | None,
        typer.Option(
            help="For 1, 3 or 20 minutes of two cores.",
            show_default="good",
            rich_help_panel=MAKE,
        ),
    ] = None,
    device: Annotated[str, typer.Option(help=WHERE, metavar="DEVICE", rich_help_panel=MAKE)] = "auto",
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the run.", show_default="runs/PROMPT-XXXX", rich_help_panel=THE_RUN),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="Settings to start from: JSON, TOML or YAML.",
            rich_help_panel=MAKE,
            metavar="FILE",
        ),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with this stopped or killed run.", rich_help_panel=THE_RUN)
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace the run in --out.", rich_help_panel=THE_RUN, metavar=""),
    ] = False,
    keep_checkpoints: KeepCheckpointsOption = 0,
    log_with: LogWithOption = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Print what it needs and costs; write nothing.",
            rich_help_panel=THE_RUN,
            metavar="",
        ),
    ] = False,
    probe: ProbeOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    **settings: Any,
) -> None:
    """Train the generator towards a prompt: every head restyled, every person still the same."""
    with reporting(as_json=as_json, quiet=quiet) as output:
        arguments = StylizeArguments(
            settings=given_settings(context, settings),
            profile=profile_name,
            quality=quality,
            config=config,
            device=device,
            out=out,
            resume=resume,
            overwrite=overwrite,
            keep_checkpoints=keep_checkpoints,
            log_with=log_with,
        )
        _check(arguments, dry_run=dry_run, probe=probe)
        if is_follower():
            _follow(arguments, dry_run=dry_run)
            return
        if dry_run:
            _dry_run(arguments, output, probe=probe)
            return
        from stylehead.jobs import stylize as job

        _show(job.stylize(arguments, output, command=command_line()), output)


def _follow(arguments: StylizeArguments, *, dry_run: bool) -> None:
    """Train as one of several processes, of which another one speaks."""
    if not dry_run:
        from stylehead.jobs.following import follow

        follow(arguments)


def _check(arguments: StylizeArguments, *, dry_run: bool, probe: bool) -> None:
    """What only the command line knows, and what needs no library that is slow to import."""
    if arguments.resume is not None and (dry_run or probe):
        hint = f"stylehead stylize --resume {quoted(arguments.resume)}"
        raise UsageError(f"`{'--dry-run' if dry_run else '--probe'}` does not go with `--resume`.", hint)
    without = arguments.resume is None and arguments.config is None
    if without and "prompt" not in arguments.settings:
        raise UsageError("`stylize` needs `--prompt`.", EXAMPLE)
    if probe and not dry_run:
        raise UsageError("`--probe` goes with `--dry-run`.", f"{EXAMPLE} --dry-run --probe")


def _show(run: "StylizeRun", output: Output) -> None:
    rows = (
        ("run", run.folder),
        ("style", run.style),
        ("contact sheet", run.contact_sheet),
        ("turntable", run.turntable),
        ("model card", run.card),
        ("page", run.page),
    )
    hint = f"stylehead render --seed 42 --yaw-steps 36 --style {shlex.quote(str(run.style))}"
    data = {"run": run.folder, **run.files(), "manifest": run.manifest}
    output.result(Result(primary=(run.style,), rows=rows, data=data, next=(hint,)))


def _dry_run(arguments: StylizeArguments, output: Output, *, probe: bool) -> None:
    from stylehead.jobs.dry_run import foretell_training

    output.result(foretell_training(arguments, output, probe=probe))
