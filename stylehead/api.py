"""The public door: what the commands do, from Python, with the same names and defaults.

Errors are `StyleheadError`s with a message and, often, a hint. What a command would print as a warning is a
`UserWarning`; its notes go to the logger `stylehead`.
"""

import inspect
from collections.abc import Sequence
from dataclasses import fields
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from stylehead.export.orbit import Easing
from stylehead.jobs import evaluate as evaluate_job
from stylehead.jobs import invert as invert_job
from stylehead.jobs import render as render_job
from stylehead.jobs import stylize as stylize_job
from stylehead.jobs.arguments import (
    YAWS,
    Device,
    EvaluateArguments,
    InvertArguments,
    RenderArguments,
    StylizeArguments,
)
from stylehead.jobs.callback import CallbackReport, OnStep, Step
from stylehead.jobs.evaluate import Evaluated
from stylehead.jobs.failures import explain
from stylehead.jobs.projecting import InvertRun
from stylehead.jobs.render import Rendered
from stylehead.jobs.training import StylizeRun
from stylehead.methods.config import ProfileName, StylizeConfig
from stylehead.methods.qualities import QualityName
from stylehead.methods.registry import BUILT_IN, DEFAULT, settings_class
from stylehead.weights.presets import PresetName

__all__ = [
    "Evaluated", "InvertRun", "Rendered", "Step", "StylizeRun", "evaluate", "invert", "render", "stylize",
]  # fmt: skip

AnyPath = str | PathLike[str]


def stylize(  # noqa: PLR0913
    prompt: str | None = None,
    *,
    profile: ProfileName = "default",
    quality: QualityName | None = None,
    config: AnyPath | None = None,
    device: Device = "auto",
    out: AnyPath | None = None,
    resume: AnyPath | None = None,
    overwrite: bool = False,
    keep_checkpoints: int = 0,
    log_with: Literal["tensorboard", "wandb"] | None = None,
    progress: OnStep | None = None,
    **settings: Any,
) -> StylizeRun:
    """Train the generator towards a prompt; `stylehead stylize`.

    Args:
        prompt: What every head is to become, in words; needed unless a run is resumed.
        profile: Settings to start from: default, paper (its equations) or release (the published script).
        quality: Preset of numbers: quick, good (the usual) or best.
        config: File of settings to start from, such as the `config.json` of a run.
        device: Where to compute.
        out: Folder of the run; a new one under `runs` when not given.
        resume: Go on with this stopped run.
        overwrite: Replace the run in `out`.
        keep_checkpoints: Checkpoints that stay when the run is finished; until then the newest two do.
        log_with: Where else the numbers of every step go; the one place where a run may reach the network.
        progress: Called after every step, for example `print`.
        **settings: Fields of `StylizeConfig`, such as `iterations`.

    Returns:
        The finished run: its style file, its folder and what every step logged.

    Raises:
        UsageError: An argument is out of range, or arguments do not go together.
        MissingError: Weights are missing; the hint says how to get them.
        StoppedError: The user pressed Ctrl-C; a checkpoint is there.
    """
    given = {**({} if prompt is None else {"prompt": prompt}), **settings}
    arguments = StylizeArguments(
        settings={name: tuple(v) if isinstance(v, list) else v for name, v in given.items()},
        profile=profile, quality=quality, config=_path(config), device=device, out=_path(out),
        resume=_path(resume), overwrite=overwrite, keep_checkpoints=keep_checkpoints, log_with=log_with,
    )  # fmt: skip
    return stylize_job.stylize(arguments, CallbackReport(progress), command=_call("stylize", arguments))


