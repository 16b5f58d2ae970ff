"""Turntables: mp4, animated WebP and GIF, and folders of frames."""

import platform
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from stylehead.export.recipe import Recipe, exif, recipe_text
from stylehead.export.stills import save_image
from stylehead.files import atomic_path
from stylehead.images import Pixels

DEFAULT_FPS = 18
"""36 steps around a head take two seconds."""


def write_mp4(path: Path, frames: Pixels, recipe: Recipe, *, fps: int = DEFAULT_FPS, crf: int = 16) -> None:
    """Write h264 in yuv420p, which every player and browser shows; needs no ffmpeg on the system.

    Args:
        path: File to write, atomically.
        frames: [T, H, W, 3]; an odd height or width grows by one white line, as yuv420p needs even ones.
        recipe: Goes into the comment.
        fps: Frames a second.
        crf: Quality, lower is better; 16 cannot be told from the original by eye.
    """
    import av

    frames = pad_to_even(frames)
    height, width = frames.shape[1:3]
    with atomic_path(path) as part, av.open(str(part), "w", format="mp4", options=_MUXING) as container:
        container.metadata["comment"] = recipe_text(recipe)
        stream = container.add_stream(
            "libx264", rate=Fraction(fps), options={"crf": str(crf), "threads": "1", **_SAME_BYTES}
        )
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))


_MUXING = {"movflags": "faststart", "fflags": "bitexact"}
"""The index goes first, so that a browser can start at once; no time of day."""
_SAME_BYTES = {"x264-params": "asm=SSE42"} if platform.machine() in ("x86_64", "AMD64") else {}
"""What x264 computes with later instructions depends on what was in memory before, in odd sizes."""


def write_webp(path: Path, frames: Pixels, recipe: Recipe, *, fps: int = DEFAULT_FPS) -> None:
    """Write an endless animated WebP from frames [T, H, W, 3], atomically."""
    first, *rest = _images(frames)
    with atomic_path(path) as part:
        first.save(
            part,
            save_all=True,
            append_images=rest,
            duration=_frame_ms(fps),
            loop=0,
            quality=88,
            exif=exif(recipe),
        )


def write_gif(path: Path, frames: Pixels, recipe: Recipe, *, fps: int = DEFAULT_FPS) -> None:
    """Write an endless GIF from frames [T, H, W, 3], atomically.

    All frames share one palette, so nothing flickers.
    """
    some = frames[:: max(1, len(frames) // 8)]
    palette = Image.fromarray(some.reshape(-1, *some.shape[2:])).quantize(256, Image.Quantize.MEDIANCUT)
    dither = Image.Dither.FLOYDSTEINBERG
    first, *rest = [image.quantize(palette=palette, dither=dither) for image in _images(frames)]
    with atomic_path(path) as part:
        first.save(
            part,
            save_all=True,
            append_images=rest,
            duration=_frame_ms(fps),
            loop=0,
            comment=recipe_text(recipe).encode(),
        )


def write_frames(folder: Path, frames: Pixels, recipe: Recipe, *, yaws_deg: Sequence[float]) -> list[Path]:
    """Write every frame as `frame_000.png` and so on into a folder, which is made.

    Args:
        folder: Where; its parent must exist.
        frames: [T, H, W, 3].
        recipe: Goes into every picture, with its own `yaw_deg`.
        yaws_deg: One angle a frame.

    Returns:
        The paths, in order.
    """
    folder.mkdir(exist_ok=True)
    digits = max(3, len(str(len(frames) - 1)))
    paths = [folder / f"frame_{index:0{digits}d}.png" for index in range(len(frames))]
    for path, pixels, yaw_deg in zip(paths, frames, yaws_deg, strict=True):
        save_image(path, pixels, {**recipe, "yaw_deg": yaw_deg})
    return paths


def side_by_side(left: Pixels, right: Pixels, *, gap: int = 4) -> Pixels:
    """Join frames [T, H, W, 3] of two films on a white ground, a thin gap between them."""
    white = np.full((*left.shape[:2], gap, 3), 255, np.uint8)
    return np.concatenate([left, white, right], axis=2)


def pad_to_even(frames: Pixels) -> Pixels:
    """Add a white line below and right where the height or width of [T, H, W, 3] is odd."""
    height, width = frames.shape[1:3]
    padding = ((0, 0), (0, height % 2), (0, width % 2), (0, 0))
    return np.pad(frames, padding, constant_values=255)


def _images(frames: Pixels) -> list[Image.Image]:
    return [Image.fromarray(pixels) for pixels in frames]


def _frame_ms(fps: int) -> int:
    return round(1000 / fps)
