"""Draw what the embedded models can do, as four sheets: nothing is picked, the first people are shown.

    python examples/embedded_world.py --out sheets

people.jpg    people that were never trained on: the truth, and below it what the generator draws
walk.jpg      on the way from one person to the next
teacher.jpg   what the teacher paints over the edges of a photograph, from four sides, in every style
one_step.jpg  where guidance pushes a photographic head in one step, at five noise levels

The truth is drawn anew, for which the extra `mini` is needed: pip install ".[mini]".
"""

import argparse
import itertools
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stylehead.evaluation.systems import PROMPTS
from stylehead.export.recipe import save_image
from stylehead.export.sheet import SheetRow, contact_sheet
from stylehead.export.views import latent_from_seed
from stylehead.generator import PanoHead
from stylehead.geometry import camera_from_angles
from stylehead.images import Pixels, to_pixels
from stylehead.mini.captions import PROMPTED_STYLES
from stylehead.teacher import ControlCondition, Teacher, canny_condition
from stylehead.weights.presets import MINI_WEIGHTS
from stylehead.world.heads import HeadRenderer, identity_from_z, z_from_seed

YAWS_DEG = (-60, 0, 60, 120, 180)
TEACHER_YAWS_DEG = (0, 45, 90, 180)
TIMESTEPS = (281, 221, 161, 101, 41)
CFG_SCALE = 7.5


def cameras(yaws_deg: tuple[int, ...]) -> Tensor:
    """Camera labels [V,25] around a head, a little from above."""
    return torch.cat([camera_from_angles(math.radians(yaw), -0.1) for yaw in yaws_deg])


def truth(seeds: list[int], yaws_deg: tuple[int, ...]) -> list[Pixels]:
    """For every person the true photographs [V,128,128,3]."""
    with HeadRenderer(resolution=128, supersample=2) as renderer:
        labels = cameras(yaws_deg)
        people = [identity_from_z(z_from_seed(seed)) for seed in seeds]
        return [renderer.render(person, "photo", labels).image for person in people]


@torch.no_grad()
def drawn(generator: PanoHead, ws: Tensor, yaws_deg: tuple[int, ...]) -> Pixels:
    """What the generator draws of one head [1,num_ws,w_dim], [V,128,128,3]."""
    return to_pixels(generator.synthesis(ws, cameras(yaws_deg), background="white").image)


def people_sheet(generator: PanoHead, seeds: list[int]) -> Pixels:
    """Truth above generator."""
    rows = []
    for seed, true in zip(seeds, truth(seeds, YAWS_DEG), strict=True):
        ws = latent_from_seed(generator, seed, psi=1.0)
        rows += [
            SheetRow(f"{seed}", true),
            SheetRow("drawn", drawn(generator, ws, YAWS_DEG), joined=True),
        ]
    return contact_sheet(rows, headings=[f"{yaw}°" for yaw in YAWS_DEG])


def walk_sheet(generator: PanoHead, seeds: list[int], *, steps: int = 7) -> Pixels:
    """Style vectors on straight lines between people, each from two sides."""
    ws = [latent_from_seed(generator, seed, psi=1.0) for seed in seeds]
    rows = []
    for (first, start), (last, end) in itertools.pairwise(zip(seeds, ws, strict=True)):
        heads = [drawn(generator, start.lerp(end, i / (steps - 1)), (0, 60)) for i in range(steps)]
        front, turned = (np.stack([head[side] for head in heads]) for side in (0, 1))
        rows += [SheetRow(f"{first} to {last}", front), SheetRow("", turned, joined=True)]
    return contact_sheet(rows)


def teacher_sheet(teacher: Teacher, seed: int, *, steps: int) -> Pixels:
    """The photograph, then the teacher's pictures over its edges."""
    photo = truth([seed], TEACHER_YAWS_DEG)[0]
    condition = ControlCondition("canny", canny_condition(_tensor(photo)))
    rows = [SheetRow("photograph", photo)]
    for style in PROMPTED_STYLES:
        painted = teacher.sample(
            PROMPTS[style], condition=condition, count=len(photo), steps=steps,
            rng=torch.Generator().manual_seed(0),
        )  # fmt: skip
        rows.append(SheetRow(PROMPTS[style], to_pixels(painted)))
    return contact_sheet(rows, headings=[f"{yaw}°" for yaw in TEACHER_YAWS_DEG])


@torch.no_grad()
def one_step_sheet(generator: PanoHead, teacher: Teacher, seed: int) -> Pixels:
    """The teacher's guess, in one step, of what is under the noise on a generator's head."""
    image = _tensor(drawn(generator, latent_from_seed(generator, seed, psi=1.0), (0,)))
    latents, condition = teacher.encode(image), ControlCondition("canny", canny_condition(image))
    eps = torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))
    rows = [SheetRow("the head", to_pixels(image.expand(len(TIMESTEPS), -1, -1, -1)))]
    for style in PROMPTED_STYLES:
        text = teacher.encode_prompt(PROMPTS[style])
        guesses = []
        for t in TIMESTEPS:
            timestep = torch.tensor([t])
            noisy = teacher.schedule.add_noise(latents, eps, timestep)
            guided = teacher.predict(noisy, timestep, text, condition=condition).guided(CFG_SCALE)
            guesses.append(teacher.decode(teacher.schedule.tweedie(noisy, guided, timestep)))
        rows.append(SheetRow(PROMPTS[style], to_pixels(torch.cat(guesses))))
    return contact_sheet(rows, headings=[f"t = {t}" for t in TIMESTEPS])


def _tensor(pixels: Pixels) -> Tensor:
    """[V,H,W,3] of 0..255 to [V,3,H,W] of -1..1."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float() / 127.5 - 1


def main(arguments: list[str] | None = None) -> None:
    """Draw, save, and say where."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, default=6, help="seeds 0 .. people - 1 (at least 2)")
    parser.add_argument("--steps", type=int, default=50, help="steps of the teacher's sampler")
    parser.add_argument("--weights", type=Path, default=MINI_WEIGHTS, help="the models to show")
    parser.add_argument("--out", type=Path, default=Path("sheets"), help="folder for the pictures")
    options = parser.parse_args(arguments)

    seeds = list(range(options.people))
    generator = PanoHead.load(options.weights / "generator.safetensors")
    teacher = Teacher.load(options.weights / "teacher")
    options.out.mkdir(parents=True, exist_ok=True)
    sheets = {
        "people": lambda: people_sheet(generator, seeds),
        "walk": lambda: walk_sheet(generator, seeds[:4]),
        "teacher": lambda: teacher_sheet(teacher, seeds[0], steps=options.steps),
        "one_step": lambda: one_step_sheet(generator, teacher, seeds[0]),
    }
    for name, draw in sheets.items():
        path = options.out / f"{name}.jpg"
        save_image(path, draw(), {"sheet": name, "people": options.people, "steps": options.steps})
        print(path)


if __name__ == "__main__":
    main()
