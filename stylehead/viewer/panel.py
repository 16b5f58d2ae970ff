"""What one visitor sees and sets: controls at the side, the head behind, coarse while it turns."""

import contextlib
import functools
import math
import secrets
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stylehead.errors import StyleheadError
from stylehead.export.frames import Look
from stylehead.export.recipe import save_image
from stylehead.export.video import side_by_side, write_mp4, write_webm
from stylehead.geometry import DEFAULT_RADIUS, fov_to_intrinsics
from stylehead.images import Pixels
from stylehead.viewer.shared_generator import Gaze, SharedGenerator, ShownHead, letterbox, plain

BACKGROUNDS = ("white", "black", "#202028", "#808080", "#e8e0d0", "transparent")
SIZES = (128, 256, 384, 512)
BESIDE = ("nobody", "the untouched head", "another head")
FIELD_OF_VIEW_RAD = 2 * math.atan(0.5 / float(fov_to_intrinsics()[0, 0]))
_STILL_S = 0.25  # without a movement, after which the picture is drawn in full
_STEP_DEG = 10.0
_MOST_STRENGTH, _MOST_PITCH_DEG = 1.5, 60.0


class Wish(NamedTuple):
    """What is to be drawn: one or two heads, and how."""

    scenes: tuple[ShownHead, ...]
    look: Look


