"""Reading a user's picture: any mode, any size, upright, in sRGB; or one sentence why not."""

import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError

from stylehead.errors import JobError, UsageError
from stylehead.inversion.heif import is_heif, read_heif

Bytes = NDArray[np.uint8]

SMALLEST = 32
"""Pixels of the shorter edge below which nothing can be recognised."""
MOST_PIXELS = 100_000_000
"""Pictures with more pixels are refused (JPEG files are counted after their own reduction by 2, 4 or 8)."""
LARGEST_EDGE = 4096
"""Larger pictures are reduced to this; no crop needs more."""

FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "TGA", "JPEG2000", "AVIF")
_HINT = "give a JPEG, PNG, WebP or TIFF picture"
_DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, AttributeError,
    OverflowError, ZeroDivisionError, NotImplementedError, struct.error, zlib.error,
)  # fmt: skip


class Photo(NamedTuple):
    """A picture that was read."""

    pixels: Bytes
    """[H, W, 3], upright, sRGB."""
    alpha: Bytes | None
    """[H, W], 255 = the head; None for an opaque picture."""
    notes: tuple[str, ...]
    """What the user may want to know about the reading, one sentence each."""


def read_photo(path: Path, *, largest_edge: int = LARGEST_EDGE) -> Photo:
    """Read a picture file.

    The first picture of an animation is taken; EXIF orientation is applied; 16-bit values are scaled to 8;
    CMYK and colour profiles are converted; memory stays bounded whatever the header claims.

    Args:
        path: The file.
        largest_edge: Larger pictures are reduced to this.

    Raises:
        UsageError: There is no such file.
        JobError: It is no picture, damaged, too small, too large, or without content.
    """
    _check_file(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what decoders find odd about a file is no news to its owner
        try:
            with Image.open(path, formats=_readable()) as image:
                return _read(image, path, largest_edge)
        except UnidentifiedImageError as error:
            if is_heif(path):
                return _read(read_heif(path), path, largest_edge)
            raise JobError(f"{path} is not a picture that can be read.", _HINT) from error
        except Image.DecompressionBombError as error:
            raise _too_large(path) from error
        except PermissionError:
            raise
        except MemoryError as error:
            raise JobError(f"{path} does not fit into memory.", "reduce it first") from error
        except _DAMAGE as error:
            raise JobError(f"{path} is damaged or cut short.", "export or download it again") from error


def _readable() -> list[str]:
    """Those of `FORMATS` that this build of Pillow knows."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise UsageError(f"{path} is a folder, not a picture.")
    if not path.exists():
        raise UsageError(f"There is no picture {path}.")
    if not path.is_file():
        raise UsageError(f"{path} is not a regular file.")
    if path.stat().st_size == 0:
        raise JobError(f"{path} is empty.", _HINT)


def _read(image: Image.Image, path: Path, largest_edge: int) -> Photo:
    notes = []
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
        notes.append(f"{path} is an animation: its first picture is used.")
    size = image.size
    if min(size) < SMALLEST:
        raise JobError(
            f"{path} is {size[0]}x{size[1]} pixels; at least {SMALLEST}x{SMALLEST} are needed.",
            "use a larger picture",
        )
    image.draft("RGB", (largest_edge, largest_edge))  # JPEG only: decodes at a fraction of the size
    if image.width * image.height > MOST_PIXELS:
        raise _too_large(path)
    image.load()
    upright = _upright(image)
    colour, alpha = _channels(upright, path)
    if max(colour.size) > largest_edge:
        colour.thumbnail((largest_edge, largest_edge), Image.Resampling.LANCZOS, reducing_gap=2.0)
        alpha = None if alpha is None else alpha.resize(colour.size, Image.Resampling.BOX)
    if max(size) > max(colour.size):
        notes.append(f"{path} is {size[0]}x{size[1]} pixels, reduced to {colour.width}x{colour.height}.")
    return Photo(np.array(colour), None if alpha is None else np.array(alpha), tuple(notes))


def _too_large(path: Path) -> JobError:
    return JobError(
        f"{path} claims more than {MOST_PIXELS // 1_000_000} million pixels.", "reduce the picture first"
    )


def _upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation; EXIF data that make no sense are passed over."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        return ImageOps.exif_transpose(image) if orientation in range(2, 9) else image
    except _DAMAGE:
        return image


def _channels(image: Image.Image, path: Path) -> tuple[Image.Image, Image.Image | None]:
    """Colour in 8-bit sRGB, and alpha when the picture has any transparency."""
    if image.mode.startswith(("I", "F")):
        return _deep_grey(image, path).convert("RGB"), None
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    if "transparency" in image.info and image.mode in ("L", "RGB"):
        image = image.convert("RGBA")
    alpha = None
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
        low, high = alpha.getextrema()
        if high == 0:
            raise JobError(f"{path} is fully transparent.", "give a picture with something on it")
        alpha = None if low == 255 else alpha
    return _srgb(image), alpha


def _srgb(image: Image.Image) -> Image.Image:
    """Convert to RGB, through the embedded colour profile when there is a usable one."""
    profile = image.info.get("icc_profile")
    if isinstance(profile, bytes) and image.mode in ("RGB", "RGBA", "CMYK", "L"):
        opaque = image.convert("RGB") if image.mode == "RGBA" else image
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            target = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(opaque, source, target, outputMode="RGB")
        except (ImageCms.PyCMSError, *_DAMAGE):
            return image.convert("RGB")
        if converted is not None:
            return converted
    return image.convert("RGB")


def _deep_grey(image: Image.Image, path: Path) -> Image.Image:
    """Grey values of 16 or 32 bits, whole or real, scaled to 8 bits."""
    values = np.asarray(image, dtype=np.float32)
    if not np.isfinite(values).all():
        raise JobError(f"{path} holds numbers that are not finite.", _HINT)
    top = float(values.max())
    scale = 255.0 if image.mode == "F" and top <= 1 else 1.0 if top <= 255 else 255 / 65535
    return Image.fromarray((values * scale).round().clip(0, 255).astype(np.uint8))
