"""A style from pictures that you edited: render a bank, edit the files with anything, learn from the folder.

    python examples/own_pictures.py --people 20 --iterations 100 --out own

Here "anything" is Pillow, which paints comic colours; put your own program, or your own hand, in its place.
"""

import argparse
from pathlib import Path

from PIL import Image, ImageFilter, ImageOps

from stylehead.cli.app import app


def comic(picture: Image.Image) -> Image.Image:
    """Few, strong colours and dark edges, on white as before."""
    flat = ImageOps.posterize(picture.filter(ImageFilter.SMOOTH_MORE), 2)
    edges = ImageOps.invert(picture.convert("L").filter(ImageFilter.FIND_EDGES)).point(
        lambda grey: 255 if grey > 215 else 40
    )
    head = picture.convert("L").point(lambda grey: 255 if grey < 245 else 0)
    inked = Image.composite(flat, Image.new("RGB", flat.size, (25, 20, 45)), edges)
    return Image.composite(inked, Image.new("RGB", flat.size, "white"), head)


def run(*words: object) -> None:
    """Run a command of stylehead, as a shell would."""
    app([str(word) for word in words], prog_name="stylehead", standalone_mode=False)


def main(arguments: list[str] | None = None) -> None:
    """Make a bank, edit its pictures, and train a style on them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--iterations", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path("own"))
    options = parser.parse_args(arguments)
    bank, style = options.out / "bank", options.out / "run"

    run(
        "bank", "new", "--people", options.people, "--views", options.views, "--preset", "mini", "--out", bank
    )
    for render in sorted((bank / "renders").glob("*.png")):
        with Image.open(render) as picture:
            comic(picture.convert("RGB")).save(bank / "edited" / render.name)
    run("bank", "check", bank)
    run(
        "stylize", "--method", "edit", "--preset", "mini", "--bank", bank, "--prompt", "a comic",
        "--iterations", options.iterations, "--out", style,
    )  # fmt: skip


if __name__ == "__main__":
    main()
