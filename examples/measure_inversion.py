"""Measure `stylehead invert` on people of the procedural world, where the truth is known.

    python examples/measure_inversion.py --people 32
    python examples/measure_inversion.py --people 4 --style runs/pixar/style.safetensors --sheet people.png

People that no model was trained on (seeds 0, 1, ...) are drawn from random cameras (yaw +-60, pitch +-20
degrees) and inverted as plain pictures: `--aligned`, nothing else. Printed are

- how far the found camera is turned away from the true one;
- rank-1: how often the inverted head's front view is nearest, by the identity encoder, to the same person's
  true front view among 256 people. The projection looks at that encoder too, from another side of the head;
  `--identity-weight 0` measures without that. Beside it, what the generator's own heads of them reach;
- the other side (yaw + 90 degrees): root mean square error against the true picture, divided by that of the
  generator's own head of the person (the mapping of their true z);
- time per picture.

Needs the extra: pip install "stylehead[mini]".
"""

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from stylehead.export.recipe import save_image
from stylehead.export.sheet import SheetRow, contact_sheet
from stylehead.generator import PanoHead, load_style, remove_styles
from stylehead.geometry import camera_from_angles, conditioning_camera
from stylehead.images import to_pixels
from stylehead.inversion import Guess, ImageSimilarity, InversionConfig, Inverter, ProjectedHead
from stylehead.inversion.guess import FILE
from stylehead.inversion.pose import pose_of_label, rotation_between_deg
from stylehead.weights.presets import MINI_WEIGHTS
from stylehead.world.heads import HeadRenderer, identity_from_z, z_from_seed

YAW_DEG, PITCH_DEG, OTHER_SIDE_DEG = 60.0, 20.0, 90.0
GALLERY = 256
HEADINGS = ("photo", "inverted", "front", "inverted", "other side", "inverted", "generator's own")


@dataclass(frozen=True, eq=False)
class People:
    """True pictures: given, other side [N,R,R,3], fronts [gallery,R,R,3]; cameras [N,2,25]; z [N,64]."""

    given: np.ndarray
    other: np.ndarray
    fronts: np.ndarray
    cameras: Tensor
    z: Tensor


class Measured(NamedTuple):
    """Figures of one person."""

    pose_error_deg: float
    yaw_error_deg: float
    pitch_error_deg: float
    rank: int
    other_side_ratio: float
    psnr_db: float
    seconds: float
    cpu_seconds: float
    styled_ranks: tuple[int, ...]


class Setting(NamedTuple):
    """What measures: the inverter, the people, embeddings of their true fronts, style files."""

    inverter: Inverter
    people: People
    gallery: Tensor
    styles: Sequence[Path]


def draw_people(count: int, gallery: int, seed: int) -> People:
    """Draw people 0 .. count - 1 from random cameras, and the fronts of people 0 .. gallery - 1."""
    rng = torch.Generator().manual_seed(seed)
    yaw, pitch = (
        (torch.rand(2, count, generator=rng) * 2 - 1) * torch.tensor([[YAW_DEG], [PITCH_DEG]])
    ).unbind()
    given = camera_from_angles(torch.deg2rad(yaw), torch.deg2rad(pitch))
    other = camera_from_angles(torch.deg2rad(yaw + OTHER_SIDE_DEG), torch.deg2rad(pitch))
    views, fronts = [], []
    with HeadRenderer(resolution=128) as renderer:
        for person in range(max(count, gallery)):
            identity = identity_from_z(z_from_seed(person))
            mine = [given[person], other[person]] if person < count else []
            labels = torch.stack([*mine, camera_from_angles(0.0)[0]])
            images = renderer.render(identity, "photo", labels).image
            views.extend([images[:2]] if mine else [])
            fronts.append(images[-1])
    pictures = np.stack(views)
    z = torch.stack([torch.as_tensor(np.asarray(z_from_seed(person))).float() for person in range(count)])
    cameras = torch.stack([given, other], dim=1)
    return People(pictures[:, 0], pictures[:, 1], np.stack(fronts)[:gallery], cameras, z)


def bytes_to_pm1(pixels: np.ndarray) -> Tensor:
    """Bytes [N,R,R,3] to pictures [N,3,R,R] in -1..1."""
    return torch.from_numpy(pixels.copy()).permute(0, 3, 1, 2).float() / 127.5 - 1


