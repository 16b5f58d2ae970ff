"""`stylehead stylize`: train the generator towards a prompt."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

from stylehead.cli.options import THE_RUN, JsonOption, QuietOption, given_settings, with_settings
from stylehead.cli.output import Output, reporting
from stylehead.errors import JobError, UsageError
from stylehead.jobs.report import Result
from stylehead.methods.config import ProfileName, StylizeConfig, profile
from stylehead.methods.registry import DEFAULT, method_class
from stylehead.runs import MANIFEST, RunDirectory, check_free, new_run_path
from stylehead.settings import flag
from stylehead.weights.presets import resolve_preset

if TYPE_CHECKING:
    from stylehead.jobs.stylize import Job, RunFiles

RUNS = Path("runs")
MAKE = "What to make"
EXAMPLE = 'stylehead stylize --prompt "Pixar character"'

EPILOG = """
[bold]Examples[/bold]

  [cyan]stylehead stylize --prompt "Pixar character"[/cyan]

  [cyan]stylehead stylize --prompt "Portrait of a werewolf" --iterations 600 --seed 3[/cyan]

  [cyan]stylehead stylize --prompt "a marble statue" --method sds --dry-run[/cyan]

  [cyan]stylehead stylize --resume runs/pixar-character-3f9c[/cyan]

