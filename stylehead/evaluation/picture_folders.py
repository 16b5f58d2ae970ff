"""Folders of pictures in place of a generator: what other systems made of the same people and sides."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from stylehead.errors import JobError, MissingError, UsageError
from stylehead.evaluation.angles import wrap_yaw
from stylehead.evaluation.portraits import Portraits
from stylehead.export.recipe import read_recipe

SIDECAR = "pictures.json"
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
NAMING = "seed-7/yaw+030.png (or seed-7_yaw+030.png)"
_PLACE = re.compile(r"seed[-_ ]?(\d+)(?:/|[-_ ])(?:.*[-_ /])?yaw[-_ ]?([+-]?\d+)$")


class PictureFolder(NamedTuple):
    """A folder of stylised pictures."""

    path: Path
    """The folder."""
    prompt: str
    """What the pictures should show."""
    method: str
    """What made them."""
    places: Mapping[tuple[int, float], Path]
    """Picture by seed and yaw in degrees."""


def open_folder(path: Path) -> PictureFolder:
    """Find out what a folder of pictures shows.

    Who and from where comes from the names of the files or, in pictures that `stylehead render` drew, from
    the recipe inside; prompt and method from `pictures.json` or from the recipes.

    Raises:
        UsageError: It is no folder, or no picture in it can be placed.
        MissingError: It is not known what the pictures should show.
    """
    if not path.is_dir():
        raise UsageError(f"`--images` (={path}) is not a folder.")
    files = [file for file in sorted(path.rglob("*")) if file.suffix.lower() in SUFFIXES]
    recipes: dict[Path, dict[str, object]] = {}
    places = {}
    for file in files:
        place = _place_by_name(file.relative_to(path))
        if place is None:
            recipes[file] = _recipe(file)
            place = _place_by_recipe(recipes[file])
        if place is not None:
            places[place] = file
    if not places:
        raise UsageError(f"{path} holds no pictures named like {NAMING}.")
    facts = _facts(path, recipes or {files[0]: _recipe(files[0])})
    return PictureFolder(path, facts["prompt"], facts["method"], places)


def read_folder(folder: PictureFolder, seeds: Sequence[int], yaws_deg: Sequence[float]) -> Portraits:
    """Read the pictures of some people from those of the sides that all of them have.

    Args:
        folder: From `open_folder`.
        seeds: Every one of them must be there: all rows of a table have the same people.
        yaws_deg: Sides that are wanted; those that are missing for any person are left out.

    Raises:
        JobError: A person is missing, or pictures are damaged or of different sizes.
    """
    missing = [seed for seed in seeds if not any(place[0] == seed for place in folder.places)]
    if missing:
        raise JobError(
            f"{folder.path} shows {len(seeds) - len(missing)} of the {len(seeds)} people; "
            f"seed {missing[0]} is not among them.",
            "all rows need the same people: lower --identities, or add the pictures",
        )
    yaws = [yaw for yaw in yaws_deg if all((seed, yaw) in folder.places for seed in seeds)]
    if not yaws:
        wanted = ", ".join(f"{yaw:g}" for yaw in yaws_deg)
        raise JobError(f"{folder.path} shows nobody from all of the sides {wanted}.")
    pictures = [[read_picture(folder.places[seed, yaw]) for yaw in yaws] for seed in seeds]
    sizes = {tuple(picture.shape) for row in pictures for picture in row}
    if len(sizes) > 1:
        raise JobError(f"The pictures in {folder.path} are not all of one size.")
    return Portraits(torch.stack([torch.stack(row) for row in pictures]), tuple(seeds), tuple(yaws))


def read_set(folder: Path) -> Portraits:
    """Read all pictures of a folder as a set to compare distributions with, whatever their names.

    Raises:
        UsageError: There are fewer than two.
        JobError: They are damaged or of different sizes.
    """
    files = [file for file in sorted(folder.rglob("*")) if file.suffix.lower() in SUFFIXES]
    if len(files) < 2:
        raise UsageError(f"{folder} holds fewer than two pictures to compare with.")
    pictures = [read_picture(file) for file in files]
    if len({tuple(picture.shape) for picture in pictures}) > 1:
        raise JobError(f"The pictures in {folder} are not all of one size.")
    return Portraits(torch.stack(pictures)[:, None], tuple(range(len(files))), (0.0,))


def read_picture(path: Path) -> Tensor:
    """Read a square picture on white, uint8 [3, R, R].

    Raises:
        JobError: It is damaged or not square.
    """
    try:
        with Image.open(path) as image:
            rgba = image.convert("RGBA")
    except (OSError, SyntaxError, ValueError) as error:
        raise JobError(f"{path} is no picture that can be read.") from error
    if rgba.width != rgba.height:
        raise JobError(f"{path} is {rgba.width} x {rgba.height}; pictures must be square.")
    white = Image.new("RGBA", rgba.size, "white")
    white.alpha_composite(rgba)
    return torch.from_numpy(np.asarray(white.convert("RGB")).copy()).permute(2, 0, 1)


def _place_by_name(name: Path) -> tuple[int, float] | None:
    match = _PLACE.search(name.with_suffix("").as_posix())
    return (int(match[1]), wrap_yaw(float(match[2]))) if match else None


def _place_by_recipe(recipe: Mapping[str, object]) -> tuple[int, float] | None:
    match = re.fullmatch(r"seed-(\d+)", str(recipe.get("head", "")))
    yaw = recipe.get("yaw_deg")
    if match is None or not isinstance(yaw, int | float) or recipe.get("pitch_deg", 0.0) != 0.0:
        return None
    return int(match[1]), wrap_yaw(float(yaw))


def _recipe(path: Path) -> dict[str, object]:
    try:
        return read_recipe(path)
    except (JobError, MissingError):
        return {}


def _facts(path: Path, recipes: Mapping[Path, Mapping[str, object]]) -> dict[str, str]:
    sidecar = path / SIDECAR
    if sidecar.is_file():
        try:
            content = json.loads(sidecar.read_text(encoding="utf-8"))
            return {"prompt": str(content["prompt"]), "method": str(content.get("method", path.name))}
        except (ValueError, KeyError, TypeError) as error:
            raise JobError(f"{sidecar} is damaged: it needs a `prompt`.") from error
    prompt = next((str(recipe["prompt"]) for recipe in recipes.values() if recipe.get("prompt")), None)
    if prompt is None:
        example = '{"prompt": "Pixar character", "method": "ip2p"}'
        raise MissingError(
            f"Nothing says what the pictures in {path} should show.", f"write {example} to {sidecar}"
        )
    return {"prompt": prompt, "method": path.name}
