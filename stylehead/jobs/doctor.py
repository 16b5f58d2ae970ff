"""The checks of `stylehead doctor`: each looks at one thing of this machine and says what it found."""

import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from stylehead.jobs import environment
from stylehead.jobs.failures import explain
from stylehead.units import format_bytes

State = Literal["ok", "note", "failed", "missing"]
EXTRAS = {
    "mesh": (("skimage", "fast_simplification", "xatlas", "trimesh", "scipy"), "meshes: render --mesh"),
    "viewer": (("viser",), "heads in the browser: view"),
    "mini": (("anny", "moderngl", "scipy"), "training the embedded models"),
}
"""Optional parts of the installation: what they import, and what they are for."""
ENOUGH_DISK = 5 * 10**9
SMOKE_PROMPT = "Pixar character"


class Check(NamedTuple):
    """What a check found.

    Attributes:
        name: What was looked at.
        state: `ok`, `note` (nothing is wrong, but worth knowing), `missing` (weights that were asked for), or
            `failed`.
        said: What was found, in words.
        hint: What to do about it.
    """

    name: str
    state: State
    said: str
    hint: str | None = None


def run_check(name: str, look: Callable[[], Check]) -> Check:
    """Run a check; whatever it raises is a failed check, not the end of the report."""
    try:
        return look()
    except Exception as error:  # a report of failures must not end with the first
        failure = explain(error)
        return Check(name, "failed", failure.message, failure.hint)


# ------------------------------------------------------------------------------------------------- machine


def machine() -> Iterator[Check]:
    """Look at Python, the processor, memory and the disk."""
    versions = environment.versions()
    yield Check(
        "stylehead",
        "ok",
        versions["stylehead"] + (f", commit {c[:12]}" if (c := versions.get("commit")) else ""),
    )
    yield Check("python", "ok", f"{versions['python']} on {versions['platform']}")
    names = ("torch", "diffusers", "transformers", "safetensors", "numpy", "av")
    yield Check("packages", "ok", ", ".join(f"{name} {versions[name]}" for name in names))
    yield Check("memory", "ok", _memory())
    free = shutil.disk_usage(Path.cwd()).free
    state: State = "ok" if free >= ENOUGH_DISK else "note"
    yield Check(
        "disk",
        state,
        f"{format_bytes(free)} free here",
        None if state == "ok" else "full-size runs need 5 GB",
    )
    yield run_check("opencv", opencv)
    yield from _extras()
    if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0"):
        yield Check("network", "note", "HF_HUB_OFFLINE is set: nothing is fetched")


def _memory() -> str:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return "not known on this system"
    return f"{format_bytes(total)}, {os.cpu_count()} processors ({platform.machine()})"


def _extras() -> Iterator[Check]:
    for name, (modules, purpose) in EXTRAS.items():
        lacking = [module for module in modules if importlib.util.find_spec(module) is None]
        if lacking:
            hint = f'pip install "stylehead[{name}]"'
            yield Check(
                f"extra {name}", "note", f"not installed ({purpose}; lacks {', '.join(lacking)})", hint
            )
        else:
            yield Check(f"extra {name}", "ok", f"installed ({purpose})")


def opencv() -> Check:
    """Look whether OpenCV can be imported, and the face detector read: they need a library of the system."""
    import cv2

    from stylehead.inversion.centerface import CenterFace

    CenterFace.load()
    return Check("opencv", "ok", f"{cv2.__version__}, with the face detector CenterFace")


def system() -> Iterator[Check]:
    """Say plainly what is not tested or not used."""
    import torch

    if sys.platform == "win32":
        yield Check("windows", "note", "nothing was ever tested on Windows; WSL 2 is Linux")
    if torch.backends.mps.is_available():
        yield Check("mps", "note", "not used: it has no doubles, which rank weighing needs; the CPU computes")


