"""What the viewer shows, without a browser: a generator behind a lock, and pictures of heads on it."""

import math
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stylehead.errors import JobError
from stylehead.export.frames import Look, picture, render_frames
from stylehead.export.orbit import orbit
from stylehead.export.views import latent_from_seed
from stylehead.generator import PanoHead, Style, mix_styles, remove_styles
from stylehead.generator.trigrid import TriGrid
from stylehead.geometry import DEFAULT_RADIUS, camera_label, fov_to_intrinsics
from stylehead.images import Pixels, on_white, to_pixels

_TELEPHONE, _ABOVE_CONTROLS = 0.65, 0.4
"""Width over height of windows whose controls come from below, and the part of such a window above them."""
_KEPT = 6  # prepared heads: two of each of three visitors


@dataclass(frozen=True)
class ShownHead:
    """What one picture shows."""

    seed: int = 0
    """Which head, unless `latent` names one."""
    latent: str | None = None
    """Name of a head from a file."""
    psi: float = 0.75
    """Truncation of seeds."""
    strengths: tuple[tuple[str, float], ...] = ()
    """Styles that act, by name."""


class Gaze(NamedTuple):
    """Where from: a camera as browsers give it."""

    cam2world: NDArray[np.float64]
    """[4, 4], rigid, OpenCV's axes."""

    def label(self) -> Tensor:
        """Return the camera [1, 25]: on its sphere, with a longer lens for what is nearer."""
        pose = self.cam2world.copy()
        distance = max(float(np.linalg.norm(pose[:3, 3])), 1e-6)
        pose[:3, 3] *= DEFAULT_RADIUS / distance
        lens = fov_to_intrinsics().clone()
        lens[:2, :2] *= min(max(DEFAULT_RADIUS / distance, 0.5), 4.0)
        return camera_label(torch.from_numpy(pose).float()[None], lens)


@dataclass
class SharedGenerator:
    """A generator with heads and styles by name; safe to ask from several threads."""

    generator: PanoHead
    styles: Mapping[str, Style] = field(default_factory=dict)
    latents: Mapping[str, Tensor] = field(default_factory=dict)
    """Heads from files, [1, num_ws, w_dim]."""

    def __post_init__(self) -> None:
        self.base = self.generator.fingerprint()  # asked now: later it wears a style
        self._lock = threading.Lock()
        self._ready: OrderedDict[Any, tuple[TriGrid, Tensor]] = OrderedDict()
        self._worn: tuple[tuple[str, float], ...] = ()

    def see(self, scene: ShownHead, gaze: Gaze, look: Look) -> Pixels:
        """Render one picture to be looked at, bytes [S, S, 3]."""
        return on_white(self.still(scene, look, gaze))

    def film(self, scene: ShownHead, look: Look, steps: int = 36) -> Pixels:
        """Render a turntable, bytes [T, S, S, 3 or 4]."""
        with self._lock:
            _, ws = self._prepared(scene)
            return render_frames(self.generator, ws, orbit(steps), look)

    def still(self, scene: ShownHead, look: Look, gaze: Gaze) -> Pixels:
        """Render a picture to be kept, bytes [S, S, 3 or 4]."""
        with self._lock, torch.no_grad():
            grid, ws = self._prepared(scene)
            label = gaze.label().to(ws.device)
            return to_pixels(picture(self.generator, grid, ws, label, look))[0]

    def mesh(self, scene: ShownHead, path: Path) -> None:
        """Write the surface of a head.

        Raises:
            MissingError: The packages of the extra `mesh` are missing.
            JobError: There is no surface.
        """
        from stylehead.export.mesh import extract_mesh, require_mesh_tools
        from stylehead.export.mesh_files import save_mesh

        require_mesh_tools()
        with self._lock:
            _, ws = self._prepared(scene)
            surface = extract_mesh(self.generator, ws)
        save_mesh(path, surface, {"command": "view", "head": scene.latent or f"seed-{scene.seed}"})

    def replace_style(self, name: str, style: Style) -> None:
        """Put a newer style in the place of one, for a training that goes on."""
        with self._lock:
            self.styles = {**self.styles, name: style}
            self._ready.clear()
            self._worn = ((name, math.nan),)  # what is worn is not what is asked for, whatever that is

    def _prepared(self, scene: ShownHead) -> tuple[TriGrid, Tensor]:
        """The tri-grid and style vectors of a scene, its styles on; the last few are kept."""
        self._wear(scene.strengths)
        if scene in self._ready:
            self._ready.move_to_end(scene)
            return self._ready[scene]
        ws = self._ws(scene)
        with torch.no_grad():
            found = self.generator.prepare(self.generator.planes(ws)), ws
        self._ready[scene] = found
        if len(self._ready) > _KEPT:
            self._ready.popitem(last=False)
        return found

    def _wear(self, strengths: tuple[tuple[str, float], ...]) -> None:
        if strengths == self._worn:
            return
        parts = [(self.styles[name], strength) for name, strength in strengths if strength]
        if parts:
            mix_styles(parts).apply(self.generator)
        else:
            remove_styles(self.generator)
        self._worn = strengths

    def _ws(self, scene: ShownHead) -> Tensor:
        if scene.latent is None:
            return latent_from_seed(self.generator, scene.seed, psi=scene.psi)
        if scene.latent not in self.latents:
            raise JobError(f"There is no head {scene.latent} here.")
        return self.latents[scene.latent]


def plain(scene: ShownHead) -> ShownHead:
    """The same head without its styles."""
    return replace(scene, strengths=())


def letterbox(drawn: Pixels, aspect: float, backdrop: str = "white") -> Pixels:
    """Widen or heighten a picture [H, W, 3] to the shape of a window, its own background round it.

    Args:
        drawn: The picture; all of it is seen, also above the controls of a telephone.
        aspect: Width over height of the window.
        backdrop: What is behind the head; beside what was learned, white.
    """
    height, width = drawn.shape[:2]
    room = height if aspect > _TELEPHONE else round(height / _ABOVE_CONTROLS)
    shape = max(room, round(width / aspect)), max(width, round(room * aspect))
    out = np.empty((*shape, 3), np.uint8)
    out[:] = _colour(backdrop)
    left = (shape[1] - width) // 2  # and at the top
    out[:height, left : left + width] = drawn
    return out


def _colour(backdrop: str) -> NDArray[np.uint8]:
    from stylehead.export.frames import TRANSPARENT
    from stylehead.export.views import parse_colour

    if backdrop in ("white", "learned", TRANSPARENT):
        return np.full(3, 255, np.uint8)
    return to_pixels(parse_colour(backdrop).view(1, 3, 1, 1))[0, 0, 0]