@torch.no_grad()
def view(generator: PanoHead, ws: Tensor, label: Tensor) -> Tensor:
    """A head on white, [1,3,R,R]."""
    return generator.synthesis(ws, label, background="white").image.clamp(-1, 1)


@torch.no_grad()
def rank_of(setting: Setting, picture: Tensor, person: int) -> int:
    """Place of the true person among the gallery, 1 = nearest."""
    assert setting.inverter.similarity.identity is not None
    likeness = (setting.inverter.similarity.identity(picture) @ setting.gallery.t())[0]
    return int((likeness > likeness[person]).sum()) + 1


def measure(setting: Setting, person: int) -> tuple[Measured, np.ndarray]:
    """Invert one person; also the pictures for the sheet, [7,R,R,3]."""
    inverter, people = setting.inverter, setting.people
    generator = inverter.generator
    wall, cpu = time.perf_counter(), time.process_time()
    prepared = inverter.prepare(people.given[person], None)
    found = inverter.project(prepared.target, inverter.initialise(prepared.target))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu

    true, other = people.cameras[person, :1], people.cameras[person, 1:]
    turned = pose_of_label(found.camera_label)[0] - pose_of_label(true)[0]
    front = view(generator, found.ws, camera_from_angles(0.0))
    seen = view(generator, found.ws, found.camera_label)
    side = view(generator, found.ws, other)
    own = view(generator, generator.mapping(people.z[person : person + 1], conditioning_camera()), other)
    truth = bytes_to_pm1(people.other[person : person + 1])
    mse = float((seen - bytes_to_pm1(people.given[person : person + 1])).square().mean())
    figures = Measured(
        pose_error_deg=float(rotation_between_deg(found.camera_label, true)),
        yaw_error_deg=abs(math.degrees(float(turned[0]))),
        pitch_error_deg=abs(math.degrees(float(turned[1]))),
        rank=rank_of(setting, front, person),
        other_side_ratio=math.sqrt(float((side - truth).square().mean() / (own - truth).square().mean())),
        psnr_db=-10 * math.log10(mse / 4),
        seconds=wall,
        cpu_seconds=cpu,
        styled_ranks=tuple(_styled_rank(setting, found, person, style) for style in setting.styles),
    )
    cells = [seen, front, side, own]
    shown = [to_pixels(picture)[0] for picture in cells]
    given, fronts, others = people.given[person], people.fronts[person], people.other[person]
    return figures, np.stack([given, shown[0], fronts, shown[1], others, shown[2], shown[3]])


def _styled_rank(setting: Setting, found: ProjectedHead, person: int, style: Path) -> int:
    generator = setting.inverter.generator
    load_style(style).apply(generator)
    rank = rank_of(setting, view(generator, found.ws, camera_from_angles(0.0)), person)
    remove_styles(generator)
    return rank


@torch.no_grad()
def ceilings(setting: Setting) -> dict[str, float]:
    """Rank-1 of the given true pictures, and of the generator's own heads of these people (front views)."""
    people, generator = setting.people, setting.inverter.generator
    ws = generator.mapping(people.z, conditioning_camera())
    count = len(people.z)
    given = [rank_of(setting, bytes_to_pm1(people.given[i : i + 1]), i) for i in range(count)]
    own = [rank_of(setting, view(generator, ws[i : i + 1], camera_from_angles(0.0)), i) for i in range(count)]
    return {
        "rank1_of_the_true_pictures": share_first(given),
        "rank1_of_the_generators_own_heads": share_first(own),
    }


def inverted(setting: Setting, people: int) -> list[tuple[Measured, np.ndarray]]:
    """Invert people 0 .. people - 1, with a line to stderr for each."""
    done = []
    for person in range(people):
        done.append(measure(setting, person))
        row = done[-1][0]
        print(
            f"seed {person}: pose off by {row.pose_error_deg:.1f} degrees, rank {row.rank}, other side "
            f"{row.other_side_ratio:.2f}, {row.psnr_db:.1f} dB, {row.cpu_seconds:.0f} CPU seconds",
            file=sys.stderr,
            flush=True,
        )
    return done


