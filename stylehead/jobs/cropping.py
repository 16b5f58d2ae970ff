"""What `stylehead invert` crops out of a picture, and the camera that it knows of that crop."""

import functools
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from torch import Tensor

from stylehead.errors import StyleheadError, UsageError
from stylehead.export.recipe import read_recipe
from stylehead.geometry import camera_from_angles
from stylehead.inversion.align import Square, align_face, crop, inside_share, whole_square
from stylehead.inversion.camera_files import SUFFIXES, read_camera_file
from stylehead.inversion.faces import Detector, Points, choose_face
from stylehead.inversion.finders import load_face_finder
from stylehead.inversion.inverter import Camera
from stylehead.inversion.masks import Share
from stylehead.inversion.numbered import number_faces
from stylehead.inversion.photographs import Bytes, Photo
from stylehead.inversion.quality import Quality, with_face
from stylehead.jobs.arguments import InvertArguments
from stylehead.jobs.checks import check_file
from stylehead.jobs.report import Report

_MOST_YAW_DEG, _MOST_PITCH_DEG = 180.0, 89.0
_EXAMPLE = "--camera 20,-5, --camera latent.npz, or leave it out"


Kind = Literal["aligned", "photograph", "render"]


class CropFrame(NamedTuple):
    """A square in a photograph of a height and width."""

    square: Square
    height: int
    width: int

    @classmethod
    def read(cls, facts: Mapping[str, Any] | None) -> "CropFrame | None":
        """Take it from what `facts` wrote; None from a run of an earlier version."""
        if facts is None:
            return None
        centre, right, down = (np.array(facts[name], np.float64) for name in ("centre", "right", "down"))
        return cls(Square(centre, right, down), int(facts["height"]), int(facts["width"]))

    def facts(self) -> dict[str, Any]:
        """Return it for a manifest."""
        sides = {name: value.tolist() for name, value in self.square._asdict().items()}
        return {**sides, "height": self.height, "width": self.width}

    def inside(self, size: int) -> Share | None:
        """Share of each pixel of the crop that the photograph shows, [size, size]; None: all of it."""
        return inside_share((self.height, self.width), self.square, size)


class HeadCrop(NamedTuple):
    """The aligned picture of a head.

    Attributes:
        pixels: [R, R, 3].
        alpha: [R, R], if the picture has any.
        camera: What is known of its camera.
        face: Number of the face that was chosen; None where none was looked for.
        likeness: Adds what the face models say of a render; None when they were not used.
        kind: Whether a face was found in a photograph, the user cropped it, or it is a render of ours.
        entry: Catalogue entry of the detector, if it is of the catalogue.
        faces: The whole picture with its faces numbered, [H, W, 3]; None unless there are several.
        frame: Which part of the photograph it is; None where it is not known.
    """

    pixels: Bytes
    alpha: Bytes | None
    camera: Camera | None
    face: int | None
    likeness: Callable[[Quality, Bytes], Quality] | None = None
    kind: Kind = "aligned"
    entry: str | None = None
    faces: Bytes | None = None
    frame: CropFrame | None = None


def find_head(arguments: InvertArguments, picture: Photo, resolution: int, report: Report) -> HeadCrop:
    """Crop the head that was asked for.

    Args:
        arguments: What was asked for.
        picture: The picture.
        resolution: Edge of the crop, pixels.
        report: For notes.

    Raises:
        MissingError: No detector is installed.
        JobError: There is no face, or it is too small.
        UsageError: There is no face of that number, or the camera cannot be read.
    """
    if arguments.aligned:
        camera = None
        if arguments.camera is not None:
            camera = Camera(parse_camera(arguments.camera, _name(arguments)), fixed=True)
        return _whole(picture, resolution, camera, "aligned", report)
    height, width = picture.pixels.shape[:2]
    rendered = camera_of_render(arguments.photo) if arguments.face is None and height == width else None
    if rendered is not None:
        report.note(
            f"{arguments.photo} is a render of stylehead: its camera is known, no face is looked for."
        )
        return _whole(picture, resolution, Camera(rendered, fixed=True), "render", report)
    return _found(arguments, picture, resolution, report)