def render(  # noqa: PLR0913
    *,
    seed: int | None = None,
    seeds: str | Sequence[int] | None = None,
    latent: AnyPath | Sequence[AnyPath] = (),
    psi: float = StylizeConfig.psi,
    preset: PresetName = "auto",
    device: Device = "auto",
    style: AnyPath | Sequence[AnyPath] = (),
    strength: float | Sequence[float] = (),
    side_by_side: bool = False,
    yaw_steps: int = 36,
    seconds: float | None = None,
    easing: Easing = "linear",
    pitch: float = 0.0,
    pitch_swing: float = 0.0,
    morph: bool = False,
    size: int | None = None,
    background: str = "white",
    format: str = "mp4,frames,sheet",
    fps: int = 18,
    out: AnyPath | None = None,
    overwrite: bool = False,
    mesh: AnyPath | None = None,
    mesh_resolution: int = 192,
    mesh_level: float | None = None,
    triangles: int = 40_000,
    progress: OnStep | None = None,
) -> Rendered:
    """Render heads from all sides; `stylehead render`, but written only where `out` or `mesh` say.

    Args:
        seed: Which head to draw; 0 when neither `seeds` nor `latent` are given.
        seeds: Several heads, such as "1,2,5-8", or numbers.
        latent: A head from a latent file, or several.
        psi: Truncation: 1 draws every head, 0 the average one.
        preset: Which weights to use.
        device: Where to compute.
        style: Name, file or run folder of a style, or several that act together.
        strength: How strongly each acts, 0 to 2; 1 when none are given.
        side_by_side: Source left, stylised right.
        yaw_steps: Views once around the head.
        seconds: Length of the film: so many views as `fps` makes of it, in place of `yaw_steps`.
        easing: How the camera goes round: "linear", or "smooth" from rest to rest.
        pitch: Nominal pitch in degrees; above 0 looks from below.
        pitch_swing: Degrees by which the pitch rises and falls on the way round.
        morph: One film from head to head, or from style to style, and back.
        size: Edge of the pictures, pixels; the generator's own when not given.
        background: white, transparent, learned, a colour name or #rrggbb.
        format: Kinds of files in `out`: mp4, webm, webp, gif, frames, sheet.
        fps: Frames a second of films.
        out: Folder for the files.
        overwrite: Replace earlier files.
        mesh: Also write a mesh: out.glb, out.obj, out.ply or out.stl.
        mesh_resolution: Grid points along an edge of the box.
        mesh_level: Density on the surface; where renders see it when not given.
        triangles: Most triangles of the mesh.
        progress: Called after every view, for example `print`.

    Returns:
        The pictures of the first head, uint8 [V, H, W, 3] ([V, H, W, 4] when transparent), and all films.

    Raises:
        UsageError: An argument is out of range, or arguments do not go together.
        MissingError: Weights are missing; the hint says how to get them.
    """
    arguments = RenderArguments(
        seed=seed, seeds=seeds if seeds is None or isinstance(seeds, str) else ",".join(map(str, seeds)),
        latent=_paths(latent), psi=psi, preset=preset, device=device, style=_words(style),
        strength=tuple(strength) if isinstance(strength, Sequence) else (strength,),
        side_by_side=side_by_side, yaw_steps=yaw_steps, seconds=seconds, easing=easing, pitch=pitch,
        pitch_swing=pitch_swing, morph=morph, size=size, background=background, format=format, fps=fps,
        out=_path(out), overwrite=overwrite, mesh=_path(mesh), mesh_resolution=mesh_resolution,
        mesh_level=mesh_level, triangles=triangles,
    )  # fmt: skip
    rendered = render_job.render(arguments, CallbackReport(progress))
    if arguments.out is not None:
        rendered.write()
    elif arguments.mesh is not None:
        rendered.save(arguments.mesh)
    return rendered


