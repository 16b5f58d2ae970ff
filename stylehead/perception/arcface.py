"""ArcFace through insightface, from a local folder of its models."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from stylehead.errors import JobError, MissingError
from stylehead.perception.roles import FaceEmbeddings

DETECTION_SIZE = 640


class ArcFace:
    """Finds the largest face of a picture and embeds it (protocol `Faces`).

    Args:
        analyser: An insightface `FaceAnalysis`, prepared.
        name: Of the pack of models.
        dimension: Length of its embeddings.
    """

    def __init__(self, analyser: Any, name: str, *, dimension: int = 512) -> None:
        self.analyser, self.dimension = analyser, dimension
        self.name = f"ArcFace ({name})"

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> "ArcFace":
        """Load a pack such as buffalo_l; nothing is downloaded.

        Raises:
            MissingError: The folder is not there.
            JobError: It holds no detection and recognition models.
        """
        if not any(folder.glob("*.onnx")):
            hint = "stylehead weights fetch insightface-buffalo_l"
            raise MissingError(f"There are no face models in {folder}.", hint)
        from insightface.app import FaceAnalysis

        providers = ["CUDAExecutionProvider"] if device.startswith("cuda") else []
        try:
            analyser = FaceAnalysis(
                name=str(folder.resolve()),
                allowed_modules=["detection", "recognition"],
                providers=[*providers, "CPUExecutionProvider"],
            )
            analyser.prepare(ctx_id=0 if providers else -1, det_size=(DETECTION_SIZE, DETECTION_SIZE))
        except (AssertionError, ValueError, RuntimeError) as error:
            raise JobError(f"{folder} holds no usable face models: {error}") from error
        return cls(analyser, folder.name)

    def faces(self, images: Tensor) -> FaceEmbeddings:
        """Embed the largest face of each byte picture [B, 3, R, R]; zeros where there is none."""
        vectors, found = torch.zeros(len(images), self.dimension), torch.zeros(len(images), dtype=torch.bool)
        for row, image in enumerate(images):
            bgr = np.ascontiguousarray(image.permute(1, 2, 0).cpu().numpy()[..., ::-1])
            faces = self.analyser.get(bgr)
            if faces:
                largest = max(faces, key=_area)
                vectors[row] = torch.from_numpy(np.asarray(largest.embedding, np.float32))
                found[row] = True
        return FaceEmbeddings(functional.normalize(vectors, dim=1), found)


def _area(face: Any) -> float:
    left, top, right, bottom = face.bbox
    return float((right - left) * (bottom - top))
