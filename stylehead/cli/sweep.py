"""`stylehead sweep`: many runs on many workers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from stylehead.cli.options import JsonOption, QuietOption
from stylehead.cli.output import Output, command_line, reporting
from stylehead.jobs.sweep_arguments import SweepArguments
from stylehead.methods.config import ProfileName
from stylehead.methods.qualities import QualityName

if TYPE_CHECKING:
    from stylehead.jobs.sweep import Swept

VARIES, START, WHERE, RUNS = "What varies", "What all runs share", "Who runs them", "The sweep"

EPILOG = """
[bold]Examples[/bold]

  [cyan]stylehead sweep --prompt "Pixar character" --method ld,edit --seed 0-2[/cyan]

  [cyan]stylehead sweep --prompts prompts.txt --set learning_rate=1e-3,4e-3 --dry-run[/cyan]

  [cyan]stylehead sweep sweep.yaml --workers 4[/cyan]

  [cyan]stylehead sweep sweep.yaml --engine ray --address 10.0.0.1:6379[/cyan]

A file has "base", settings of all runs, and "vary", settings with a list of values each.
Every run is an ordinary run, in a folder of the sweep's.

Ctrl-C stops all runs after their step. The same command goes on: what is finished is not touched,
and what was stopped or killed resumes. At the end come a sheet and the table of stylehead eval.
"""


def sweep(  # noqa: PLR0913
    file: Annotated[
        Path | None, typer.Argument(help="JSON, TOML or YAML with what varies.", metavar="FILE")
    ] = None,
    *,
    prompts: Annotated[
        Path | None,
        typer.Option(help="Text file of prompts, one a line.", rich_help_panel=VARIES, metavar="FILE"),
    ] = None,
    prompt: Annotated[
        list[str] | None, typer.Option(help="A prompt; repeatable.", rich_help_panel=VARIES, metavar="TEXT")
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(help="Methods, joined by commas.", rich_help_panel=VARIES, metavar="A,B,..."),
    ] = None,
    seed: Annotated[
        str | None, typer.Option(help="Seeds, such as 0-2 or 1,5.", rich_help_panel=VARIES, metavar="A-B,...")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Another setting of stylize and its values; with one value all runs have it; repeatable.",
            rich_help_panel=VARIES,
            metavar="NAME=A,B",
        ),
    ] = None,
    profile_name: Annotated[
        ProfileName, typer.Option("--profile", help="Settings to start from.", rich_help_panel=START)
    ] = "default",
    quality: Annotated[
        QualityName | None, typer.Option(help="How long and careful each run is.", rich_help_panel=START)
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="Settings to start from: the config.json of a run, or your own JSON, TOML or YAML.",
            rich_help_panel=START,
            metavar="FILE",
        ),
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="Where to compute.", rich_help_panel=START)
    ] = "auto",
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Runs at once; else as processors and memory allow.", rich_help_panel=WHERE),
    ] = None,
    engine: Annotated[
        Literal["local", "ray"],
        typer.Option(help="Processes of this machine, or Ray.", rich_help_panel=WHERE),
    ] = "local",
    address: Annotated[
        str | None, typer.Option(help="A running Ray cluster.", rich_help_panel=WHERE, metavar="HOST:PORT")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the sweep.", show_default="sweeps/NAME", rich_help_panel=RUNS),
    ] = None,
    keep_checkpoints: Annotated[
        int, typer.Option(min=0, help="Checkpoints of each run that stay.", rich_help_panel=RUNS)
    ] = SweepArguments.keep_checkpoints,
    identities: Annotated[
        int, typer.Option(help="People in the table at the end; 0: no table.", rich_help_panel=RUNS)
    ] = SweepArguments.identities,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what it would do and cost.", rich_help_panel=RUNS, metavar=""),
    ] = False,
    yes: Annotated[
        bool,
        typer.Option("--yes", help="Begin, even if it takes hours.", rich_help_panel=RUNS, metavar=""),
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train many styles: prompts, methods, seeds and settings, side by side on many workers."""
    with reporting(as_json=as_json, quiet=quiet) as output:
        arguments = SweepArguments(
            file=file, prompts=prompts, prompt=tuple(prompt or ()), method=method, seed=seed,
            settings=tuple(settings or ()), profile=profile_name, quality=quality, config=config, out=out,
            engine="ray" if address is not None else engine, address=address, workers=workers,
            device=device, keep_checkpoints=keep_checkpoints, identities=identities,
        )  # fmt: skip
        from stylehead.jobs import sweep as job

        if dry_run:
            output.result(job.foretell_sweep(arguments, output))
            return
        swept = _sweep(arguments, output, yes=yes)
        output.result(swept.result)
        if swept.failed:
            count = f"{len(swept.failed)} of {len(swept.progress)}"
            output.warn(f"{count} runs failed; the same command tries again.")
            raise typer.Exit(1)


def _sweep(arguments: SweepArguments, output: Output, *, yes: bool) -> "Swept":
    from stylehead.cli.sweep_table import watching
    from stylehead.jobs import sweep as job

    def agree(cost: job.SweepCost) -> bool:
        for label, value in cost.rows():
            output.note(f"{label:<8}{value}")
        asks = output.stderr.is_terminal and output.mode == "human"
        return yes or (asks and typer.confirm("Begin?", err=True))

    with watching(output) as view:
        return job.sweep(arguments, output, command=command_line(), agree=agree, view=view)