def invert(  # noqa: PLR0913
    photo: AnyPath | None = None,
    *,
    face: int | None = None,
    aligned: bool = False,
    camera: str | None = None,
    steps: int = 80,
    starts: int = 4,
    identity_weight: float = 0.1,
    latent_weight: float = 0.03,
    seed: int = 0,
    pti: bool = False,
    pti_steps: int = 100,
    preset: PresetName = "auto",
    device: Device = "auto",
    out: AnyPath | None = None,
    resume: AnyPath | None = None,
    overwrite: bool = False,
    fail_under: str | None = None,
    progress: OnStep | None = None,
) -> InvertRun:
    """Find the head of a photograph; `stylehead invert`.

    Args:
        photo: The picture; needed unless a run is resumed.
        face: Which face: 1 is the largest.
        aligned: The picture is cropped to the head already.
        camera: Camera of an aligned picture: "YAW,PITCH" in degrees, or a file; found when not given.
        steps: Steps of the head that is kept.
        starts: Starts that are tried.
        identity_weight: Weight of the face's identity.
        latent_weight: How strongly the head is held near the mean one.
        seed: Of the noise.
        pti: Then tune a copy of the generator, and save what changed as a style file.
        pti_steps: Steps of the tuning.
        preset: Which weights to use.
        device: Where to compute.
        out: Folder of the run; a new one under `runs` when not given.
        resume: Go on with this stopped run, or add the tuning to it.
        overwrite: Replace the run in `out`.
        fail_under: Least similarity of the face, or "likeness"; `missed` of the run says how it fails.
        progress: Called after every step, for example `print`.

    Returns:
        The finished run: its latent file, its folder, and how good the likeness is.

    Raises:
        UsageError: An argument is out of range, or arguments do not go together.
        MissingError: Weights are missing; the hint says how to get them.
        JobError: There is no face.
    """
    arguments = InvertArguments(
        photo=_path(photo), face=face, aligned=aligned, camera=camera, steps=steps, starts=starts,
        identity_weight=identity_weight, latent_weight=latent_weight, seed=seed, pti=pti,
        pti_steps=pti_steps, preset=preset, device=device, out=_path(out), resume=_path(resume),
        overwrite=overwrite, fail_under=fail_under,
    )  # fmt: skip
    return invert_job.invert(arguments, CallbackReport(progress), command=_call("invert", arguments))


def evaluate(  # noqa: PLR0913
    *,
    runs: AnyPath | Sequence[AnyPath] = (),
    images: AnyPath | Sequence[AnyPath] = (),
    methods: str | None = None,
    prompts: str | Sequence[str] = (),
    ablation: bool = False,
    iterations: int | None = None,
    minutes: float | None = None,
    identities: int = 40,
    yaws: str | Sequence[float] = YAWS,
    psi: float | None = None,
    batch: int = 16,
    preset: PresetName = "auto",
    device: Device = "auto",
    reference: str = "auto",
    clip: str | None = None,
    faces: str | None = None,
    depth_model: str | None = None,
    inception: AnyPath | None = None,
    force_fid: bool = False,
    report: AnyPath | None = None,
    csv: AnyPath | None = None,
    fail_under: str | Sequence[str] = (),
    fail_over: str | Sequence[str] = (),
    workers: int | None = None,
    address: str | None = None,
    progress: OnStep | None = None,
) -> Evaluated:
    """Measure finished runs, or train and compare methods; `stylehead eval`.

    Args:
        runs: A run, or a folder of runs, or several; `runs` when not given.
        images: A folder of pictures in place of a run, or several.
        methods: Methods to compare: all, or names like "ld,sds".
        prompts: A prompt, or several; or paper, its five styles; or all, the embedded world's six.
        ablation: The paper's ladder, SDS to ours, at equal budget.
        iterations: Budget of every run that is trained; that of `stylize` when not given.
        minutes: The same as a time: every method has the steps that fit, at the pace of two idle cores.
        identities: People, seeds 0, 1, 2, ...
        yaws: Sides, in degrees.
        psi: Truncation of the heads; 1 where true pictures are known, else 0.75, when not given.
        batch: Pictures that encoders see at once.
        preset: Which weights to use.
        device: Where to compute.
        reference: What distributions are compared with: truth, teacher or a folder.
        clip: CLIP model, a folder or hub id.
        faces: InsightFace models, a folder.
        depth_model: Monocular depth network, a folder or hub id.
        inception: Inception weights of torch-fidelity.
        force_fid: Frechet distances over too few pictures as well.
        report: Page with tables, pictures, best and worst cases.
        csv: File with one line for each number.
        fail_under: Limits below which a run counts as failed, such as "id=0.6".
        fail_over: Limits above which it does, such as "dd_geo=0.1".
        workers: Processes that train, render and measure, of one thread each; this one when not given.
        address: Of a Ray cluster that does.
        progress: Called after every step and every head, for example `print`.

    Returns:
        The table, and a sentence for every limit that was missed.

    Raises:
        UsageError: An argument is out of range, or arguments do not go together.
        MissingError: Weights are missing; the hint says how to get them.
    """
    arguments = EvaluateArguments(
        runs=_paths(runs), images=_paths(images), methods=methods, prompts=_texts(prompts),
        ablation=ablation, iterations=iterations, minutes=minutes, identities=identities,
        yaws=yaws if isinstance(yaws, str) else ",".join(f"{yaw:g}" for yaw in yaws), psi=psi, batch=batch,
        preset=preset, device=device, reference=reference, clip=clip, faces=faces, depth_model=depth_model,
        inception=_path(inception), force_fid=force_fid, report=_path(report), csv=_path(csv),
        fail_under=_texts(fail_under), fail_over=_texts(fail_over), workers=workers, address=address,
    )  # fmt: skip
    caller = CallbackReport(progress)
    found = evaluate_job.evaluate(arguments, caller, command=_call("evaluate", arguments))
    if found.unwritten is not None:
        caller.warn(explain(found.unwritten).message)
    return found


