"""`stylehead info`: what a file or a run is, and how it was made."""

import contextlib
import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from stylehead.cli.options import JsonOption, QuietOption
from stylehead.cli.output import Output, reporting
from stylehead.errors import JobError, StyleheadError, UsageError, quoted, tensor_damage
from stylehead.files import read_json
from stylehead.jobs.failures import explain
from stylehead.jobs.report import Result
from stylehead.units import format_bytes, format_duration

EPILOG = """
[bold]Examples[/bold]

  [cyan]stylehead info runs/pixar-character-3f9c[/cyan]

  [cyan]stylehead info style.safetensors --json[/cyan]

  [cyan]stylehead info runs/pixar-character-3f9c --as-command[/cyan]   how to make it again

  [cyan]stylehead info renders/seed-42/turntable.mp4[/cyan]   pictures, films and meshes remember too
"""

_KINDS = {"style-1": "style", "style-2": "style", "generator-1": "generator"}
"""What a safetensors file is, by the format in its header."""
_UNKNOWN = "safetensors file"
_OF_A_RUN = ("run.json", "config.json", "events.jsonl", "README.md")


class Facts(NamedTuple):
    """What was found out: the kind, facts for people, everything for programs, and a next command."""

    kind: str
    rows: Mapping[str, object]
    data: Mapping[str, Any]
    next: str | None = None


