"""Films: mp4, WebM, animated WebP and GIF, and folders of frames; all but mp4 keep opacity."""

import itertools
import math
import platform
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from stylehead.export.orbit import Shot
from stylehead.export.recipe import Recipe, exif, recipe_text, save_image
from stylehead.files import atomic_path
from stylehead.images import Pixels, on_white

DEFAULT_FPS = 18
"""36 steps around a head take two seconds."""


def write_mp4(path: Path, frames: Pixels, recipe: Recipe, *, fps: int = DEFAULT_FPS, crf: int = 16) -> None:
    """Write h264 in yuv420p, which every player and browser shows; needs no ffmpeg on the system.

    Colours are those of BT.709, and the file says so: players guess otherwise, by the size of the picture.

    Args:
        path: File to write, atomically.
        frames: [T, H, W, 3], or with opacity [T, H, W, 4], which goes onto white; an odd height or width
            grows by one white line, as yuv420p needs even ones.
        recipe: Goes into the comment.
        fps: Frames a second.
        crf: Quality, lower is better; 16 cannot be told from the original by eye.
    """
    options = {"crf": str(crf), "threads": "1", **_SAME_BYTES}
    _write(path, pad_to_even(on_white(frames)), recipe, fps, _Codec("mp4", "libx264", "yuv420p", options))


def write_webm(path: Path, frames: Pixels, recipe: Recipe, *, fps: int = DEFAULT_FPS, crf: int = 24) -> None:
    """Write VP9, with opacity where the frames have any: what browsers lay over a page.

    Args:
        path: File to write, atomically.
        frames: [T, H, W, 3] or [T, H, W, 4]; an odd height or width grows by one line.
        recipe: Goes into the comment.
        fps: Frames a second.
        crf: Quality, lower is better.
    """
    kind = "yuv420p" if frames.shape[-1] == 3 else "yuva420p"
    options = {"crf": str(crf), "b": "0", "threads": "1", "cpu-used": "4", "auto-alt-ref": "0"}
    _write(path, pad_to_even(frames), recipe, fps, _Codec("webm", "libvpx-vp9", kind, options))


class _Codec(NamedTuple):
    container: str
    name: str
    pixels: str
    options: Mapping[str, str]


def _write(path: Path, frames: Pixels, recipe: Recipe, fps: int, codec: _Codec) -> None:
    """Encode frames [T, H, W, C] of even size into a file, atomically."""
    import av
    from av.video.reformatter import Colorspace

    height, width, channels = frames.shape[1:]
    muxing = _MUXING if codec.container == "mp4" else {"fflags": "bitexact"}
    with (
        atomic_path(path) as part,
        av.open(str(part), "w", format=codec.container, options=muxing) as container,
    ):
        container.metadata["comment"] = recipe_text(recipe)
        stream: Any = container.add_stream(codec.name, rate=Fraction(fps), options=dict(codec.options))
        stream.width, stream.height, stream.pix_fmt = width, height, codec.pixels
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED
        for pixels in frames:
            whole = av.VideoFrame.from_ndarray(pixels, format="rgb24" if channels == 3 else "rgba")
            frame = whole.reformat(format=codec.pixels, dst_colorspace=Colorspace.ITU709)
            frame.colorspace, frame.color_range = _BT709, _LIMITED
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


_BT709, _LIMITED = 1, 1
"""Numbers of H.273: matrix, primaries and transfer of BT.709; and, of libavutil, bytes from 16 to 235."""


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
            duration=_delays_ms(len(frames), fps),
            loop=0,
            quality=88,
            exif=exif(recipe),
        )