def _path(path: AnyPath | None) -> Path | None:
    return None if path is None else Path(path)


def _paths(paths: AnyPath | Sequence[AnyPath]) -> tuple[Path, ...]:
    return (Path(paths),) if isinstance(paths, str | PathLike) else tuple(map(Path, paths))


def _words(styles: AnyPath | Sequence[AnyPath]) -> tuple[str | Path, ...]:
    """Words stay words: a style may be meant by its name."""
    several = (styles,) if isinstance(styles, str | PathLike) else styles
    return tuple(each if isinstance(each, str) else Path(each) for each in several)


def _texts(texts: str | Sequence[str]) -> tuple[str, ...]:
    return (texts,) if isinstance(texts, str) else tuple(texts)


def _call(function: str, arguments: Any) -> str:
    """Write the call as a manifest remembers it: what differs from the defaults."""
    usual = type(arguments)()
    changed = {
        item.name: value
        for item in fields(arguments)
        if (value := getattr(arguments, item.name)) != getattr(usual, item.name)
    }
    settings = changed.pop("settings", {})
    words = [
        f"{name}={str(v) if isinstance(v, Path) else v!r}" for name, v in {**settings, **changed}.items()
    ]
    return f"stylehead.{function}({', '.join(words)})"


def _whole_signature() -> inspect.Signature:
    """The signature of `stylize` with the settings of all methods in it, those of the default one first."""
    signature = inspect.signature(stylize)
    found = {name: item for name, item in signature.parameters.items() if item.kind is not item.VAR_KEYWORD}
    named = inspect.Parameter("method", inspect.Parameter.KEYWORD_ONLY, default=DEFAULT, annotation=str)
    found["method"] = named
    for method in BUILT_IN:
        for item in fields(settings_class(method)):
            kind = inspect.Parameter.KEYWORD_ONLY
            found.setdefault(
                item.name, inspect.Parameter(item.name, kind, default=item.default, annotation=item.type)
            )
    return signature.replace(parameters=list(found.values()))


stylize.__signature__ = _whole_signature()  # type: ignore[attr-defined]
