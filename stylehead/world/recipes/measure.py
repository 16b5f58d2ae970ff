"""Held-out figures of the embedded models: `python -m stylehead.world measure`.

It prints one table, of 64 unseen people and 64 pictures a row; `--sheets` writes a sheet of pictures beside
the truth for each, `--weights` measures the models of another folder. `--only` prints finer figures.

Everything is measured on people (seeds 0 to 255) that no recipe has ever drawn. The style classifier and the
identity encoder that judge were trained on true renders, never on what the teacher or the generator made.
"""

import argparse
import functools
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from stylehead.evaluation.metrics.id_rank1 import rank1
from stylehead.evaluation.metrics.style import style_share
from stylehead.evaluation.systems import PROMPTS
from stylehead.generator import PanoHead
from stylehead.geometry import conditioning_camera
from stylehead.images import bytes_to_pm1, outline_iou, perceptual_distance
from stylehead.inversion.pose import pose_of_label
from stylehead.methods.draws import TILES
from stylehead.methods.stages import merge, split
from stylehead.mini.captions import PROMPTED_STYLES, STYLES
from stylehead.mini.wordings import HELD_OUT_WORDINGS
from stylehead.perception.attributes import ATTRIBUTES_FILE, AttributeEncoder
from stylehead.perception.embedded import IdentityEncoder, ImageTextEncoder, StyleClassifier
from stylehead.teacher import ControlCondition, Teacher, canny_condition, depth_condition
from stylehead.weights.presets import MINI_WEIGHTS
from stylehead.world.cache import DATA
from stylehead.world.heads import VECTOR_FIELDS
from stylehead.world.recipes import held_out_table
from stylehead.world.recipes.computing import device_named
from stylehead.world.recipes.data import Renders, load_renders
from stylehead.world.recipes.held_out_table import HeldOut

_NAMES = (
    "generator",
    "truncated",
    "autoencoder",
    "classifier",
    "identity",
    "attributes",
    "teacher",
    "grids",
    "wordings",
)
_MOST_TURNED = math.radians(61)


def generators_figures(weights: Path, views: Renders, device: torch.device) -> dict[str, float]:
    """Of the generator in a folder of weights."""
    return generator_figures(
        PanoHead.load(weights / "generator.safetensors", device),
        ImageTextEncoder.load(weights / "image_text.safetensors").to(device),
        views,
    )


def generator_figures(
    generator: PanoHead, looks: ImageTextEncoder, photo: Renders, *, people: int = 64
) -> dict[str, float]:
    """How near heads are to the truth, means over identities and cameras.

    PSNR in dB (pictures clamped), IoU of the outlines at 0.5, perceptual distance by the image encoder. Heads
    are truncated as much as the true ones were.
    """
    device = generator.backbone.mapping.w_avg.device
    label = conditioning_camera().to(device)
    psnr, iou, perceptual = [], [], []
    for row in range(people):
        person = photo.rows(torch.tensor([row])).to(device)
        psi = 1.0 if person.psi is None else float(person.psi)
        with torch.no_grad():
            ws = generator.mapping(person.z, label, truncation_psi=psi)
            out = generator.synthesis(ws, person.cameras[0], background="white")
        truth, image = bytes_to_pm1(person.images[0]), out.image.clamp(-1, 1)
        psnr.append(-10 * torch.log10((image - truth).square().mean(dim=(1, 2, 3)) / 4))
        iou.append(outline_iou(out.mask, person.masks[0].float()[:, None] / 255))
        perceptual.append(perceptual_distance(*(looks.trunk.maps(x) for x in (image, truth))))
    values = {"psnr": psnr, "mask_iou": iou, "perceptual": perceptual}
    return {name: float(torch.cat(value).mean()) for name, value in values.items()}


@torch.no_grad()
def classifier_figures(
    classifier: StyleClassifier, teacher: Teacher, held_out: HeldOut
) -> dict[str, dict[str, float]]:
    """Accuracy per style on true pictures of unseen people, as they are and autoencoded by the teacher."""
    figures: dict[str, dict[str, float]] = {"true": {}, "autoencoded": {}}
    for style in STYLES:
        views = held_out.photo if style == "photo" else held_out.styled
        rows = [row for row, name in enumerate(views.styles) if name == style]
        images = bytes_to_pm1(views.images[rows].flatten(0, 1))
        through = torch.cat([teacher.decode(teacher.encode(some)).clamp(-1, 1) for some in images.split(64)])
        figures["true"][style] = style_share(classifier, images, style)
        figures["autoencoded"][style] = style_share(classifier, through, style)
    return figures


