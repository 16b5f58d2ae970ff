"""A stylise job: settings in, a run directory out, and going on after a stop."""

import contextlib
import dataclasses
import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stylehead.config_files import read_config_file
from stylehead.errors import JobError, StyleheadError, UsageError, quoted
from stylehead.jobs import environment, models
from stylehead.jobs.arguments import StylizeArguments, given, option
from stylehead.jobs.banking import check_given_bank
from stylehead.jobs.disk import check_disk, running_bytes, trained_bytes
from stylehead.jobs.inventory import Inventory
from stylehead.jobs.job import RUNS, first_facts, generator_file
from stylehead.jobs.needs import few_words, warn_of_lost_words
from stylehead.jobs.report import Report
from stylehead.jobs.trackers import check_tracker
from stylehead.jobs.training import PREVIEWS, Job, StylizeRun, Training, lead
from stylehead.methods import Stylizer
from stylehead.methods.config import StylizeConfig, profile
from stylehead.methods.parallel import leave_crew
from stylehead.methods.qualities import LONG_MINUTES, expected_minutes, start_settings
from stylehead.methods.registry import DEFAULT, choose_method, method_class, method_names, settings_class
from stylehead.methods.trainer import MAY_CHANGE_ON_RESUME
from stylehead.mini.captions import known_words
from stylehead.runs import MANIFEST, RunDirectory, check_free, new_run_path
from stylehead.settings import check_ranges, flag, unusual
from stylehead.units import format_duration
from stylehead.weights import WeightFile
from stylehead.weights.presets import Preset, find_preset
from stylehead.weights.store import hash_file

EXAMPLE = 'stylehead stylize --prompt "Pixar character"'
OF_THE_RUN = ("profile", "quality", "device", "out", "overwrite", "keep_checkpoints", "log_with")
"""What a file of settings may hold beside the settings: arguments of the job."""


def stylize(arguments: StylizeArguments, report: Report, *, command: str) -> StylizeRun:
    """Train a style, or go on with a stopped run.

    Args:
        arguments: What was asked for.
        report: Where progress goes.
        command: How it was asked for, for the manifest.

    Raises:
        UsageError: The arguments do not go together, or the folder holds something else.
        StoppedError: The user pressed Ctrl-C; a checkpoint is there.
        StyleheadError: The job failed; `run.json` says so.
    """
    if arguments.resume is not None:
        return _resume(arguments, arguments.resume, report)
    arguments = with_file(arguments)
    config, path = configure(arguments, report)
    job = open_job(config, arguments, report, preset=config.preset)
    crew = lead(job)
    stylizer = stylizer_of(job)
    stylizer.crew = crew
    if config.memory != "auto" or stylizer.memory.name != "24":
        report.note(f"memory {stylizer.memory.name}: {', '.join(stylizer.memory.words())}")
    check_given_bank(config, stylizer.reference)
    check_disk(path, running_bytes(trained_bytes(stylizer), arguments.keep_checkpoints))
    run = RunDirectory.create(path, first_manifest(job, stylizer, command), overwrite=arguments.overwrite)
    with run.lock():
        previews = f": previews come to {run.path / PREVIEWS}" if config.preview_every else ""
        report.note(f"Run {run.path}{previews}.")
        warn_of_time(job, report)
        return _executed(Training(job, stylizer, run, report))


def _executed(training: Training) -> StylizeRun:
    try:
        return training.execute()
    finally:
        leave_crew()


def configure(arguments: StylizeArguments, report: Report) -> tuple[StylizeConfig, Path]:
    """Return the settings of a new run, and its folder, which is free; say which method it is and why.

    Raises:
        UsageError: A setting is out of range or says nothing to the method, or the folder is taken.
    """
    arguments = with_file(arguments)
    check_ranges(arguments)
    config = resolve_config(arguments)
    path = arguments.out or new_run_path(RUNS, config.prompt)
    check_free(path, overwrite=arguments.overwrite)
    full_scale = find_preset(config.preset).preset.vocabulary is None
    why = choose_method(arguments.settings, full_scale=full_scale, profile=arguments.profile).why
    report.note(f"method {config.method}: {why}")
    return config, path


def resolve_config(arguments: StylizeArguments) -> StylizeConfig:
    """Return the settings that arguments mean: the profile's, and those that were given.

    Raises:
        UsageError: A setting is out of range or says nothing to the method.
    """
    given = dict(arguments.settings)
    if "prompt" not in given:
        raise UsageError("`stylize` needs `--prompt`.", EXAMPLE)
    weights, _ = find_preset(given.get("preset", StylizeConfig.preset))
    whole = weights.vocabulary is None
    method, _ = choose_method(given, full_scale=whole, profile=arguments.profile)
    start = start_settings(arguments.profile, arguments.quality, method, full_scale=whole)
    return StylizeConfig.from_dict(start | given)


