"""The encoder by which `invert` reads photographs: pictures of procedural heads -> who they show, in numbers.

People are drawn without end beside the training, mostly from the front, together with which part of the head
each pixel shows; `photographed.py` makes photographs of them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from stylehead.perception.attributes import ATTRIBUTES_FILE, PARTS_EDGE, AttributeEncoder, Attributes
from stylehead.world.heads import VECTOR_FIELDS
from stylehead.world.heads.traits import GREY_HAIR, HAIR_COLOURS
from stylehead.world.recipes.computing import device_of, in_bfloat16, rng_on
from stylehead.world.recipes.people import PeopleStream, PersonArrays
from stylehead.world.recipes.photographed import LabelledHeads, photographed
from stylehead.world.recipes.warm_start import copy_saved

if TYPE_CHECKING:
    from stylehead.world.heads import HeadRenderer

VIEWS = 3
_YAW, _PITCH = np.deg2rad(80), np.deg2rad(22)
_WEIGHTS = {
    "hair_colour": 3.0,
    "melanin": 3.0,
    "gender": 2.0,
    "grey": 2.0,
    "face_shape": 0.3,
    "shirt_colour": 0.5,
}
_TINTS = ("melanin", "haemoglobin", "hair_colour", "shirt_colour")
_RARE = ("bald", "ponytail", "bun")
_CHOICE_WEIGHTS = {"hair": 1.0, "beard": 1.0, "glasses": 1.0, "shirt": 0.2}


class AttributesRecipe:
    """Squared errors of measures, cross entropies of choices and of parts.

    Args:
        people: Whom to draw, by `draw_portrait`.
        batch: Pictures in a step, each of another person.
    """

    name = "attributes"
    learning_rate = 1.5e-3

    def __init__(self, people: PeopleStream, *, batch: int = 48) -> None:
        torch.manual_seed(3)
        encoder = AttributeEncoder()
        encoder.describe(people.numbers, **layout())
        self.model: nn.Module = encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.people, self.batch = people, batch

    def parameters(self) -> list[dict[str, object]]:
        """All of it."""
        return [{"params": list(self.model.parameters())}]

    def loss(self, progress: float, rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Of one batch of photographs."""
        assert isinstance(self.model, AttributeEncoder)
        device = device_of(self.model)
        heads, numbers = _batch(self.people.take(self.batch, rng), rng, device)
        colours = torch.from_numpy(np.concatenate([HAIR_COLOURS, GREY_HAIR[None]])).float().to(device)
        with torch.no_grad():
            heads = photographed(heads, colours, rng_on(device, rng))
            _write_hair(numbers, heads.hair)
        with in_bfloat16(device):
            found = self.model(heads.images * 2 - 1)
        return _loss(self.model, Attributes(*(tensor.float() for tensor in found)), numbers, heads.parts)

    def warm_start(self, folder: Path) -> bool:
        """The embedded network."""
        return copy_saved(self.model, folder / ATTRIBUTES_FILE, AttributeEncoder)

    def export(self, averaged: nn.Module, folder: Path, metadata: Mapping[str, str]) -> None:
        """Write attributes.safetensors."""
        assert isinstance(averaged, AttributeEncoder)
        averaged.save(folder / ATTRIBUTES_FILE, dict(metadata))


def layout() -> dict[str, Tensor]:
    """What the numbers of an identity are, [128] each: see the buffers of `AttributeEncoder`."""
    group, doubted, colour, tint, choice = [], [], [], [], 0
    for field in VECTOR_FIELDS:
        choice += bool(field.categories)
        group += [choice if field.categories else 0] * field.size
        doubted += [_doubted(option, field.categories) for option in field.categories] or [False] * field.size
        colour += [field.name.endswith("_colour") and field.size == 3] * field.size
        tint += [field.name in _TINTS] * field.size
    columns = {"group": group, "doubted": doubted, "colour": colour, "tint": tint}
    return {name: torch.tensor(values).float() for name, values in columns.items()}


