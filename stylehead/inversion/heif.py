"""HEIC pictures, as telephones make them, by pillow-heif where it is installed, else by PyAV.

pillow-heif is no dependency, as its wheels carry libraries under the GPL. PyAV, which writes our films, reads
files of one picture; most telephones store a picture in tiles, which it would take for the picture.
"""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stylehead.errors import JobError

_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")
_HINT = "convert it to JPEG (heif-convert, sips or a picture viewer do), or pip install pillow-heif"


def is_heif(path: Path) -> bool:
    """Whether a file begins as HEIC pictures do."""
    with path.open("rb") as file:
        head = file.read(12)
    return head[4:8] == b"ftyp" and head[8:12] in _BRANDS


def read_heif(path: Path) -> Image.Image:
    """Read a HEIC picture, upright.

    Raises:
        JobError: It is stored in tiles, or damaged.
    """
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
        return Image.open(path)
    return Image.fromarray(_decode(path))


def _decode(path: Path) -> NDArray[np.uint8]:
    import av

    try:
        with av.open(str(path)) as container:
            if len(container.streams.video) != 1:
                raise JobError(f"{path} is a HEIC picture stored in tiles, which cannot be read here.", _HINT)
            frame: Any = next(container.decode(video=0))
            return np.rot90(frame.to_ndarray(format="rgb24"), getattr(frame, "rotation", 0) // 90)
    except (av.FFmpegError, StopIteration, ValueError) as error:
        raise JobError(f"{path} is a HEIC picture that cannot be read here.", _HINT) from error
