"""Still pictures in files that carry their recipe."""

from pathlib import Path

from PIL import Image

from stylehead.errors import JobError
from stylehead.export.recipe import Recipe, exif, png_info
from stylehead.files import atomic_path
from stylehead.images import Pixels


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