def identity_figures(encoder: IdentityEncoder, held_out: HeldOut) -> dict[str, float]:
    """Rank-1 among the photographs' front views: from turned heads, and from each style's front view.

    Turned heads are looked for among all people, styled ones among the first 64.
    """
    photo = held_out.photo
    front = photo.images.shape[1] // 2
    gallery = _embed(encoder, photo.images[:, front])
    figures = {}
    for steps in (1, 2):  # of 30 degrees
        both = [_embed(encoder, photo.images[:, front + turn]) for turn in (-steps, steps)]
        figures[f"turned_{30 * steps}"] = sum(rank1(turned, gallery) for turned in both) / len(both)
    styled, gallery = held_out.styled, gallery[:64]
    for style in PROMPTED_STYLES:
        rows = [row for row, name in enumerate(styled.styles) if name == style]
        queries = _embed(encoder, styled.images[rows][:, styled.images.shape[1] // 2])
        people = [photo.identities.tolist().index(seed) for seed in styled.identities[rows].tolist()]
        figures[style] = rank1(queries, gallery, torch.tensor(people))
    return figures


@torch.no_grad()
def attribute_figures(encoder: AttributeEncoder, photo: Renders) -> dict[str, float]:
    """How often each choice is read right, and the mean error of measures in units of their spread.

    From clean pictures on white, turned by up to 60 degrees; photographs are harder.
    """
    people, views = torch.nonzero(pose_of_label(photo.cameras.flatten(0, 1))[:, 0].abs().view(
        photo.cameras.shape[:2]) < _MOST_TURNED).unbind(dim=1)  # fmt: skip
    scores = torch.cat(
        [encoder(bytes_to_pm1(images)).scores for images in photo.images[people, views].split(64)]
    )
    wanted, start, figures = encoder.learned(photo.numbers[people]), 0, {}
    for field in VECTOR_FIELDS:
        found, truth = (x[:, start : start + field.size] for x in (scores, wanted))
        start += field.size
        if field.categories:
            figures[field.name] = float((found.argmax(dim=1) == truth.argmax(dim=1)).float().mean())
        elif field.name in ("gender", "melanin", "hair_colour"):
            figures[field.name] = float((found - truth).abs().mean())
    return figures


@torch.no_grad()
def _embed(encoder: IdentityEncoder, images: Tensor) -> Tensor:
    return encoder(bytes_to_pm1(images))


@torch.no_grad()
def autoencoder_figures(teacher: Teacher, held_out: HeldOut) -> dict[str, float]:
    """PSNR in dB of encoding and decoding pictures of unseen people, photographs and styled ones."""
    figures = {}
    for name, views in (("photo", held_out.photo), ("styled", held_out.styled)):
        images = bytes_to_pm1(views.images[:64, 0])
        mse = (teacher.decode(teacher.encode(images)).clamp(-1, 1) - images).square().mean(dim=(1, 2, 3))
        figures[name] = float((-10 * torch.log10(mse / 4)).mean())
    return figures


def teacher_figures(
    teacher: Teacher, classifier: StyleClassifier, photo: Renders, *, people: int, steps: int = 50
) -> dict[str, dict[str, float]]:
    """Part of the teacher's samples that the classifier calls by the prompted style, per ControlNet.

    Cameras go round the heads; the condition is drawn from the true photograph.
    """
    kinds: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
        "canny": lambda image, _depth, _mask: canny_condition(image),
        "depth": lambda _image, depth, mask: depth_condition(depth, mask),
    }
    rows = torch.arange(people) % len(photo)
    columns = torch.arange(people) % photo.images.shape[1]
    image = bytes_to_pm1(photo.images[rows, columns])
    depth = photo.depths[rows, columns].float()[:, None]
    mask = photo.masks[rows, columns].float()[:, None] / 255
    figures: dict[str, dict[str, float]] = {}
    for kind, draw in kinds.items():
        condition = ControlCondition(kind, draw(image, depth, mask))
        figures[kind] = {}
        for style in PROMPTED_STYLES:
            rng = torch.Generator().manual_seed(5)
            samples = teacher.sample(PROMPTS[style], condition=condition, count=people, steps=steps, rng=rng)
            figures[kind][style] = style_share(classifier, samples, style)
    return figures


def grid_figures(
    teacher: Teacher, classifier: StyleClassifier, photo: Renders, *, people: int, steps: int = 50
) -> dict[str, float]:
    """Part of the views in sampled 2x2 grids that the classifier calls by the prompted style.

    Each grid is steered by the depth of four photographs of a person, from four sides, as in distillation.
    """
    rows = torch.arange(people).repeat_interleave(TILES) % len(photo)
    columns = torch.arange(people * TILES) % TILES * (photo.images.shape[1] // TILES)
    depth = photo.depths[rows, columns].float()[:, None]
    mask = photo.masks[rows, columns].float()[:, None] / 255
    condition = ControlCondition("depth", merge(depth_condition(depth, mask, size=teacher.image_size // 2)))
    figures = {}
    for style in PROMPTED_STYLES:
        rng = torch.Generator().manual_seed(7)
        samples = teacher.sample(PROMPTS[style], condition=condition, count=people, steps=steps, rng=rng)
        figures[style] = style_share(classifier, split(samples), style)
    return figures


def wording_figures(
    teacher: Teacher, classifier: StyleClassifier, photo: Renders, *, steps: int = 50
) -> dict[str, float]:
    """Part of the teacher's samples that are in the prompted style, in words it was not trained on.

    A person for each wording, from all sides, over the edges of the photograph.
    """
    figures = {}
    for style, wordings in HELD_OUT_WORDINGS.items():
        rows = torch.arange(len(wordings)) % len(photo)
        columns = torch.arange(len(wordings)) % photo.images.shape[1]
        edges = canny_condition(bytes_to_pm1(photo.images[rows, columns]))
        samples = teacher.sample(
            wordings,
            condition=ControlCondition("canny", edges),
            count=len(wordings),
            steps=steps,
            rng=torch.Generator().manual_seed(6),
        )
        figures[style] = style_share(classifier, samples, style)
    return figures


def main(arguments: list[str]) -> None:
    """Print the figures as one JSON document."""
    parser = argparse.ArgumentParser(prog="python -m stylehead.world measure", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="renders of the procedural heads")
    parser.add_argument("--weights", type=Path, default=MINI_WEIGHTS, help="the models to measure")
    parser.add_argument(
        "--people", type=int, default=24, help="samples of the teacher per style and ControlNet"
    )
    parser.add_argument("--only", nargs="*", choices=_NAMES, help="finer figures of these, as JSON")
    parser.add_argument("--pictures", type=int, default=64, help="people, and pictures of a row of the table")
    parser.add_argument("--sheets", type=Path, help="folder for sheets of pictures beside the truth")
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="where the generator is measured"
    )
    options = parser.parse_args(arguments)
    held_out = HeldOut(load_renders(options.data / "test"), load_renders(options.data / "teststyled"))
    if options.only is None:
        _print_table(options, held_out)
        return
    device = device_named(options.device)
    classifier = functools.cache(
        lambda: StyleClassifier.load(options.weights / "style_classifier.safetensors")
    )
    measures: dict[str, Callable[[], object]] = {
        "generator": lambda: generators_figures(options.weights, held_out.photo, device),
        "truncated": lambda: generators_figures(
            options.weights, load_renders(options.data / "truncated"), device
        ),
        "classifier": lambda: classifier_figures(
            classifier(), Teacher.load(options.weights / "teacher"), held_out
        ),
        "identity": lambda: identity_figures(
            IdentityEncoder.load(options.weights / "identity.safetensors"), held_out
        ),
        "attributes": lambda: attribute_figures(
            AttributeEncoder.load(options.weights / ATTRIBUTES_FILE), held_out.photo
        ),
        "autoencoder": lambda: autoencoder_figures(Teacher.load(options.weights / "teacher"), held_out),
        "teacher": lambda: teacher_figures(
            Teacher.load(options.weights / "teacher"), classifier(), held_out.photo, people=options.people
        ),
        "grids": lambda: grid_figures(
            Teacher.load(options.weights / "teacher"), classifier(), held_out.photo, people=options.people
        ),
        "wordings": lambda: wording_figures(
            Teacher.load(options.weights / "teacher"), classifier(), held_out.photo
        ),
    }
    wanted = options.only or _NAMES
    figures = {name: measure() for name, measure in measures.items() if name in wanted}
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")


def _print_table(options: argparse.Namespace, held_out: HeldOut) -> None:
    weights, sheets, count = options.weights, held_out_table.Sheets(options.sheets), options.pictures
    rows = [
        *held_out_table.autoencoder_rows(weights, held_out, sheets, pictures=count),
        *held_out_table.editor_rows(weights, held_out, sheets, pictures=count),
        *held_out_table.generator_rows(weights, held_out, sheets, people=count),
        *held_out_table.size_rows(weights),
    ]
    sys.stdout.write(f"{held_out_table.printed(rows)}\n")
