"""The recipe of a picture, film or mesh: how it was made, carried inside the file itself.

A recipe is a JSON object. It sits in a PNG text chunk, in the EXIF description of JPEG and WebP, in the
comment of GIF and MP4, in the `extras` of a GLB asset, and in the comment lines of PLY and OBJ.
STL has no room for one.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image, PngImagePlugin, UnidentifiedImageError

from stylehead import __version__
from stylehead.errors import JobError, MissingError
from stylehead.files import atomic_path
from stylehead.images import Pixels

Recipe = Mapping[str, Any]
KEY = "stylehead"
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif")
FILMS = (".mp4", ".webm")
MESHES = (".glb", ".ply", ".obj", ".stl")


def recipe_text(recipe: Recipe) -> str:
    """Return the recipe as one line of ASCII JSON, with the package version added."""
    return json.dumps({KEY: __version__, **recipe}, separators=(",", ":"))


def png_info(recipe: Recipe) -> PngImagePlugin.PngInfo:
    """Return the text chunk that carries the recipe in a PNG."""
    info = PngImagePlugin.PngInfo()
    info.add_text(KEY, recipe_text(recipe))
    return info


def exif(recipe: Recipe) -> Image.Exif:
    """Return EXIF data that carry the recipe in a JPEG or WebP."""
    data = Image.Exif()
    data[ExifTags.Base.ImageDescription] = recipe_text(recipe)
    data[ExifTags.Base.Software] = f"{KEY} {__version__}"
    return data


def save_image(path: Path, pixels: Pixels, recipe: Recipe) -> None:
    """Write one picture [H, W, 3] as PNG, JPEG or WebP, atomically.

    Raises:
        JobError: The suffix is none of .png, .jpg, .jpeg, .webp.
    """
    suffix = path.suffix.lower()
    image = Image.fromarray(pixels)
    with atomic_path(path) as part:
        if suffix == ".png":
            image.save(part, pnginfo=png_info(recipe))
        elif suffix in (".jpg", ".jpeg"):
            image.save(part, quality=93, subsampling=0, exif=exif(recipe))
        elif suffix == ".webp":
            image.save(part, quality=93, exif=exif(recipe))
        else:
            raise JobError(f"Cannot write {path}: pictures are .png, .jpg or .webp.")


def read_recipe(path: Path) -> dict[str, Any]:
    """Read the recipe back from any file that `stylehead` writes.

    Raises:
        MissingError: There is no such file.
        JobError: The file cannot be read, or carries no recipe.
    """
    if not path.is_file():
        raise MissingError(f"There is no file {path}.")
    suffix = path.suffix.lower()
    try:
        if suffix in PICTURES:
            text = _from_picture(path)
        elif suffix in FILMS:
            text = _from_film(path)
        elif suffix in MESHES:
            text = _from_mesh(path)
        else:
            raise JobError(f"{path} is no kind of file that carries a recipe.")
        recipe = json.loads(text) if text else None
    except JobError:
        raise
    except Exception as error:  # decoders of pictures and films raise what they like on damaged files
        raise unreadable(path, error) from error
    if not isinstance(recipe, dict) or KEY not in recipe:
        raise JobError(f"{path} carries no recipe: it was not made by {KEY}, or was saved again since.")
    return recipe


def unreadable(path: Path, error: Exception) -> JobError:
    """Return the error of a picture, film or mesh that its decoder cannot read."""
    suffix = path.suffix.lower()
    kind = "picture" if suffix in PICTURES else "film" if suffix in FILMS else "mesh"
    if isinstance(error, UnidentifiedImageError):
        return JobError(f"{path} is no {kind}, whatever its name says.")
    return JobError(f"{path} is a damaged {kind}, or none at all.")


def _from_picture(path: Path) -> str | None:
    with Image.open(path) as image:
        comment = image.info.get("comment")
        if isinstance(comment, bytes):
            return comment.decode(errors="replace")
        text = image.info.get(KEY) or image.getexif().get(ExifTags.Base.ImageDescription)
    return text if isinstance(text, str) else None


def _from_film(path: Path) -> str | None:
    import av

    with av.open(str(path)) as container:
        found = {name.lower(): value for name, value in container.metadata.items()}  # WebM shouts
        return found.get("comment")


def _from_mesh(path: Path) -> str | None:
    data = path.read_bytes()
    if path.suffix.lower() == ".glb":
        length = int.from_bytes(data[12:16], "little")
        extras = json.loads(data[20 : 20 + length])["asset"].get("extras", {})
        return json.dumps(extras) if extras else None
    if path.suffix.lower() == ".stl":
        return None
    marker = b"comment " if path.suffix.lower() == ".ply" else b"# "
    for line in data[:65536].splitlines():
        if line.startswith(marker + b"{"):
            return line[len(marker) :].decode()
    return None