def share_first(ranks: Sequence[int]) -> float:
    """Part of the ranks that are 1."""
    return sum(rank == 1 for rank in ranks) / len(ranks)


def summary(rows: Sequence[Measured], styles: Sequence[Path]) -> dict[str, object]:
    """The figures of all people together."""
    return {
        "people": len(rows),
        "pose_error_deg_median": statistics.median(row.pose_error_deg for row in rows),
        "yaw_error_deg_median": statistics.median(row.yaw_error_deg for row in rows),
        "pitch_error_deg_median": statistics.median(row.pitch_error_deg for row in rows),
        "pose_error_deg_worst": max(row.pose_error_deg for row in rows),
        "rank1": share_first([row.rank for row in rows]),
        "other_side_ratio_median": statistics.median(row.other_side_ratio for row in rows),
        "other_side_within_1.5": sum(row.other_side_ratio <= 1.5 for row in rows) / len(rows),
        "psnr_db": statistics.mean(row.psnr_db for row in rows),
        "seconds": statistics.mean(row.seconds for row in rows),
        "cpu_seconds": statistics.mean(row.cpu_seconds for row in rows),
        "threads": torch.get_num_threads(),
        "styled_rank1": {
            str(style): share_first([row.styled_ranks[index] for row in rows])
            for index, style in enumerate(styles)
        },
    }


def setting_of(options: argparse.Namespace) -> Setting:
    """Load the models and draw the people."""
    generator = PanoHead.load(options.weights / "generator.safetensors")
    similarity = ImageSimilarity.load(options.weights)
    assert similarity.identity is not None, "rank-1 needs the identity encoder"
    path = options.guess or options.weights / FILE
    guess = Guess.load(path) if path.is_file() and not options.no_guess else None
    config = InversionConfig(
        steps=options.steps, starts=options.starts, identity_weight=options.identity_weight
    )
    inverter = Inverter(generator, similarity, guess, config=config)
    if guess is not None and not inverter.guess_fits:
        print("the first guess was fitted to other encoders and is left aside", file=sys.stderr)
    for style in options.style:  # before hours of work: is it a style of this generator?
        load_style(style).apply(generator)
        remove_styles(generator)
    people = draw_people(options.people, options.gallery, options.seed)
    with torch.no_grad():
        gallery = torch.cat([similarity.identity(part) for part in bytes_to_pm1(people.fronts).split(32)])
    return Setting(inverter, people, gallery, options.style)


def main(arguments: list[str] | None = None) -> None:
    """Invert everybody, then print one JSON document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, default=32, help="seeds 0 .. people - 1")
    parser.add_argument("--gallery", type=int, default=GALLERY, help="people to be told apart")
    parser.add_argument("--seed", type=int, default=77, help="of the cameras")
    parser.add_argument("--weights", type=Path, default=MINI_WEIGHTS, help="folder of the models")
    parser.add_argument("--guess", type=Path, help="a learned first guess; by default the one beside them")
    parser.add_argument("--no-guess", action="store_true", help="start from the grid of poses only")
    parser.add_argument("--steps", type=int, default=InversionConfig.steps)
    parser.add_argument("--starts", type=int, default=InversionConfig.starts)
    parser.add_argument("--identity-weight", type=float, default=InversionConfig.identity_weight)
    parser.add_argument(
        "--style", type=Path, action="append", default=[], help="style files to keep people in"
    )
    parser.add_argument("--sheet", type=Path, help="also draw everybody on a sheet, .png or .jpg")
    options = parser.parse_args(arguments)
    setting = setting_of(options)
    started = time.process_time()
    setting.inverter.grid()
    search = time.process_time() - started
    rows, cells = zip(*inverted(setting, options.people), strict=True)
    figures = {**summary(rows, options.style), "pose_grid_cpu_seconds": search, **ceilings(setting)}
    if options.sheet:
        sheet = [SheetRow(f"seed {person}", pictures) for person, pictures in enumerate(cells)]
        save_image(options.sheet, contact_sheet(sheet, headings=HEADINGS), {"example": "measure_inversion"})
    rounded = {key: round(value, 3) if isinstance(value, float) else value for key, value in figures.items()}
    print(json.dumps(rounded, indent=2))


if __name__ == "__main__":
    main()
