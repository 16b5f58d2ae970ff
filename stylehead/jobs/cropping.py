"""What `stylehead invert` crops out of a picture, and the camera that it knows of that crop."""

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from stylehead.errors import UsageError
from stylehead.geometry import camera_from_angles
from stylehead.inversion.align import Square, align_face, crop, whole_square
from stylehead.inversion.camera_files import SUFFIXES, read_camera_file
from stylehead.inversion.faces import FaceFinder, Points, choose_face, load_face_finder
from stylehead.inversion.inverter import Camera
from stylehead.inversion.photographs import Bytes, Photo
from stylehead.inversion.quality import Quality, with_face
from stylehead.jobs.arguments import InvertArguments
from stylehead.jobs.checks import check_file
from stylehead.jobs.report import Report

_MOST_YAW_DEG, _MOST_PITCH_DEG = 180.0, 89.0
_EXAMPLE = "--camera 20,-5, --camera latent.npz, or leave it out"


class HeadCrop(NamedTuple):
    """The aligned picture of a head.

    Attributes:
        pixels: [R, R, 3].
        alpha: [R, R], if the picture has any.
        camera: What is known of its camera.
        face: Number of the face that was chosen; None for an aligned picture.
        likeness: Adds what the face models say of a render; None when they were not used.
    """

    pixels: Bytes
    alpha: Bytes | None
    camera: Camera | None
    face: int | None
    likeness: Callable[[Quality, Bytes], Quality] | None = None


def find_head(arguments: InvertArguments, picture: Photo, resolution: int, report: Report) -> HeadCrop:
    """Crop the head that was asked for.

    Args:
        arguments: What was asked for.
        picture: The picture.
        resolution: Edge of the crop, pixels.
        report: For notes.

    Raises:
        MissingError: Face models are missing.
        LicenseError: Their licence is not accepted.
        JobError: There is no face.
        UsageError: There is no face of that number, or the camera cannot be read.
    """
    face, camera, likeness = None, None, None
    if arguments.aligned:
        camera = (
            None
            if arguments.camera is None
            else Camera(parse_camera(arguments.camera, _name(arguments)), fixed=True)
        )
        square, note = whole_square(picture.pixels)
    else:
        finder = load_face_finder()
        choice = choose_face(finder.find(picture.pixels), arguments.face, str(arguments.photo))
        aligned = align_face(choice.face)
        if choice.face.embedding is not None:
            likeness = functools.partial(_with_face, finder, choice.face.embedding)
        square, note, face = aligned.square, choice.note, choice.number
        if aligned.camera_label is not None:
            camera = Camera(aligned.camera_label, fixed=False)
    if note is not None:
        report.note(note)
    alpha = _alpha(picture.alpha, square, resolution)
    return HeadCrop(crop(picture.pixels, square, resolution), alpha, camera, face, likeness)


def _with_face(finder: FaceFinder, embedding: Points, quality: Quality, render: Bytes) -> Quality:
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