def info(
    path: Annotated[
        Path,
        typer.Argument(help="A run, style, generator, latent, picture, film or mesh.", metavar="FILE"),
    ],
    as_command: Annotated[
        bool,
        typer.Option("--as-command", help="Print the command line that makes a run again.", metavar=""),
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Say what a file or a run is, and how it was made."""
    from stylehead.jobs.named_styles import find_named

    with reporting(as_json=as_json, quiet=quiet) as output:
        path = path if path.exists() else find_named(path)
        if as_command:
            _command(path, output)
            return
        try:
            facts = describe(path)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
            # all of it comes from the file: a value of another kind is damage
            raise JobError(f"{path} is damaged: it holds values that do not fit ({error}).") from error
        _show(facts, path, output)


def _command(path: Path, output: Output) -> None:
    from stylehead.jobs.command_of import command_of

    command = command_of(path)
    result = Result((command,), (), {"command": command, "words": shlex.split(command)})
    (output if output.mode == "json" else Output("quiet")).result(result)  # nothing but the words


def describe(path: Path) -> Facts:
    """Find out what a path is.

    Raises:
        UsageError: There is nothing, or nothing of ours.
        JobError: It is damaged.
    """
    from stylehead.export.recipe import FILMS, MESHES, PICTURES

    if path.is_dir():
        return _folder(path)
    if not path.exists():
        raise UsageError(f"{path} does not exist.")
    if path.name in _OF_A_RUN and (path.parent / "run.json").is_file():
        return _run(path.parent)
    suffix = path.suffix.lower()
    if suffix == ".safetensors":
        return _tensors(path)
    if suffix in (".npz", ".npy") or (suffix in (".pt", ".pth") and _is_latent(path)):
        return _latent(path)
    if suffix in (*PICTURES, *FILMS, *MESHES):
        return _recipe(path)
    if suffix in (".pkl", ".pth", ".pt", ".ckpt"):
        raise UsageError(f"{path} was not made by stylehead.", f"stylehead weights import {quoted(path)}")
    raise UsageError(f"{path} is no kind of file that stylehead makes.")


def _show(facts: Facts, path: Path, output: Output) -> None:
    rows = [("kind", facts.kind)]
    rows += [(name, str(value)) for name, value in facts.rows.items() if value not in (None, "", [], {})]
    data = {"kind": facts.kind, "path": path, **facts.data}
    output.result(Result(primary=(facts.kind,), rows=tuple(rows), data=data))
    if facts.next is not None:
        output.next(facts.next)


def _folder(path: Path) -> Facts:
    from stylehead.jobs.model_folders import describe_model, is_model
    from stylehead.runs import MANIFEST

    if (path / MANIFEST).is_file():
        return _run(path)
    rendered = path / "render.json"
    if rendered.is_file():
        content = read_json(rendered)
        return Facts("render", _words(content), content)
    if (path / "state.json").is_file() and (path.parent.parent / MANIFEST).is_file():
        return _checkpoint(path)
    if is_model(path):
        return Facts(*describe_model(path))
    runs = sorted(entry.parent for entry in path.glob(f"*/{MANIFEST}"))
    if runs:
        return _runs(runs)
    raise UsageError(f"{path} is a folder, but neither a run nor a render nor a model.", "ls runs renders")


def _runs(paths: list[Path]) -> Facts:
    """A folder of runs: one line for each."""
    rows: dict[str, object] = {}
    data: list[dict[str, Any]] = []
    for path in paths:
        try:
            facts = _run(path)
            steps, outcome = facts.rows.get("steps"), facts.data.get("outcome")
            what = facts.rows.get("prompt") or facts.rows.get("photo")
            rows[path.name] = ", ".join(str(part) for part in (outcome, what, steps) if part)
            data.append({"path": path, "kind": facts.kind, "outcome": outcome, "of": what})
        except (StyleheadError, OSError) as error:  # one that may not be read must not cost the others
            why = explain(error).message
            rows[path.name] = why
            data.append({"path": path, "error": why})
    return Facts(f"{len(paths)} runs", rows, {"runs": data}, f"stylehead info {quoted(paths[-1])}")


def _checkpoint(path: Path) -> Facts:
    from stylehead.runs import RunDirectory

    run = path.parent.parent
    whole = {item.path.name: item.step for item in RunDirectory.open(run).checkpoints()}
    step = whole.get(path.name)
    size = sum(file.stat().st_size for file in path.iterdir() if file.is_file())
    rows = {
        "run": run,
        "step": step,
        "size": format_bytes(size),
        "state": "whole" if path.name in whole else "damaged",
    }
    data = {"run": run, "step": step, "bytes": size, "whole": path.name in whole}
    return Facts("checkpoint", rows, data, f"stylehead stylize --resume {quoted(run)}")


def _run(path: Path) -> Facts:
    from stylehead.runs import RunDirectory, time_taken

    run = RunDirectory.open(path)
    manifest = run.manifest()
    config = manifest.get("config", {})
    outcome = manifest.get("outcome")
    if outcome == "running" and not run.busy():
        outcome = "killed"
    if manifest.get("job") == "invert":
        return _inversion(path, {**manifest, "outcome": outcome})
    logged = run.events()
    steps = logged[-1].get("step", 0) if logged else manifest.get("steps", 0)
    rows = {
        "outcome": outcome,
        "error": manifest.get("error"),
        "prompt": manifest.get("prompt"),
        "method": config.get("method"),
        "seed": config.get("seed"),
        "steps": f"{steps} of {config.get('iterations')}",
        "time": time_taken(manifest),
        **_circumstances(manifest),
        "checkpoints": ", ".join(str(item.step) for item in run.checkpoints()),
        "files": ", ".join(manifest.get("files", {}).values()),
        "licence": manifest.get("licence"),
    }
    data = {**manifest, "outcome": outcome, "steps": steps}
    if outcome in ("interrupted", "failed", "killed"):
        from stylehead.jobs.needs import lacks_of_run

        lacks = lacks_of_run(manifest)
        rows["lacks"], data["lacks"] = "; ".join(lacks), lacks
    return Facts("run", rows, data, _after_run(path, outcome))


def _circumstances(manifest: Mapping[str, Any]) -> dict[str, object]:
    peaks: Mapping[str, int] = manifest.get("peak_memory_bytes", {})
    return {
        "preset": manifest.get("preset"),
        "teacher": ", ".join(manifest.get("teacher", {}).values()),
        "device": manifest.get("device"),
        "precision": manifest.get("precision"),
        "peak memory": ", ".join(f"{name} {format_bytes(size)}" for name, size in peaks.items()),
        "started": manifest.get("started"),
    }


def _inversion(path: Path, manifest: Mapping[str, Any]) -> Facts:
    quality = manifest.get("quality") or {}
    rows = {
        "outcome": manifest["outcome"],
        "error": manifest.get("error"),
        "photo": manifest.get("photo"),
        "face": manifest.get("face"),
        "camera": f"yaw {quality['yaw_deg']:.1f}, pitch {quality['pitch_deg']:.1f} degrees"
        if quality
        else None,
        "identity": _rounded(quality.get("identity")),
        "outline": _rounded(quality.get("outline")),
        "doubts": "; ".join(quality.get("warnings", ())),
        "time": format_duration(manifest["seconds"]) if "seconds" in manifest else None,
        **_circumstances(manifest),
        "files": ", ".join(manifest.get("files", {}).values()),
        "licence": manifest.get("licence"),
    }
    command = f"stylehead invert --resume {quoted(path)}"
    if manifest["outcome"] == "finished":
        command = f"stylehead render --latent {quoted(path / 'latent.npz')}"
    return Facts("inversion", rows, manifest, None if manifest["outcome"] == "running" else command)


def _rounded(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}"


def _after_run(path: Path, outcome: str | None) -> str | None:
    if outcome == "finished":
        return _render_command(path / "style.safetensors")
    return None if outcome == "running" else f"stylehead stylize --resume {quoted(path)}"


def _render_command(style: Path) -> str:
    return f"stylehead render --seed 42 --yaw-steps 36 --style {quoted(style)}"


def _tensors(path: Path) -> Facts:
    from safetensors import SafetensorError, safe_open

    from stylehead.weights.recognise import recognise, use_of

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise JobError(f"{path} {tensor_damage(error)}.") from error
    numbers = sum(math.prod(shape) for shape in shapes.values())
    known = {key.removeprefix("stylehead."): value for key, value in metadata.items()}
    kind = _KINDS.get(known.pop("format", ""), _UNKNOWN)
    config = _config(known.pop("config", "{}"), path)
    rows: dict[str, object] = {**known, **_architecture(config)}
    if kind == "generator":
        rows["fingerprint"] = known["fingerprint"] = _fingerprint(path)
    for name in ("base", "fingerprint"):
        if name in rows:
            rows[name] = f"{str(rows[name])[:12]}…"
    rows["tensors"] = f"{len(shapes)} with {numbers:,} numbers, {format_bytes(path.stat().st_size)}"
    data = {**known, "config": config, "tensors": shapes, "numbers": numbers}
    foreign = recognise({name: tuple(shape) for name, shape in shapes.items()}) if kind == _UNKNOWN else None
    if foreign is not None:
        return Facts(foreign.title, rows, {**data, "model": foreign.name}, use_of(foreign, path))
    return Facts(kind, rows, data, _after_style(path, known) if kind == "style" else None)


def _after_style(path: Path, metadata: Mapping[str, str]) -> str:
    """A style is seen on any head, what one head's tuning changed on that head."""
    latent = path.with_name("latent.npz")
    if metadata.get("method") == "pti" and latent.is_file():
        return f"stylehead render --latent {quoted(latent)} --style {quoted(path)}"
    return _render_command(path)


def _config(text: str, path: Path) -> dict[str, Any]:
    from stylehead.architecture import GeneratorConfig

    if text == "{}":
        return {}
    try:
        return GeneratorConfig.from_json(text).to_dict()
    except (StyleheadError, TypeError, ValueError, AttributeError) as error:
        raise JobError(f"The configuration in the header of {path} is wrong: {error}") from error


def _fingerprint(path: Path) -> str:
    """What styles call their base: a hash of the weights, however the file was written."""
    from stylehead.generator.checkpoint import fingerprint, load_generator

    return fingerprint(load_generator(path, None)[1])


def _architecture(config: Mapping[str, Any]) -> dict[str, object]:
    """The sizes of a generator that matter to people."""
    if not config:
        return {}
    rendering = config["rendering"]
    return {
        "image": f"{config['img_resolution']} pixels (raw {config['neural_rendering_resolution']})",
        "latent": f"z {config['z_dim']}, w {config['w_dim']}",
        "tri-grid": f"{rendering['triplane_size']} texels, {rendering['triplane_depth']} slices",
    }


def _is_latent(path: Path) -> bool:
    from stylehead.inversion.latent_files import read_latent

    with contextlib.suppress(StyleheadError):
        return read_latent(path).ndim <= 3
    return False


def _latent(path: Path) -> Facts:
    import numpy as np

    from stylehead.geometry import LABEL_SIZE
    from stylehead.inversion.latent_files import read_latent

    array, names = read_latent(path), ["w"]
    if array.shape in ((LABEL_SIZE,), (1, LABEL_SIZE)):
        return _camera(path)
    if path.suffix.lower() == ".npz":
        with np.load(path, allow_pickle=False) as file:
            names = list(file.files)
    rows = {
        "shape": " x ".join(map(str, array.shape)),
        "mean": f"{array.mean():.4g}",
        "deviation": f"{array.std():.4g}",
        "finite": "yes" if np.isfinite(array).all() else "no: this file cannot be rendered",
        "camera": "yes" if "camera" in names else "no",
    }
    data = {"shape": list(array.shape), "finite": bool(np.isfinite(array).all()), "arrays": names}
    return Facts("latent", rows, data, f"stylehead render --latent {quoted(path)}")


def _camera(path: Path) -> Facts:
    from stylehead.inversion.camera_files import read_camera_file
    from stylehead.inversion.pose import pose_of_label

    label = read_camera_file(path)
    yaw, pitch = (math.degrees(angle) for angle in pose_of_label(label)[0, :2].tolist())
    rows = {"yaw": f"{yaw:.1f} degrees", "pitch": f"{pitch:.1f} degrees"}
    use = f"stylehead invert PICTURE --aligned --camera {quoted(path)}"
    return Facts("camera", rows, {"camera": label[0].tolist()}, use)


def _recipe(path: Path) -> Facts:
    from stylehead.export.dimensions import dimensions
    from stylehead.export.recipe import FILMS, MESHES, read_recipe

    recipe = read_recipe(path)
    suffix = path.suffix.lower()
    kind = "film" if suffix in FILMS else "mesh" if suffix in MESHES else "picture"
    return Facts(kind, {"size": dimensions(path), **_words(recipe)}, recipe)


def _words(recipe: Mapping[str, Any]) -> dict[str, object]:
    """A recipe for people."""
    words: dict[str, object] = {}
    for key, value in recipe.items():
        if key == "styles":
            words[key] = ", ".join(f"{item['prompt']} at {item['strength']:g}" for item in value)
        else:
            words[key.replace("_", " ")] = ", ".join(map(str, value)) if isinstance(value, list) else value
    return words
