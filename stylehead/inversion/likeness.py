"""Whether a found head is a likeness: more like the picture than all but one in a hundred strangers are.

An identity encoder that took no part in the search compares them. Its threshold is measured on heads of the
generator, from what two pictures of one person and of two people reach, by
`python -m stylehead.world likeness`, and lies beside the generator.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from stylehead.errors import JobError
from stylehead.files import write_json
from stylehead.generator import PanoHead
from stylehead.inversion.pose import label_of_pose, pose_of_label
from stylehead.perception.embedded import IdentityEncoder
from stylehead.perception.judges import IdentityJudge

FILE, FORMAT = "likeness.json", "likeness-1"
ENCODERS: dict[str, Callable[[Path], Any]] = {
    "identity_judge.safetensors": IdentityJudge.load,
    "identity.safetensors": IdentityEncoder.load,
}
"""Files that can judge, the better one first: the first takes part in nothing but judging."""
STRANGERS = 0.99
"""Share of strangers that are less alike than a likeness is."""
DEFAULT_THRESHOLD = 0.6
"""Of an encoder for which none was measured."""
BESIDE_DEG = 15.0
"""The found head is shown from so far on either side of the picture's camera: no search compared these."""


class Threshold(NamedTuple):
    """Similarities, -1..1, as `python -m stylehead.world likeness` measured them."""

    threshold: float
    """What `STRANGERS` of the strangers stay below."""
    same_above: float
    """Share of pairs of one person above it."""
    people: int
    """How many there were."""
    encoder: str
    """Name of the file that judged."""
    generator: str
    """Fingerprint of the generator whose people they were."""

    def save(self, folder: Path) -> None:
        """Write `likeness.json`, atomically."""
        write_json(folder / FILE, {"format": FORMAT, **self._asdict()})


def read_threshold(folder: Path) -> Threshold | None:
    """Read `likeness.json`, or return None where there is none.

    Raises:
        JobError: It is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found.pop("format") != FORMAT:
            raise JobError(f"{path} is not a threshold that this version can read.")
        return Threshold(**found)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise JobError(f"{path} is damaged.", "pip install --force-reinstall stylehead") from error


@dataclass(frozen=True, eq=False)
class LikenessJudge:
    """Compares faces, and knows from where on two are one person's."""

    encoder: Callable[[Tensor], Tensor]
    """Maps pictures [B, 3, R, R] in -1..1 to unit vectors [B, E]."""
    name: str
    """Of its file."""
    threshold: float = DEFAULT_THRESHOLD
    fits: bool = True
    """Whether the threshold was measured for this encoder and generator."""

    @classmethod
    def load(
        cls, folder: Path, generator: str | None = None, device: str | torch.device = "cpu"
    ) -> "LikenessJudge | None":
        """Load the judge of a folder of embedded models, or return None where none is.

        Args:
            folder: Where encoders and `likeness.json` lie.
            generator: Fingerprint of the generator, to know whether the threshold fits it.
            device: Where to compute.

        Raises:
            JobError: A file is damaged.
        """
        name = next((name for name in ENCODERS if (folder / name).is_file()), None)
        if name is None:
            return None
        encoder, found = ENCODERS[name](folder / name).to(device), read_threshold(folder)
        if found is None or found.encoder != name:
            return cls(encoder, name, fits=False)
        return cls(encoder, name, found.threshold, fits=generator in (None, found.generator))

    @torch.no_grad()
    def similarity(self, generator: PanoHead, ws: Tensor, label: Tensor, picture_pm1: Tensor) -> float:
        """How like a picture [1, 3, R, R] a head is from both sides of a camera [1, 25]: a cosine, -1..1."""
        return float((self.encoder(beside(generator, ws, label)) @ self.encoder(picture_pm1).t()).mean())


@torch.no_grad()
def beside(generator: PanoHead, ws: Tensor, label: Tensor) -> Tensor:
    """Pictures [2, 3, R, R] of a head from `BESIDE_DEG` on either side of a camera [1, 25], on white."""
    poses = pose_of_label(label).repeat(2, 1)
    poses[:, 0] += torch.deg2rad(poses.new_tensor([-BESIDE_DEG, BESIDE_DEG]))
    return generator.synthesis(ws, label_of_pose(poses), background="white").image.clamp(-1, 1)
