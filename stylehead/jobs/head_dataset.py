"""Heads for a data set: thousands of seeds from all sides, by workers, as folders or WebDataset shards.

A part is some heads; its lines of the manifest come last, so that a job that was killed goes on with the
parts that are missing. A part has the same bytes whoever draws it.
"""

import functools
import hashlib
import io
import json
import math
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from PIL import Image

from stylehead.errors import StyleheadError, UsageError
from stylehead.export.recipe import png_info, save_image
from stylehead.export.views import latent_from_seed, render_views, turntable_yaws
from stylehead.files import atomic_path, atomic_write, json_text, read_json, write_json
from stylehead.folders import hold, is_vacant
from stylehead.generator import PanoHead, mix_styles
from stylehead.geometry import camera_from_angles
from stylehead.images import Pixels
from stylehead.inversion.latents import save_latent
from stylehead.jobs import environment
from stylehead.jobs.arguments import RenderArguments
from stylehead.jobs.checks import check_styles, parse_seeds
from stylehead.jobs.engines import open_engine, usual_gpu_share
from stylehead.jobs.failures import StoppedError
from stylehead.jobs.named_heads import load_styles
from stylehead.jobs.report import Report, Result
from stylehead.jobs.signals import StopRequest
from stylehead.sweeps import Driver, Task
from stylehead.weights.presets import find_preset, resolve_preset

Kind = Literal["frames", "tar"]
HEADS_A_PART = 50
MOST_HEADS = 10_000_000
MANIFEST, LINES, PARTS = "dataset.json", "manifest.jsonl", "parts"
_PART = "stylehead.jobs.head_dataset:draw_part"
_USUAL = RenderArguments()
_NOT_HERE = ("seed", "latent", "side_by_side", "morph", "size", "mesh", "seconds", "pitch_swing", "overwrite")


class DataSet(NamedTuple):
    """What is drawn, as plain values that every worker gets.

    Attributes:
        seeds: Of all heads.
        kind: Folders of frames, or WebDataset shards.
        facts: What decides about the pictures; a folder holds heads of one kind only.
        gpus: Share of a GPU that a worker needs.
    """

    seeds: list[int]
    kind: Kind
    facts: dict[str, Any]
    gpus: float

    def parts(self) -> list[list[int]]:
        """Return the seeds of every part."""
        return [self.seeds[start : start + HEADS_A_PART] for start in range(0, len(self.seeds), HEADS_A_PART)]


def draw_heads(
    arguments: RenderArguments, report: Report, *, command: str, workers: int | None, address: str | None
) -> Result:
    """Draw the heads of many seeds.

    Args:
        arguments: What to draw; `seeds` names whom, `format` is `frames` (folders) or `tar` (WebDataset).
        report: Where progress goes.
        command: How it was asked for; the same command goes on.
        workers: Processes of one thread each.
        address: Of a Ray cluster.

    Raises:
        UsageError: The arguments do not go together, or the folder holds something else.
        StoppedError: The user pressed Ctrl-C; the same command goes on.
        StyleheadError: Weights or styles cannot be used.
    """
    if workers is not None and workers < 1:
        raise UsageError(f"`--workers` (={workers}) must be at least 1.")
    wanted, cameras = plan_heads(arguments, report)
    digest = hashlib.sha256(json_text([wanted.facts, wanted.seeds]).encode()).hexdigest()[:8]
    folder = arguments.out or Path("renders") / f"heads-{digest}"
    check_dataset_folder(folder, wanted)
    with hold(folder, "drawing heads into"):
        (folder / PARTS).mkdir(exist_ok=True)
        write_json(folder / MANIFEST, {**_stored(wanted), "complete": False, "cameras": cameras})
        parts = wanted.parts()
        missing = [number for number in range(len(parts)) if not _lines_of(folder, number).is_file()]
        given = {"facts": wanted.facts, "kind": wanted.kind, "folder": str(folder)}
        tasks = [
            Task(
                f"part {number}", _PART, {**given, "seeds": parts[number], "number": number}, gpus=wanted.gpus
            )
            for number in missing
        ]
        _drive(tasks, report, command, workers, address, arguments.device, done=len(parts) - len(missing))
        lines = [_lines_of(folder, number).read_text(encoding="utf-8") for number in range(len(parts))]
        atomic_write(folder / LINES, "".join(lines))
        write_json(folder / MANIFEST, {**_stored(wanted), "complete": True, "cameras": cameras})
    rows = (("folder", folder), ("heads", str(len(wanted.seeds))), ("manifest", folder / LINES))
    return Result((folder,), rows, {"folder": folder, "heads": len(wanted.seeds), **wanted.facts})