Ctrl-C saves a checkpoint and says how to go on. Everything a run makes is in its folder: the style file,
previews from step 0 on, a contact sheet, a turntable and a model card.
"""


class Request(NamedTuple):
    """What was typed, apart from the settings."""

    profile: ProfileName
    device: str
    out: Path | None
    resume: Path | None
    overwrite: bool
    keep_checkpoints: int
    probe: bool


@with_settings
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
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="Where to compute.", rich_help_panel=MAKE)
    ] = "auto",
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the run.", show_default="runs/PROMPT-XXXX", rich_help_panel=THE_RUN),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with this stopped or killed run.", rich_help_panel=THE_RUN)
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace the run in --out.", rich_help_panel=THE_RUN, metavar=""),
    ] = False,
    keep_checkpoints: Annotated[
        int, typer.Option(min=1, help="Checkpoints that stay on the disk.", rich_help_panel=THE_RUN)
    ] = 2,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Print settings, weights, files, memory and time, write nothing.",
            rich_help_panel=THE_RUN,
            metavar="",
        ),
    ] = False,
    probe: Annotated[
        bool,
        typer.Option(
            "--probe",
            help="Let --dry-run time a few steps of large models, too, not estimate.",
            rich_help_panel=THE_RUN,
            metavar="",
        ),
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    **settings: Any,
) -> None:
    """Train the generator towards a prompt: every head restyled, every person still the same."""
    with reporting(as_json=as_json, quiet=quiet) as output:
        request = Request(profile_name, device, out, resume, overwrite, keep_checkpoints, probe)
        given = given_settings(context, settings)
        if request.resume is not None:
            _check_alone(request, dry_run=dry_run)
            _resume(request, request.resume, given, output)
        else:
            _start(request, given, output, dry_run=dry_run)


def _start(request: Request, given: dict[str, Any], output: Output, *, dry_run: bool) -> None:
    if "prompt" not in given:
        raise UsageError("A stylise job needs `--prompt`.", EXAMPLE)
    if request.probe and not dry_run:
        raise UsageError("`--probe` goes with `--dry-run`.", f"{EXAMPLE} --dry-run --probe")
    method = given.get("method", DEFAULT)
    config = StylizeConfig.from_dict(profile(request.profile, method=method) | given)
    path = request.out or new_run_path(RUNS, config.prompt)
    check_free(path, overwrite=request.overwrite)
    if dry_run:
        _dry_run(config, request, path, output)
        return
    job = _job(config, request, output, preset=config.preset)
    from stylehead.jobs.stylize import Training, first_manifest, load_stylizer

    stylizer = load_stylizer(job)
    if config.memory != "auto" or stylizer.memory.name != "24":
        output.note(f"memory {stylizer.memory.name}: {', '.join(stylizer.memory.words())}")
    manifest = first_manifest(job, stylizer, shlex.join(["stylehead", *sys.argv[1:]]))
    run = RunDirectory.create(path, manifest, overwrite=request.overwrite)
    with run.lock():
        output.note(f"Run {run.path}: previews come to {run.path / 'previews'}.")
        files = Training(job, stylizer, run, output).execute()
    _report(run, files, output)


def _check_alone(request: Request, *, dry_run: bool) -> None:
    """A run that goes on has its folder and settings already."""
    others = {
        "--out": request.out is not None,
        "--overwrite": request.overwrite,
        "--profile": request.profile != "default",
        "--dry-run": dry_run,
        "--probe": request.probe,
    }
    for name, given in others.items():
        if given:
            hint = f"stylehead stylize --resume {request.resume}"
            raise UsageError(f"`{name}` does not go with `--resume`.", hint)


def _resume(request: Request, path: Path, given: dict[str, Any], output: Output) -> None:
    run = RunDirectory.open(path)
    manifest = run.manifest()
    stored = _stored_config(manifest, path)
    _check_unchanged(given, stored, path)
    config = stored.replace(**given)
    done = manifest.get("steps", 0)
    if manifest.get("outcome") == "finished" and config.iterations <= done:
        raise UsageError(
            f"{path} is finished: {done} of {config.iterations} steps are done.",
            f"stylehead stylize --resume {path} --iterations {2 * done}",
        )
    from stylehead.jobs.stylize import Training, load_stylizer

    with run.lock():
        job = _job(config, request, output, preset=manifest.get("preset", config.preset))
        training = Training(job, load_stylizer(job), run, output)
        output.note(f"Run {run.path} goes on from step {training.resume()}.")
        files = training.execute()
    _report(run, files, output)


def _stored_config(manifest: dict[str, Any], path: Path) -> StylizeConfig:
    try:
        return StylizeConfig.from_dict(manifest.get("config", {}))
    except UsageError as error:
        raise JobError(f"The settings in {path / MANIFEST} cannot be used: {error.message}") from error


def _check_unchanged(given: dict[str, Any], stored: StylizeConfig, path: Path) -> None:
    from stylehead.methods.trainer import MAY_CHANGE_ON_RESUME

    stored_values = stored.to_dict()
    for name, given_value in given.items():
        value = list(given_value) if isinstance(given_value, tuple) else given_value
        earlier = stored_values.get(name, value)
        if value != earlier and name not in MAY_CHANGE_ON_RESUME:
            raise UsageError(
                f"`{flag(name)}` (={value}) cannot change on resume: {path} was started with {earlier}.",
                f"stylehead stylize --resume {path}",
            )


def _job(config: StylizeConfig, request: Request, output: Output, *, preset: str) -> "Job":
    """Choose weights and device, and ask the embedded teacher whether it can place the prompt."""
    weights, why = resolve_preset(preset)
    output.note(why)
    if weights.knows_few_styles and config.source("diffusion") is None:
        from stylehead.mini.captions import place_prompt

        place_prompt(config.prompt)
    weights.require_generator()
    from stylehead.jobs.environment import choose_device
    from stylehead.jobs.stylize import Job

    job = Job(config, weights, choose_device(request.device), request.keep_checkpoints)
    optional = method_class(config.method).needed(config).depth_estimator == "optional"
    if optional and job.sources.depth_estimator is not None:
        output.note(f"depth: {job.sources.depth_estimator.name} (--depth rendered uses the renderer's own)")
    return job


def _report(run: RunDirectory, files: "RunFiles", output: Output) -> None:
    manifest = run.manifest()
    output.result(
        Result(
            primary=(files.style,),
            rows=(
                ("run", run.path),
                ("style", files.style),
                ("contact sheet", files.contact_sheet),
                ("turntable", files.turntable),
                ("model card", files.card),
            ),
            data={"run": run.path, **files._asdict(), "manifest": manifest},
        )
    )
    output.next(f"stylehead render --seed 42 --yaw-steps 36 --style {shlex.quote(str(files.style))}")


def _dry_run(config: StylizeConfig, request: Request, path: Path, output: Output) -> None:
    """Measure where that is quick or asked for, estimate otherwise."""
    from stylehead.jobs.environment import choose_device
    from stylehead.jobs.plan import choose_preset, plan_job

    preset, why = choose_preset(config.preset)
    embedded = preset.knows_few_styles and config.source("diffusion") is None
    if embedded or request.probe:
        job = _job(config, request, output, preset=config.preset)
        from stylehead.jobs.dry_run import measure_job

        output.result(measure_job(plan_job(config, preset), job, path, output))
        return
    output.note(why)
    plan, device = plan_job(config, preset), choose_device(request.device)
    from stylehead.jobs.dry_run import estimate_job

    output.result(estimate_job(plan, device, path, request.keep_checkpoints))
    for need in plan.missing:
        output.next(need.fetch or f"bring {need.name} here")