def warn_of_time(job: Job, report: Report) -> None:
    """Say before it starts that a run takes long; at full scale `--dry-run` knows."""
    minutes = expected_minutes(job.config) if job.preset.vocabulary is not None else None
    if minutes is not None and minutes > LONG_MINUTES:
        long = format_duration(60 * minutes)
        report.note(f"This takes about {long} on two idle cores; Ctrl-C saves a checkpoint.")


def understood(config: StylizeConfig, preset: Preset, report: Report) -> StylizeConfig:
    """Put the words that a teacher of few words knows in the place of their synonyms."""
    if few_words(config, preset) is None:
        return config
    known = known_words(config.prompt)
    if known == config.prompt:
        return config
    report.note(f'The embedded teacher reads "{config.prompt}" as "{known}".')
    return config.replace(prompt=known)


def with_file(arguments: StylizeArguments) -> StylizeArguments:
    """Put what the file of `--config` holds in the place of what was left at its default.

    Raises:
        UsageError: There is no such file, or it holds a key that nothing is called.
        JobError: It cannot be read.
    """
    if arguments.config is None:
        return arguments
    file = read_config_file(arguments.config)
    held = file.values.get("stylize", file.values)
    if not isinstance(held, dict):
        raise JobError(f"{file.place('stylize')}: `stylize` is no object of settings.")
    way = ("stylize",) if held is not file.values else ()
    values = {key.replace("-", "_"): value for key, value in held.items()}
    for key in held:
        check_known(key, file.place(*way, key))
    usual, of_the_run = StylizeArguments(), {name for name in OF_THE_RUN if name in values}
    replaced: dict[str, Any] = {
        name: Path(values[name]) if name == "out" else values[name]
        for name in of_the_run
        if getattr(arguments, name) == getattr(usual, name)
    }
    settings = {name: _plain(value) for name, value in values.items() if name not in of_the_run}
    changes = {"settings": {**settings, **arguments.settings}, "config": None, **replaced}
    return dataclasses.replace(arguments, **changes)


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def check_known(key: str, where: str) -> None:
    """Refuse a key that no method calls a setting; whether it says something to this one is seen later.

    Raises:
        UsageError: With the nearest setting.
    """
    name, known = key.replace("-", "_"), {*OF_THE_RUN, "method"}
    for method in method_names():
        known |= {*settings_class(method).names()}
    if name in known or not settings_class(DEFAULT).renamed({name: None}).keys() <= {name}:
        return
    near = difflib.get_close_matches(name, sorted(known), n=1)
    hint = f"did you mean `{near[0]}`?" if near else "stylehead stylize --help-all"
    raise UsageError(f"{where}: there is no setting `{key}`.", hint)


def open_job(config: StylizeConfig, arguments: StylizeArguments, report: Report, *, preset: str) -> Job:
    """Choose weights and device.

    Raises:
        StyleheadError: Weights are missing or refused, or there is no such device.
    """
    weights, why = find_preset(preset)
    report.note(why)
    config = understood(config, weights, report)
    if arguments.log_with is not None:
        check_tracker(arguments.log_with)
    device = environment.choose_device(arguments.device)
    job = Job(config, weights, device, arguments.keep_checkpoints, arguments.log_with)
    estimator = job.needs.find("depth_estimator")
    optional = method_class(config.method).needed(config).depth_estimator == "optional"
    if optional and estimator is not None:
        report.note(f"depth: {estimator.name} (--depth rendered uses the renderer's own)")
    warn_of_lost_words(job.needs, report)
    warn_of_settings(config, arguments, report)
    return job


def warn_of_settings(config: StylizeConfig, arguments: StylizeArguments, report: Report) -> None:
    """Say which settings are hardly meant: unusual numbers, and published settings without their budget."""
    for sentence in unusual(config):
        report.warn(sentence)
    if arguments.profile == "default":
        return
    published = profile(arguments.profile, method=config.method).get("iterations", 0)
    if config.iterations < published / 10:
        name, steps = arguments.profile, config.iterations
        report.warn(
            f"--profile {name} was published for {published:,} steps: {steps} of them hardly change a head."
        )