def _whole(picture: Photo, resolution: int, camera: Camera | None, kind: Kind, report: Report) -> HeadCrop:
    """The middle square of a picture that shows one head."""
    square, note = whole_square(picture.pixels)
    if note is not None:
        report.note(note)
    alpha = _alpha(picture.alpha, square, resolution)
    return HeadCrop(crop(picture.pixels, square, resolution), alpha, camera, None, kind=kind)


def _found(arguments: InvertArguments, picture: Photo, resolution: int, report: Report) -> HeadCrop:
    """The square around a face."""
    detector, entry, note = load_face_finder()
    report.note(note)
    faces = detector.find(picture.pixels)
    choice = choose_face(faces, arguments.face, str(arguments.photo))
    if choice.note is not None:
        report.note(choice.note)
    for doubt in choice.doubts:
        report.warn(doubt)
    square, label = align_face(choice.face)
    likeness = None
    if choice.face.embedding is not None:
        likeness = functools.partial(_with_face, detector, choice.face.embedding)
    return HeadCrop(
        pixels=crop(picture.pixels, square, resolution),
        alpha=_alpha(picture.alpha, square, resolution),
        camera=Camera(label, fixed=False),
        face=choice.number,
        likeness=likeness,
        kind="photograph",
        entry=entry,
        faces=number_faces(picture.pixels, faces) if len(faces) > 1 else None,
        frame=CropFrame(square, *picture.pixels.shape[:2]),
    )


def camera_of_render(path: Path | None) -> Tensor | None:
    """Camera [1, 25] of a frame that `render` wrote, by the recipe inside it; None for any other picture."""
    try:
        recipe = {} if path is None else read_recipe(path)
    except StyleheadError:  # no recipe, or none that can be read: a picture like any other
        return None
    yaw, pitch = recipe.get("yaw_deg"), recipe.get("pitch_deg", 0.0)
    if recipe.get("command") != "render":
        return None
    if not isinstance(yaw, int | float) or not isinstance(pitch, int | float):
        return None
    return camera_from_angles(math.radians(yaw), math.radians(pitch))


def _with_face(finder: Detector, embedding: Points, quality: Quality, render: Bytes) -> Quality:
    return with_face(quality, finder, embedding, render)


def _alpha(alpha: Bytes | None, square: Square, resolution: int) -> Bytes | None:
    return None if alpha is None else crop(alpha, square, resolution)


def parse_camera(text: str, picture: str = "") -> Tensor:
    """Read a camera [1, 25]: "YAW,PITCH" in degrees, or a file of `read_camera_file`.

    Raises:
        UsageError: It is none of these, or out of range.
        JobError: The file is damaged or has no camera.
    """
    parts = text.split(",")
    if len(parts) == 2:
        try:
            yaw, pitch = (float(part) for part in parts)
        except ValueError:
            raise UsageError(
                f"`--camera` (={text}) must be YAW,PITCH in degrees or a file.", _EXAMPLE
            ) from None
        if not (abs(yaw) <= _MOST_YAW_DEG and abs(pitch) <= _MOST_PITCH_DEG):
            raise UsageError(
                f"`--camera` (={text}) must have a yaw within {_MOST_YAW_DEG:g} and a pitch within "
                f"{_MOST_PITCH_DEG:g} degrees."
            )
        return camera_from_angles(math.radians(yaw), math.radians(pitch))
    path = Path(text)
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"`--camera` (={text}) must be YAW,PITCH in degrees or a file ({', '.join(SUFFIXES)}).", _EXAMPLE
        )
    check_file(path, "--camera")
    return read_camera_file(path, picture)


def _name(arguments: InvertArguments) -> str:
    return "" if arguments.photo is None else arguments.photo.name