def plan_heads(arguments: RenderArguments, report: Report) -> tuple[DataSet, list[dict[str, Any]]]:
    """Read what is to be drawn, and from where.

    Raises:
        UsageError: Something does not go with data sets.
        StyleheadError: Weights or styles cannot be used.
    """
    kind = _kind(arguments)
    seeds = parse_seeds(arguments.seeds or "", most=MOST_HEADS)
    check_styles(arguments.style, arguments.strength)
    weights, why = resolve_preset(arguments.preset)
    report.note(why)
    device = environment.choose_device(arguments.device)
    generator = PanoHead.load(weights.require_generator(), "cpu")
    styles = load_styles(generator, arguments.style, arguments.strength)
    facts = {
        "preset": weights.name,
        "generator": generator.fingerprint(),
        "licence": weights.licence,
        "styles": [{**choice.recipe(), "path": str(choice.path.absolute())} for choice in styles],
        "psi": arguments.psi,
        "yaw_steps": arguments.yaw_steps,
        "pitch_deg": arguments.pitch,
        "background": arguments.background,
        "device": device,
    }
    cameras = [
        {"yaw_deg": yaw, "camera": label.tolist()}
        for yaw, label in zip(turntable_yaws(arguments.yaw_steps), _labels(facts), strict=True)
    ]
    size = generator.config.img_resolution
    gpus = usual_gpu_share(size) if device.startswith("cuda") else 0.0
    return DataSet(seeds, kind, facts, gpus), cameras


def _kind(arguments: RenderArguments) -> Kind:
    if arguments.seeds is None:
        raise UsageError("`--workers` draws the heads of many seeds.", "add --seeds 0-999")
    for name in _NOT_HERE:
        if getattr(arguments, name) != getattr(_USUAL, name):
            raise UsageError(f"`--{name.replace('_', '-')}` does not go with `--workers`.")
    if arguments.background == "transparent":
        raise UsageError("`--background` (=transparent) does not go with `--workers`.")
    found = "frames" if arguments.format == _USUAL.format else arguments.format
    if found not in ("frames", "tar"):
        raise UsageError(f"`--format` (={found}) must be frames or tar (WebDataset) with `--workers`.")
    return "tar" if found == "tar" else "frames"


def _labels(facts: dict[str, Any]) -> torch.Tensor:
    yaws = torch.tensor([math.radians(yaw) for yaw in turntable_yaws(facts["yaw_steps"])])
    return camera_from_angles(yaws, math.radians(facts["pitch_deg"]))


def check_dataset_folder(folder: Path, wanted: DataSet) -> None:
    """Say no when a folder holds something else than a part of these heads.

    Raises:
        UsageError: It does.
    """
    if not folder.exists() or (folder.is_dir() and is_vacant(folder)):
        return
    if not (folder / MANIFEST).is_file():
        raise UsageError(f"{folder} is not empty and holds no data set.", "choose another --out")
    held = read_json(folder / MANIFEST)
    if {name: held.get(name) for name in _stored(wanted)} != json.loads(json_text(_stored(wanted))):
        raise UsageError(f"{folder} holds other heads, or heads drawn otherwise.", "choose another --out")


def _stored(wanted: DataSet) -> dict[str, Any]:
    return {
        "format": 1,
        "kind": wanted.kind,
        "heads": len(wanted.seeds),
        "seeds": _spans(wanted.seeds),
        **wanted.facts,
    }


def _spans(seeds: list[int]) -> str:
    """Write seeds as ranges, "0-9999"."""
    spans: list[list[int]] = []
    for seed in seeds:
        if spans and seed == spans[-1][1] + 1:
            spans[-1][1] = seed
        else:
            spans.append([seed, seed])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)


def _lines_of(folder: Path, number: int) -> Path:
    return folder / PARTS / f"{number:06d}.jsonl"


def _drive(
    tasks: list[Task], report: Report, command: str, workers: int | None, address: str | None,
    device: str, *, done: int,
) -> None:  # fmt: skip
    if not tasks:
        return
    engine = open_engine(address=address, workers=workers, device=environment.choose_device(device))
    count = [done]
    try:
        with (
            StopRequest(lambda: report.note("Stopping; Ctrl-C again stops at once.")) as stop,
            report.progress(total=done + len(tasks), done=done, label="Drawing", unit="part") as shown,
        ):

            def ended(_: object) -> None:
                count[0] += 1
                shown.update(count[0])

            found = Driver(engine, on_end=ended, asked=lambda: stop.asked).run(tasks)
    finally:
        engine.close()
    for one in found.values():
        if one.how == "stopped":
            raise StoppedError("Stopped; what is drawn stays.", f"{command}   (goes on from here)")
        if one.how != "done":
            raise StyleheadError(f"{one.task.name}: {one.error}", one.hint)