def _resume(arguments: StylizeArguments, path: Path, report: Report) -> StylizeRun:
    for name in given(arguments):
        if name not in ("settings", "resume", "device", "keep_checkpoints", "log_with"):
            hint = f"stylehead stylize --resume {quoted(path)}"
            raise UsageError(f"`{option(name)}` does not go with `--resume`.", hint)
    check_ranges(arguments)
    run = RunDirectory.open(path)
    manifest = run.manifest()
    stored = _stored_config(manifest, path)
    _check_unchanged(arguments.settings, stored, path)
    config = stored.replace(**arguments.settings)
    done = manifest.get("steps", 0)
    if manifest.get("outcome") == "finished" and config.iterations <= done:
        # A process that was stopped at its last moment left things; the lock clears all but checkpoints.
        with contextlib.suppress(StyleheadError, OSError), run.lock():
            run.saved.prune(manifest.get("keep_checkpoints", StylizeArguments.keep_checkpoints))
        raise UsageError(
            f"{path} is finished: {done} of {config.iterations} steps are done.",
            f"stylehead stylize --resume {quoted(path)} --iterations {2 * done}",
        )
    with run.lock():
        job = open_job(config, arguments, report, preset=manifest.get("preset", config.preset))
        crew = lead(job)
        stylizer = stylizer_of(job)
        stylizer.crew = crew
        training = Training(job, stylizer, run, report)
        report.note(f"Run {run.path} goes on from step {training.resume()}.")
        return _executed(training)


def _stored_config(manifest: Mapping[str, Any], path: Path) -> StylizeConfig:
    try:
        return StylizeConfig.from_dict(manifest.get("config", {}))
    except UsageError as error:
        raise JobError(f"The settings in {path / MANIFEST} cannot be used: {error.message}") from error


def _check_unchanged(settings: Mapping[str, Any], stored: StylizeConfig, path: Path) -> None:
    stored_values = stored.to_dict()
    for name, given_value in settings.items():
        value = list(given_value) if isinstance(given_value, tuple) else given_value
        earlier = stored_values.get(name, value)
        if value != earlier and name not in MAY_CHANGE_ON_RESUME:
            raise UsageError(
                f"`{flag(name)}` (={value}) cannot change on resume: {path} was started with {earlier}.",
                f"stylehead stylize --resume {quoted(path)}",
            )


def stylizer_of(job: Job) -> Stylizer:
    """Load the models of a job."""
    return models.load_stylizer(job.needs, job.device)


def first_manifest(job: Job, stylizer: Stylizer, command: str) -> dict[str, Any]:
    """Return the facts of `run.json` that are known before the first step."""
    networks = job.needs.networks
    return {
        **first_facts(
            command,
            job.preset,
            job.device,
            licence=job.licence,
            weights=hashed_weights(job.needs),
            used=[need.name for need in networks],
        ),
        "prompt": job.config.prompt,
        "seed": job.config.seed,
        "keep_checkpoints": job.keep_checkpoints,
        "generator": stylizer.reference.fingerprint(),
        "teacher": {need.role: need.name for need in networks if need.role != "features"},
        "precision": _precision(stylizer),
        "memory": stylizer.memory.name,
        **({"processes": stylizer.crew.size} if stylizer.crew.size > 1 else {}),
        "config": job.config.to_dict(),
        "steps": 0,
    }


_WEIGHTS = ("*.safetensors", "*.pth", "*.onnx")


def hashed_weights(needs: Inventory) -> list[WeightFile]:
    """Hash every file that a stylise job reads, for the run manifest; ids hold no local path."""
    by_role = {need.role: need for need in needs.networks}
    paths = needs.teacher_paths()
    files: dict[str, Path] = {} if paths is None else paths.weight_files()
    for role in ("depth_estimator", "clip", "faces", "features"):
        if (path := needs.path(role)) is not None:
            inside = [file for ending in _WEIGHTS for file in path.glob(ending)]
            found = sorted(inside) if path.is_dir() else [path]
            files |= {f"{role}/{file.name}": file for file in found}
    if (folder := needs.path("editor")) is not None:
        found = sorted(folder.rglob("*.safetensors"))
        files |= {f"editor/{file.relative_to(folder).as_posix()}": file for file in found}
    facts = [generator_file(needs.preset)]
    for place, path in files.items():
        role, _, name = place.partition("/")
        need = by_role.get(role)
        own = f"{need.name}/{name}" if need is not None else f"{by_role['diffusion'].name}/{place}"
        facts.append(WeightFile(own, hash_file(path).sha256, (need or by_role["diffusion"]).licence))
    return facts


def _precision(stylizer: Stylizer) -> str | None:
    """Return the numbers that the teacher computes with, if there is one."""
    teacher = stylizer.teacher
    return None if teacher is None else str(teacher.parts.unet.dtype).removeprefix("torch.")