class Panel:
    """Controls and picture of one visitor.

    Args:
        stage: What is shown.
        client: The visitor, as viser knows them.
    """

    def __init__(self, stage: SharedGenerator, client: Any) -> None:
        self._stage, self._client = stage, client
        self._wake, self._gone = threading.Event(), threading.Event()
        self._angles = [0.0, 0.0]
        self._look_from(0.0, 0.0)
        self._build()
        client.camera.on_update(self._moved)
        threading.Thread(target=self._draw_forever, name="stylehead-viewer", daemon=True).start()
        self._wake.set()

    def close(self) -> None:
        """Stop drawing: the visitor has left."""
        self._gone.set()
        self._wake.set()

    def redraw(self) -> None:
        """Draw again: what is shown has changed, or a training has its first style."""
        self._offer_styles()
        self._wake.set()

    # ------------------------------------------------------------------------------------------ controls

    def _build(self) -> None:
        gui = self._client.gui
        with gui.add_folder("Head"):
            self._seed = gui.add_number("seed", 42, min=0, max=2**32 - 1, step=1)
            self._psi = gui.add_slider("psi", min=0.0, max=1.0, step=0.05, initial_value=0.75)
            names = ("from the seed", *self._stage.latents)
            first = names[-1] if len(names) == 2 else names[0]
            self._latent = gui.add_dropdown("from a file", names, initial_value=first)
            self._latent.visible = len(names) > 1
            self._button("random", self._random, "R")
        self._styles: dict[str, Any] = {}
        self._shelf = gui.add_folder("Styles", visible=False)
        self._offer_styles()
        with gui.add_folder("Picture"):
            self._beside = gui.add_dropdown("beside", BESIDE)
            self._other = gui.add_number("other seed", 7, min=0, max=2**32 - 1, step=1)
            self._background = gui.add_dropdown("background", self._backgrounds())
            self._size = gui.add_dropdown("size", tuple(map(str, self._sizes())))
            self._button("front", lambda: self._look_from(0.0, 0.0), "home")
        with gui.add_folder("Save"):
            self._button("picture", self._save_picture, "P")
            self._button("turntable", self._save_film, "T")
            self._button("mesh", self._save_mesh, "M")
        every = (self._seed, self._psi, self._latent, self._beside, self._other, self._background, self._size)
        for control in every:
            control.on_update(self._changed)
        for key, yaw, pitch in _ARROWS:
            self._command(key, f"turn {key[5:]}", functools.partial(self._turn, yaw, pitch))

    def _offer_styles(self) -> None:
        """Add a slider for every style that has none yet; the first is on."""
        for name in [name for name in self._stage.styles if name not in self._styles]:
            with self._shelf:
                strength = 0.0 if self._styles else 1.0
                slider = self._client.gui.add_slider(
                    name, min=0.0, max=_MOST_STRENGTH, step=0.05, initial_value=strength
                )
            slider.on_update(self._changed)
            self._styles[name], self._shelf.visible = slider, True

    def _backgrounds(self) -> tuple[str, ...]:
        learned = self._stage.generator.config.rendering.use_background
        return (*BACKGROUNDS, "learned") if learned else BACKGROUNDS

    def _sizes(self) -> tuple[int, ...]:
        own = self._stage.generator.config.img_resolution
        return tuple(dict.fromkeys((own, *(size for size in SIZES if size > own))))

    def _button(self, label: str, act: Callable[[], None], key: str) -> None:
        """A button that a key presses as well."""
        button = self._client.gui.add_button(label)
        button.on_click(lambda _: self._told(act))
        self._command(key, label, act)

    def _command(self, key: str, label: str, act: Callable[[], None]) -> None:
        self._client.gui.add_command(label, hotkey=key).on_trigger(lambda _: self._told(act))

    def _told(self, act: Callable[[], None]) -> None:
        """Do something, and say in the page what goes wrong."""
        try:
            act()
        except StyleheadError as error:
            body = error.message + (f" {error.hint}" if error.hint else "")
            self._client.add_notification(title="That did not work", body=body, color="red")

    def _changed(self, _: Any) -> None:
        self._wake.set()

    async def _moved(self, _: Any) -> None:
        self._wake.set()  # a coroutine: it runs in the loop of the server, and cannot pile up in threads

    def _random(self) -> None:
        self._seed.value = secrets.randbelow(1_000_000)

    # ------------------------------------------------------------------------------------------ camera

    def _turn(self, yaw_deg: float, pitch_deg: float) -> None:
        self._look_from(self._angles[0] + yaw_deg, self._angles[1] + pitch_deg)

    def _look_from(self, yaw_deg: float, pitch_deg: float) -> None:
        """Put the camera on its sphere: yaw to the head's own left, pitch upwards."""
        self._angles = [yaw_deg, min(max(pitch_deg, -_MOST_PITCH_DEG), _MOST_PITCH_DEG)]
        yaw, pitch = (math.radians(angle) for angle in self._angles)
        at = (math.sin(yaw) * math.cos(pitch), math.sin(pitch), math.cos(yaw) * math.cos(pitch))
        camera = self._client.camera
        with self._client.atomic():  # moving the position moves the point looked at, too: put it back
            camera.up_direction = (0.0, 1.0, 0.0)
            camera.position = tuple(DEFAULT_RADIUS * part for part in at)
            camera.look_at = (0.0, 0.0, 0.0)
            camera.fov = FIELD_OF_VIEW_RAD
        self._wake.set()

    def gaze(self) -> Gaze:
        """Return where the visitor looks from."""
        camera = self._client.camera
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = rotation(np.asarray(camera.wxyz)), np.asarray(camera.position)
        self._angles = list(angles_of(pose[:3, 3]))
        return Gaze(pose)

    # ------------------------------------------------------------------------------------------ picture

    def wish(self) -> Wish:
        """Return what the controls ask for."""
        latent = self._latent.value if self._latent.value in self._stage.latents else None
        strengths = tuple((name, float(slider.value)) for name, slider in tuple(self._styles.items()))
        scene = ShownHead(int(self._seed.value or 0), latent, float(self._psi.value), strengths)
        look = Look(int(self._size.value), self._background.value)
        if self._beside.value == BESIDE[1]:
            return Wish((plain(scene), scene), look)
        if self._beside.value == BESIDE[2]:
            return Wish((scene, ShownHead(int(self._other.value or 0), None, scene.psi, strengths)), look)
        return Wish((scene,), look)

    def _draw_forever(self) -> None:
        """Draw the newest wish, coarse at once and in full when nothing moves; older ones are left out."""
        full = False
        while not self._gone.is_set():
            moved = self._wake.wait(_STILL_S if not full else None)
            if self._gone.is_set():
                return
            self._wake.clear()
            full = not moved
            with contextlib.suppress(RuntimeError, KeyError):  # the visitor has left meanwhile
                self._told(functools.partial(self._draw, full=full))

    def _draw(self, *, full: bool) -> None:
        wish, gaze = self.wish(), self.gaze()
        look = wish.look if full else wish.look._replace(size=None)
        drawn = [self._stage.see(scene, gaze, look) for scene in wish.scenes]
        image = letterbox(np.concatenate(drawn, axis=1), float(self._client.camera.aspect), look.backdrop)
        if self._gone.is_set():  # meanwhile
            return
        self._client.scene.set_background_image(image, format="jpeg", jpeg_quality=95 if full else 85)

    # ------------------------------------------------------------------------------------------ savings

    def _save_picture(self) -> None:
        wish, gaze = self.wish(), self.gaze()
        pictures = [self._stage.still(scene, wish.look, gaze)[None] for scene in wish.scenes]
        joined = pictures[0] if len(pictures) == 1 else side_by_side(*pictures)
        with _file("head.png") as path:
            save_image(path, joined[0], self._recipe(wish))
            self._client.send_file_download("head.png", path.read_bytes())

    def _save_film(self) -> None:
        wish = self.wish()
        with self._busy("Drawing the turntable"):
            films: list[Pixels] = [self._stage.film(scene, wish.look) for scene in wish.scenes]
        joined = films[0] if len(films) == 1 else side_by_side(*films)
        clear = joined.shape[-1] == 4
        name, write = ("turntable.webm", write_webm) if clear else ("turntable.mp4", write_mp4)
        with _file(name) as path:
            write(path, joined, self._recipe(wish))
            self._client.send_file_download(name, path.read_bytes())

    def _save_mesh(self) -> None:
        with _file("head.glb") as path, self._busy("Painting the mesh"):
            self._stage.mesh(self.wish().scenes[-1], path)
            self._client.send_file_download("head.glb", path.read_bytes())

    @contextlib.contextmanager
    def _busy(self, title: str) -> Iterator[None]:
        """Say in the page what takes a while, as long as it does."""
        note = self._client.add_notification(title, "The file comes here.", loading=True)
        try:
            yield
        finally:
            note.remove()

    def _recipe(self, wish: Wish) -> dict[str, Any]:
        return {
            "command": "view",
            "heads": [scene.latent or f"seed-{scene.seed}" for scene in wish.scenes],
            "styles": [
                {"prompt": name, "strength": strength}
                for name, strength in wish.scenes[-1].strengths
                if strength
            ],
            "background": wish.look.backdrop,
        }


_ARROWS = (
    ("arrowleft", -_STEP_DEG, 0.0),
    ("arrowright", _STEP_DEG, 0.0),
    ("arrowup", 0.0, _STEP_DEG),
    ("arrowdown", 0.0, -_STEP_DEG),
)


@contextlib.contextmanager
def _file(name: str) -> Iterator[Path]:
    """A file of a name in a folder that goes away again."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / name


def rotation(wxyz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation matrix [3, 3] of a quaternion [4]; of none (all zeros), no rotation."""
    length = float(np.linalg.norm(wxyz))
    if length < 1e-9:
        return np.eye(3)
    w, x, y, z = wxyz / length
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def angles_of(position: NDArray[np.float64]) -> tuple[float, float]:
    """Yaw and elevation in degrees of a camera at a place [3]."""
    x, y, z = position / max(float(np.linalg.norm(position)), 1e-9)
    return math.degrees(math.atan2(x, z)), math.degrees(math.asin(min(max(y, -1.0), 1.0)))
