"""Faces in photographs, found by insightface's models where they may be used, else by CenterFace.

insightface's models have to be fetched and their licence accepted; CenterFace comes with the package.
"""

import contextlib
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from stylehead.errors import JobError, MissingError, UsageError
from stylehead.inversion.photographs import Bytes

MODELS = "insightface-buffalo_l"
"""Entry of the catalogue that holds detector, landmarks and identity."""

SMALLEST_FACE, SMALL_FACE = 24, 64
"""Pixels of a face's box: below the first nothing can be recognised, below the second little."""
PROFILE = 0.45
"""`Face.eye_share` below which a face is seen in profile; from the front it is about 0.95."""

_TASKS = ["detection", "landmark_3d_68", "recognition"]
_NO_FACE = (
    "use a picture that shows the face larger, upright and from the front or the side (the back of a head "
    "has none), or crop it to the head yourself and add --aligned"
)
_ACCEPT = f"stylehead weights fetch {MODELS} --accept-license insightface"

Points = NDArray[np.float64]


class Face(NamedTuple):
    """One face in a photograph, in its pixels."""

    box: tuple[float, float, float, float]
    """Left, top, right, bottom."""
    score: float
    """Confidence of the detector, 0..1."""
    five: Points
    """[5, 2]: the eye on the picture's left, the other eye, nose, and the two mouth corners."""
    points: Points | None = None
    """[68, 3] landmarks in the usual order, z towards the camera; None without a landmark model."""
    mean_points: Points | None = None
    """[68, 3], the mean face to which `points` correspond: x right, y down, z forward."""
    embedding: Points | None = None
    """Unit vector of the identity; None without a recognition model."""

    @property
    def area(self) -> float:
        """Area of the box, square pixels."""
        left, top, right, bottom = self.box
        return max(right - left, 0.0) * max(bottom - top, 0.0)

    @property
    def edge(self) -> float:
        """Square root of that area, pixels."""
        return float(np.sqrt(self.area))

    @property
    def eye_share(self) -> float:
        """Distance between the eyes over that between eyes and mouth: about 1 in front, 0 in profile."""
        eyes = float(np.linalg.norm(self.five[1] - self.five[0]))
        along = float(np.linalg.norm(self.five[3:].mean(axis=0) - self.five[:2].mean(axis=0)))
        return eyes / max(along, 1e-6)


class Detector(Protocol):
    """What finds faces."""

    def find(self, pixels: Bytes) -> list[Face]:
        """Find all faces in a picture [H, W, 3], the largest first."""


class Analyser(Protocol):
    """The part of insightface's `FaceAnalysis` that is used."""

    models: Any

    def get(self, img: Bytes) -> Sequence[Any]:
        """Faces in a picture [H, W, 3], blue first."""


class FaceFinder:
    """Finds faces by insightface's models (protocol `Detector`).

    Args:
        analyser: insightface's `FaceAnalysis`, prepared, or anything that answers alike.
    """

    def __init__(self, analyser: Analyser) -> None:
        self._analyser = analyser
        landmark_model = analyser.models.get("landmark_3d_68")
        mean = getattr(landmark_model, "mean_lmk", None)
        self._mean = None if mean is None else np.asarray(mean, dtype=np.float64)

    @classmethod
    def load(cls, folder: Path) -> "FaceFinder":
        """Load insightface's models from a folder of `.onnx` files.

        Raises:
            MissingError: The package insightface cannot be imported.
            JobError: The folder does not hold the models.
        """
        try:
            with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
                warnings.simplefilter("ignore")
                from insightface.app import FaceAnalysis

                analyser = FaceAnalysis(
                    name=str(folder), allowed_modules=_TASKS, providers=["CPUExecutionProvider"]
                )
                analyser.prepare(ctx_id=-1, det_size=(640, 640))
        except ImportError as error:
            raise MissingError(
                f"The package insightface cannot be used ({error}).", "pip install insightface onnxruntime"
            ) from error
        except Exception as error:  # the runtime's own classes have no common base but this
            raise JobError(f"{folder} does not hold insightface's models.", _ACCEPT) from error
        return cls(analyser)

    def find(self, pixels: Bytes) -> list[Face]:
        """Find all faces in a picture [H, W, 3], the largest first."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of numpy, inside the package
            found = self._analyser.get(np.ascontiguousarray(pixels[..., ::-1]))
        faces = [self._face(item) for item in found if getattr(item, "kps", None) is not None]
        return sorted(faces, key=lambda face: -face.area)

    def _face(self, item: Any) -> Face:
        points = getattr(item, "landmark_3d_68", None)
        usable = points is not None and self._mean is not None
        embedding = getattr(item, "normed_embedding", None)
        left, top, right, bottom = (float(value) for value in item.bbox)
        return Face(
            box=(left, top, right, bottom),
            score=float(item.det_score),
            five=np.asarray(item.kps, dtype=np.float64),
            points=np.asarray(points, dtype=np.float64) if usable else None,
            mean_points=self._mean if usable else None,
            embedding=None if embedding is None else np.asarray(embedding, dtype=np.float64),
        )


class FaceChoice(NamedTuple):
    """The face that was chosen, a sentence when there was a choice, and what makes it hard."""

    face: Face
    number: int
    note: str | None
    doubts: tuple[str, ...] = ()


def choose_face(faces: Sequence[Face], number: int | None, picture: str) -> FaceChoice:
    """Choose a face.

    Args:
        faces: The largest first.
        number: 1 for the largest, 2 for the next; None chooses the largest.
        picture: Its name, for messages.

    Raises:
        JobError: There is no face, or it is too small.
        UsageError: There is none of that number.
    """
    if not faces:
        raise JobError(f"No face was found in {picture}.", _NO_FACE)
    if number is not None and not 1 <= number <= len(faces):
        raise UsageError(
            f"`--face` (={number}) must be between 1 and {len(faces)}: "
            f"{picture} shows {len(faces)} face{'s' * (len(faces) > 1)}."
        )
    chosen = number or 1
    note = None
    if number is None and len(faces) > 1:
        note = (
            f"{picture} shows {len(faces)} faces; the largest is taken, around pixel "
            f"{_middle(faces[0])}. Others: " + ", ".join(
                f"--face {index} at {_middle(face)}" for index, face in enumerate(faces[1:], start=2)
            )
        )  # fmt: skip
    face = faces[chosen - 1]
    if face.edge < SMALLEST_FACE:
        raise JobError(
            f"The face in {picture} is {face.edge:.0f} pixels large; at least {SMALLEST_FACE} are needed.",
            "use a picture that shows it larger",
        )
    return FaceChoice(face, chosen, note, doubts_of(face))


def doubts_of(face: Face) -> tuple[str, ...]:
    """What makes a face hard to invert, one sentence each."""
    doubts = []
    if face.edge < SMALL_FACE:
        doubts.append(
            f"The face is {face.edge:.0f} pixels large: below {SMALL_FACE} little of it can be seen."
        )
    if face.eye_share < PROFILE:
        doubts.append("The face is seen in profile (its eyes fall together): its other half is a guess.")
    return tuple(doubts)


def _middle(face: Face) -> str:
    left, top, right, bottom = face.box
    return f"({(left + right) / 2:.0f}, {(top + bottom) / 2:.0f})"
