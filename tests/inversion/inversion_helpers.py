"""What the tests of the inversion share."""

from typing import Any

import numpy as np
import torch

from stylehead.generator import PanoHead
from stylehead.geometry import split_label
from stylehead.inversion import TargetImage


def picture_of(generator: PanoHead, ws: torch.Tensor, label: torch.Tensor) -> TargetImage:
    """The picture that a head makes, with its true mask."""
    with torch.no_grad():
        out = generator.synthesis(ws, label, background="white")
    mask = torch.nn.functional.interpolate(
        out.mask.clamp(0, 1), size=out.image.shape[-1], mode="bilinear", align_corners=False
    )
    return TargetImage(out.image.clamp(-1, 1), mask)


def mean_face() -> np.ndarray:
    """A face of 68 points, made up but with eyes, nose, mouth and jaw where faces have them: [68,3]."""
    angle = np.linspace(-1.25, 1.25, 17)
    jaw = np.stack([0.62 * np.sin(angle), -0.3 + 0.88 * np.cos(angle), 0.4 * np.cos(angle) - 0.3], axis=1)
    brows = [[side * x, -0.45, 0.35] for side in (-1, 1) for x in (0.5, 0.4, 0.3, 0.2, 0.1)]
    nose = [[0, -0.3 + 0.1 * i, 0.45 + 0.05 * i] for i in range(4)]
    nose += [[0.08 * i, 0.05, 0.5 - 0.02 * abs(i)] for i in range(-2, 3)]
    turn = np.linspace(0, 2 * np.pi, 6, endpoint=False)
    eyes = [[side * 0.27 + 0.11 * np.cos(t), -0.31 + 0.04 * np.sin(t), 0.3] for side in (-1, 1) for t in turn]
    turn = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    mouth = [[-0.21 * np.cos(t), 0.24 + 0.06 * np.sin(t), 0.45] for t in turn]
    mouth[0], mouth[6] = [-0.21, 0.24, 0.38], [0.21, 0.24, 0.38]
    return np.concatenate([jaw, brows, nose, eyes, mouth])


def photographed(camera_label: torch.Tensor, scale: float, middle: tuple[float, float]) -> np.ndarray:
    """The mean face as landmarks in a photograph: seen by a camera, x right, y down, z to the camera."""
    cam2world = split_label(camera_label)[0][0].double().numpy()
    world = mean_face() * [1, -1, 1]
    seen = world @ cam2world[:3, :3] * [1, 1, -1]
    return seen * scale + [*middle, 0.0]


class FakeFace(dict[str, Any]):
    """Answers as insightface's `Face`: attributes that are not there are None."""

    def __getattr__(self, name: str) -> Any:
        return self.get(name)


class FakeAnalyser:
    """Stands for insightface's `FaceAnalysis`: the same fields, made from cameras.

    Args:
        faces: Of each face: camera [1,25], pixels per unit of the mean face, middle.
    """

    class _Landmarks:
        mean_lmk = mean_face()

    embedding: np.ndarray | None = None

    def __init__(self, *faces: tuple[torch.Tensor, float, tuple[float, float]], points: bool = True) -> None:
        self.models = {"detection": object(), **({"landmark_3d_68": self._Landmarks()} if points else {})}
        self.faces, self.points, self.seen = faces, points, []

    def get(self, img: np.ndarray) -> list[FakeFace]:
        self.seen.append(img)
        return [self._face(*face) for face in self.faces]

    def _face(self, label: torch.Tensor, scale: float, middle: tuple[float, float]) -> FakeFace:
        points = photographed(label, scale, middle)
        five = np.stack([points[36:42].mean(0), points[42:48].mean(0), points[33], points[48], points[54]])[
            :, :2
        ]
        box = np.concatenate([points[:, :2].min(0), points[:, :2].max(0)])
        face = FakeFace(bbox=box.astype(np.float32), det_score=np.float32(0.9), kps=five.astype(np.float32))
        if self.points:
            face["landmark_3d_68"] = points.astype(np.float32)
        if self.embedding is not None:
            face["normed_embedding"] = self.embedding
        return face