# ----------------------------------------------------------------------------------- what a worker does


def draw_part(*, facts: dict[str, Any], kind: Kind, folder: str, seeds: list[int], number: int) -> int:
    """Draw some heads, in a worker; returns how many."""
    generator = _generator(json.dumps(facts, sort_keys=True))
    where, drawn = Path(folder), _drawn(generator, facts, seeds)
    lines = _write_tar(where, number, drawn, facts) if kind == "tar" else _write_folders(where, drawn, facts)
    atomic_write(_lines_of(where, number), "".join(json_text(line) + "\n" for line in lines))
    return len(seeds)


@functools.lru_cache(maxsize=1)
def _generator(facts: str) -> PanoHead:
    """Load the generator with its styles once in the life of a worker."""
    held = json.loads(facts)
    generator = PanoHead.load(find_preset(held["preset"]).preset.require_generator(), held["device"])
    styles = held["styles"]
    choices = load_styles(
        generator, [Path(one["path"]) for one in styles], [one["strength"] for one in styles]
    )
    if choices:
        mix_styles([(choice.style, choice.strength) for choice in choices]).apply(generator)
    return generator


def _drawn(
    generator: PanoHead, facts: dict[str, Any], seeds: list[int]
) -> Iterator[tuple[int, torch.Tensor, Pixels]]:
    yaws = turntable_yaws(facts["yaw_steps"])
    for seed in seeds:
        ws = latent_from_seed(generator, seed, psi=facts["psi"])
        pitch, backdrop = facts["pitch_deg"], facts["background"]
        yield seed, ws, render_views(generator, ws, yaws, pitch_deg=pitch, backdrop=backdrop)


def _recipe(facts: dict[str, Any], seed: int, yaw: float) -> dict[str, Any]:
    shown = {name: facts[name] for name in ("preset", "psi", "pitch_deg", "background", "licence")}
    styles = [{name: one[name] for name in ("prompt", "strength", "base")} for one in facts["styles"]]
    return {"command": "render", "heads": [f"seed-{seed}"], "styles": styles, "yaw_deg": yaw, **shown}


def _write_folders(
    folder: Path, drawn: Iterator[tuple[int, torch.Tensor, Pixels]], facts: dict[str, Any]
) -> list[dict[str, Any]]:
    lines, yaws = [], turntable_yaws(facts["yaw_steps"])
    for seed, ws, frames in drawn:
        inside = folder / f"seed-{seed}"
        inside.mkdir(exist_ok=True)
        names = [f"frame_{index:03d}.png" for index in range(len(frames))]
        for name, pixels, yaw in zip(names, frames, yaws, strict=True):
            save_image(inside / name, pixels, _recipe(facts, seed, yaw))
        save_latent(inside / "latent.npz", ws, None)
        files = [f"{inside.name}/{name}" for name in names]
        lines.append({"seed": seed, "latent": f"{inside.name}/latent.npz", "files": files})
    return lines


def _write_tar(
    folder: Path, number: int, drawn: Iterator[tuple[int, torch.Tensor, Pixels]], facts: dict[str, Any]
) -> list[dict[str, Any]]:
    """Write a shard: a sample a view, `KEY.png`, `KEY.json` (seed, yaw, camera) and `KEY.w.npy`."""
    lines, yaws = [], turntable_yaws(facts["yaw_steps"])
    labels = _labels(facts).tolist()
    path = folder / f"heads-{number:06d}.tar"
    with atomic_path(path) as part, tarfile.open(part, "w", format=tarfile.USTAR_FORMAT) as shard:
        for seed, ws, frames in drawn:
            latent = _npy(ws)
            keys = [f"{seed:010d}_{index:03d}" for index in range(len(frames))]
            for key, pixels, yaw, label in zip(keys, frames, yaws, labels, strict=True):
                about = {"seed": seed, "yaw_deg": yaw, "pitch_deg": facts["pitch_deg"], "camera": label}
                _add(shard, f"{key}.png", _png(pixels, _recipe(facts, seed, yaw)))
                _add(shard, f"{key}.json", json_text(about).encode())
                _add(shard, f"{key}.w.npy", latent)
            lines.append({"seed": seed, "shard": path.name, "keys": keys})
    return lines


def _png(pixels: Pixels, recipe: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", pnginfo=png_info(recipe))
    return buffer.getvalue()


def _npy(ws: torch.Tensor) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, ws.detach().cpu().float().numpy(), allow_pickle=False)
    return buffer.getvalue()


def _add(shard: tarfile.TarFile, name: str, data: bytes) -> None:
    """Add a member without time or owner: equal heads give equal shards."""
    member = tarfile.TarInfo(name)
    member.size = len(data)
    shard.addfile(member, io.BytesIO(data))