def libraries() -> Check:
    """Import what the diffusion libraries load late, and with them a torchvision, if there is one."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel, PreTrainedModel

    loaded = (AutoencoderKL, UNet2DConditionModel, CLIPTextModel, PreTrainedModel)
    return Check("libraries", "ok", f"{len(loaded)} classes of diffusers and transformers can be imported")


def gpu(device: str = "auto") -> Check:
    """Look for a GPU that PyTorch can use.

    Args:
        device: Which is meant; `auto` and `cpu` mean none in particular.

    Raises:
        MissingError: One is meant, and it is not there.
    """
    import torch

    if device.startswith("cuda"):
        environment.choose_device(device)
    if not torch.cuda.is_available():
        built = (
            f"this PyTorch is built for CUDA {torch.version.cuda}"
            if torch.version.cuda
            else "this PyTorch is for CPUs"
        )
        return Check("gpu", "note", f"none that PyTorch can use ({built}); the embedded models need none")
    device = device if device.startswith("cuda") else "cuda"
    free, total = torch.cuda.mem_get_info(device)
    half = "bf16 and fp16" if torch.cuda.is_bf16_supported() else "fp16, no bf16"
    name = torch.cuda.get_device_name(device)
    return Check(
        "gpu",
        "ok",
        f"{name}, {format_bytes(free)} of {format_bytes(total)} free, {half}, CUDA {torch.version.cuda}",
    )


# ------------------------------------------------------------------------------------------------- working


def encode() -> Check:
    """Write a film and read it back: pictures, size and recipe must be what went in."""
    import av
    import numpy as np

    from stylehead.export.recipe import read_recipe
    from stylehead.export.video import write_mp4

    ramp = np.linspace(0, 255, 64, dtype=np.uint8)
    frames = np.stack(
        [np.roll(np.tile(ramp[None, :, None], (64, 1, 3)), 8 * turn, axis=1) for turn in range(6)]
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "test.mp4"
        write_mp4(path, frames, {"command": "doctor"})
        with av.open(str(path)) as film:
            codec = film.streams.video[0].codec_context.name
            back = np.stack([frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)])
        recipe, size = read_recipe(path), path.stat().st_size
    if back.shape != frames.shape or recipe.get("command") != "doctor":
        return Check("film", "failed", f"an mp4 came back as {list(back.shape)}, not {list(frames.shape)}")
    error = float(np.abs(back.astype(np.int16) - frames).mean())
    if error > 12:
        return Check(
            "film", "failed", f"an mp4 came back with other pictures (mean error {error:.0f} of 255)"
        )
    return Check(
        "film", "ok", f"an mp4 of {len(back)} frames was written and read back ({codec}, {size} bytes)"
    )


def computes(device: str) -> Check:
    """Let a device do what training asks of it, and compare with what the CPU makes of the same numbers.

    Convolutions and attention in half precision with their gradients, a decomposition in doubles, random
    numbers, and a copy from pinned memory.
    """
    import torch
    from torch.nn import functional

    def work(place: str, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
        image = pinned.to(place, non_blocking=True).to(dtype).requires_grad_()
        kernel = torch.linspace(-0.1, 0.1, 8 * 4 * 9).reshape(8, 4, 3, 3).to(place, dtype)
        words = functional.conv2d(image, kernel, padding=1).flatten(2).unflatten(1, (2, 4)).transpose(2, 3)
        seen = functional.scaled_dot_product_attention(words, words, words)
        seen.float().square().sum().backward()
        assert image.grad is not None, "it is a leaf"
        exact = torch.linalg.eigvalsh(
            image.detach().double().flatten(2) @ image.detach().double().flatten(2).mT
        )
        return seen.detach().float().cpu(), image.grad.float().cpu(), exact.float().cpu()

    plain = torch.linspace(-1, 1, 2 * 4 * 256).reshape(2, 4, 16, 16)
    pinned = plain.pin_memory() if device.startswith("cuda") else plain
    rng = torch.Generator(device).manual_seed(1)
    drawn = torch.randn(8, generator=rng, device=device)
    if not bool(drawn.isfinite().all()):
        return Check("computes", "failed", f"{device} draws random numbers that are not finite")
    dtype = torch.float16 if device.startswith("cuda") else torch.float32
    for here, there in zip(work(device, dtype), work("cpu", torch.float32), strict=True):
        error = float((here - there).norm() / there.norm())
        if not error < 0.05:
            return Check(
                "computes", "failed", f"{device} and the CPU differ by {error:.1%} in half precision"
            )
    return Check("computes", "ok", f"{device}: convolutions, attention, gradients and doubles as on the CPU")


def smoke(device: str = "cpu") -> Check:
    """Take the embedded models through one step of everything: train, save a style, apply it, render.

    Args:
        device: Where.
    """
    import time

    import torch

    from stylehead.export.views import latent_from_seed, render_views
    from stylehead.generator import PanoHead, load_style, save_style
    from stylehead.jobs.stylize import stylizer_of
    from stylehead.jobs.training import Job
    from stylehead.methods.config import StylizeConfig
    from stylehead.weights.presets import mini_preset

    start, preset = time.perf_counter(), mini_preset()
    stylizer = stylizer_of(
        Job(StylizeConfig.from_dict({"prompt": SMOKE_PROMPT, "iterations": 1}), preset, device, 1)
    )
    record = stylizer.step()
    if record.non_finite:
        return Check("smoke", "failed", f"a training step was not finite ({', '.join(record.non_finite)})")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "style.safetensors"
        save_style(path, stylizer.generator, stylizer.reference, {"stylehead.prompt": SMOKE_PROMPT})
        fresh = PanoHead.load(preset.require_generator(), device)
        ws = latent_from_seed(fresh, 1, psi=0.7)
        before = render_views(fresh, ws, [0.0])
        load_style(path).apply(fresh)
        after = render_views(fresh, ws, [0.0])
    same = torch.equal(torch.from_numpy(before), torch.from_numpy(after))
    if same or before.std() < 1:
        return Check("smoke", "failed", "a trained style changed nothing" if same else "a render is empty")
    took = f"{time.perf_counter() - start:.0f} s ({environment.device_name(device)})"
    return Check("smoke", "ok", f"trained, saved, applied and rendered a style in {took}")


# ------------------------------------------------------------------------------------------------- weights


def embedded_weights() -> Check:
    """Look whether the files of the embedded preset are whole."""
    from stylehead.teacher import TeacherPaths
    from stylehead.weights.presets import mini_preset

    preset = mini_preset()
    generator, paths = preset.require_generator(), TeacherPaths(preset.require_teacher())
    files = [generator, *paths.weight_files().values()]
    lacking = [role for role, folder in paths.networks().items() if not (folder / "config.json").is_file()]
    if lacking:
        return Check(
            "preset mini", "failed", f"the embedded teacher lacks {', '.join(lacking)}", preset.repair
        )
    size = sum(path.stat().st_size for path in files)
    return Check("preset mini", "ok", f"{len(files)} files, {format_bytes(size)}, {preset.licence}")


def catalogued() -> Iterator[Check]:
    """Look which weights of the catalogue are here."""
    from stylehead.weights import catalogue

    for entry in catalogue.CATALOGUE.values():
        path = catalogue.local_path(entry.id)
        accepted = catalogue.accepted(entry.id)
        where = "not here" if path is None else f"here: {path}"
        terms = "" if accepted else ", not accepted"
        said = f"{where} ({entry.licence}{terms})"
        yield Check(f"weights {entry.id}", "note" if path is None or not accepted else "ok", said)
