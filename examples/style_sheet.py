"""Draw the same people in every style that was trained.

    python examples/style_sheet.py runs/pixar runs/joker mystyle.safetensors --out styles.jpg

One row a person, the untouched head first, each head from the front and from behind one shoulder.
"""

import argparse
import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from stylehead.generator import PanoHead, load_style
from stylehead.geometry import camera_from_angles, conditioning_camera
from stylehead.weights.presets import MINI_WEIGHTS

YAWS_DEG = (0, 125)
MARGIN, HEADER = 6, 26


@torch.no_grad()
def portraits(generator: PanoHead, seeds: list[int], psi: float) -> list[np.ndarray]:
    """For every seed one uint8 strip [R, len(YAWS_DEG) R, 3]."""
    cameras = torch.cat([camera_from_angles(math.radians(yaw), -0.1) for yaw in YAWS_DEG])
    strips = []
    for seed in seeds:
        z = torch.from_numpy(np.random.RandomState(seed).randn(1, generator.config.z_dim)).float()
        ws = generator.mapping(z, conditioning_camera(), truncation_psi=psi)
        images = generator.synthesis(ws, cameras, background="white").image.clamp(-1, 1)
        strip = torch.cat(list(images), dim=-1)
        strips.append(((strip + 1) * 127.5).byte().permute(1, 2, 0).numpy())
    return strips


def sheet(columns: dict[str, list[np.ndarray]]) -> Image.Image:
    """Put named columns of strips side by side."""
    height, width = next(iter(columns.values()))[0].shape[:2]
    rows = len(next(iter(columns.values())))
    page = Image.new("RGB", (len(columns) * (width + MARGIN), HEADER + rows * (height + MARGIN)), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(15)
    for i, (title, strips) in enumerate(columns.items()):
        left = i * (width + MARGIN)
        draw.text((left + width / 2, HEADER / 2), title, fill="#444", font=font, anchor="mm")
        for j, strip in enumerate(strips):
            page.paste(Image.fromarray(strip), (left, HEADER + j * (height + MARGIN)))
    return page


def main(arguments: list[str] | None = None) -> None:
    """Read the runs, draw, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="*", type=Path, help="runs, or style files")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--psi", type=float, default=0.75)
    parser.add_argument("--out", type=Path, default=Path("styles.jpg"))
    options = parser.parse_args(arguments)

    base = MINI_WEIGHTS / "generator.safetensors"
    columns = {"untouched": portraits(PanoHead.load(base), options.seeds, options.psi)}
    for run in options.runs:
        generator = PanoHead.load(base)
        style = load_style(run / "style.safetensors" if run.is_dir() else run)
        style.apply(generator)
        title = style.metadata["stylehead.prompt"] if run.is_dir() else run.stem
        if title in columns:  # two runs of one prompt are told apart by their folders
            title = run.resolve().name
        columns[title] = portraits(generator, options.seeds, options.psi)
    sheet(columns).save(options.out, quality=92)
    print(options.out)


if __name__ == "__main__":
    main()
