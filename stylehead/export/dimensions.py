"""How large pictures, films and meshes are, in words."""

from pathlib import Path
from typing import Any

from PIL import Image

from stylehead.export.recipe import FILMS, MESHES, unreadable


def dimensions(path: Path) -> str | None:
    """Say how large a file's content is, such as "36 frames of 256x128" or "812 vertices, 1620 triangles".

    Returns:
        None for a mesh where the package that reads meshes is not installed.

    Raises:
        JobError: It is damaged; the sentence names it.
    """
    suffix = path.suffix.lower()
    try:
        if suffix in MESHES:
            return _of_mesh(path)
        return _of_film(path) if suffix in FILMS else _of_picture(path)
    except ImportError:
        return None
    except Exception as error:  # decoders raise what they like on damaged files
        raise unreadable(path, error) from error


def _of_picture(path: Path) -> str:
    with Image.open(path) as image:
        frames = getattr(image, "n_frames", 1)
        size = f"{image.width}x{image.height}"
    return f"{frames} frames of {size}" if frames > 1 else size


def _of_film(path: Path) -> str:
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        rate = f", {float(stream.average_rate):g} a second" if stream.average_rate else ""
        return f"{stream.frames} frames of {stream.width}x{stream.height}{rate}"


def _of_mesh(path: Path) -> str:
    import trimesh

    mesh: Any = trimesh.load(path, process=False, force="mesh")
    return f"{len(mesh.vertices)} vertices, {len(mesh.faces)} triangles"