def _doubted(option: str, options: tuple[str, ...]) -> bool:
    """What most people do not have, or what nobody sees from the front."""
    return option in _RARE or ("none" in options and option != "none")


def draw_portrait(renderer: "HeadRenderer", seed: int, views: int) -> PersonArrays:
    """Draw the training person of a seed (0 to 2^31) mostly from the front, with the parts of the head."""
    from stylehead.geometry import camera_from_angles
    from stylehead.world.heads import TRAINING_SEED_BASE, identity_from_z, identity_vector, z_from_seed

    seed = TRAINING_SEED_BASE + seed
    rng = np.random.RandomState((seed + 31) % 2**32)
    yaws = np.clip(rng.randn(views) * np.deg2rad(32), -_YAW, _YAW)
    pitches = rng.uniform(-_PITCH, _PITCH, views)
    cameras = torch.cat([camera_from_angles(float(y), float(p)) for y, p in zip(yaws, pitches, strict=True)])
    identity = identity_from_z(z_from_seed(seed % 2**32))
    drawn = renderer.render(identity, "photo", cameras, parts=True)
    assert drawn.parts is not None
    return {
        "images": drawn.image,
        "mask": drawn.mask,
        "parts": drawn.parts,
        "params": identity_vector(identity),
    }


def _batch(
    rows: list[PersonArrays], rng: torch.Generator, device: torch.device
) -> tuple[LabelledHeads, Tensor]:
    """One view of every person, and who they are [B, 128]."""
    views = torch.randint(len(rows[0]["images"]), (len(rows),), generator=rng).tolist()
    images, masks, parts = (
        torch.from_numpy(np.stack([row[name][view] for row, view in zip(rows, views, strict=True)])).to(
            device
        )
        for name in ("images", "mask", "parts")
    )
    numbers = torch.from_numpy(np.stack([row["params"] for row in rows])).float().to(device)
    images, parts = (pictures.permute(0, 3, 1, 2) / 255 for pictures in (images, parts))
    hair = numbers[:, field_columns("hair_colour")]
    return LabelledHeads(images, masks[:, None] / 255, parts, hair), numbers


def _write_hair(numbers: Tensor, hair: Tensor) -> None:
    """Enter dyed hair into identities [B, 128]."""
    numbers[:, field_columns("hair_colour")] = hair


def field_columns(name: str) -> slice:
    """Where a trait is among the numbers of an identity."""
    start = 0
    for field in VECTOR_FIELDS:
        if field.name == name:
            return slice(start, start + field.size)
        start += field.size
    raise KeyError(name)


def _loss(
    encoder: AttributeEncoder, found: Attributes, numbers: Tensor, parts: Tensor
) -> tuple[Tensor, dict[str, float]]:
    wanted = encoder.learned(numbers)
    figures, loss = {}, found.scores.new_zeros(())
    for field in VECTOR_FIELDS:
        columns = field_columns(field.name)
        scores, truth = found.scores[:, columns], wanted[:, columns]
        if field.categories:
            entropy = functional.cross_entropy(scores, truth)
            loss = loss + _CHOICE_WEIGHTS[field.name] * entropy
            figures[field.name] = float((scores.argmax(1) == truth.argmax(1)).float().mean())
        else:
            error = (scores - truth).square().mean()
            loss = loss + _WEIGHTS.get(field.name, 1.0) / 10 * error
            if field.name in _WEIGHTS:
                figures[field.name] = float(error.detach())
    small = functional.interpolate(parts, size=PARTS_EDGE, mode="area")
    shares = torch.cat([(1 - small.sum(dim=1, keepdim=True)).clamp(min=0), small], dim=1)
    outline = functional.cross_entropy(found.parts, shares)
    figures["parts"] = float(outline.detach())
    return loss + outline, figures