def write_gif(path: Path, frames: Pixels, recipe: Recipe, *, fps: int = DEFAULT_FPS) -> None:
    """Write an endless GIF from frames [T, H, W, 3] or [T, H, W, 4], atomically.

    All frames share one palette, so nothing flickers. Opacity is all or nothing there. Delays are whole
    hundredths of a second that together keep the time, and at least two, below which browsers show ten: of
    faster films, frames are left out.
    """
    frames, rate = _at_most(frames, fps, _FASTEST_GIF)
    opaque = frames[..., :3]
    some = opaque[:: max(1, len(frames) // 8)]
    colours = 256 if frames.shape[-1] == 3 else 255
    palette = Image.fromarray(some.reshape(-1, *some.shape[2:])).quantize(colours, Image.Quantize.MEDIANCUT)
    dither = Image.Dither.FLOYDSTEINBERG
    first, *rest = [image.quantize(palette=palette, dither=dither) for image in _images(opaque)]
    clear: dict[str, Any] = {}
    if frames.shape[-1] == 4:
        first, *rest = [_cleared(image, rgba) for image, rgba in zip([first, *rest], frames, strict=True)]
        clear = {"transparency": _CLEAR_INDEX, "disposal": 2}
    with atomic_path(path) as part:
        first.save(
            part,
            save_all=True,
            append_images=rest,
            duration=_delays_ms(len(frames), rate, unit_ms=10),
            loop=0,
            comment=recipe_text(recipe).encode(),
            **clear,
        )


_FASTEST_GIF = 50
_CLEAR_INDEX = 255


def _cleared(image: Image.Image, rgba: Pixels) -> Image.Image:
    """A picture with a palette, clear where [H, W, 4] is less than half opaque."""
    indices = np.array(image)
    indices[rgba[..., 3] < 128] = _CLEAR_INDEX
    cleared = Image.fromarray(indices).convert("P")
    colours = image.getpalette() or []
    cleared.putpalette([*colours, *[255] * (768 - len(colours))])
    return cleared


def _at_most(frames: Pixels, fps: float, most: float) -> tuple[Pixels, float]:
    """Every second, third, ... of the frames, so that no more than `most` a second are left."""
    every = max(1, math.ceil(fps / most))
    return frames[::every], fps / every


def write_frames(folder: Path, frames: Pixels, recipe: Recipe, *, shots: Sequence[Shot]) -> list[Path]:
    """Write every frame as `frame_000.png` and so on into a folder, which is made.

    Args:
        folder: Where; its parent must exist.
        frames: [T, H, W, 3] or [T, H, W, 4].
        recipe: Goes into every picture, with its own `yaw_deg` and `pitch_deg`.
        shots: One camera a frame.

    Returns:
        The paths, in order.
    """
    folder.mkdir(exist_ok=True)
    digits = max(3, len(str(len(frames) - 1)))
    paths = [folder / f"frame_{index:0{digits}d}.png" for index in range(len(frames))]
    for path, pixels, shot in zip(paths, frames, shots, strict=True):
        save_image(path, pixels, {**recipe, **shot._asdict()})
    return paths


def side_by_side(left: Pixels, right: Pixels, *, gap: int = 4) -> Pixels:
    """Join frames [T, H, W, C] of two films, a thin gap between them: white, or clear where they are."""
    white = np.full((*left.shape[:2], gap, left.shape[-1]), 255, np.uint8)
    white[..., 3:] = 0
    return np.concatenate([left, white, right], axis=2)


def pad_to_even(frames: Pixels) -> Pixels:
    """Add a white (or clear) line below and right where the height or width of [T, H, W, C] is odd."""
    height, width = frames.shape[1:3]
    padded = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), constant_values=255)
    padded[:, height:, :, 3:] = 0
    padded[:, :, width:, 3:] = 0
    return padded


def _images(frames: Pixels) -> list[Image.Image]:
    return [Image.fromarray(pixels) for pixels in frames]


def _delays_ms(count: int, fps: float, *, unit_ms: int = 1) -> list[int]:
    """Delays of frames in whole units: each is rounded so that no error adds up."""
    marks = [round(1000 * frame / (fps * unit_ms)) for frame in range(count + 1)]
    return [unit_ms * (end - start) for start, end in itertools.pairwise(marks)]
