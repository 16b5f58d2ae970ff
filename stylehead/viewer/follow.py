"""A training that is followed while it goes on: loss, newest preview, head of the last checkpoint."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from stylehead.errors import JobError
from stylehead.export.run_page import measured_numbers
from stylehead.generator import Style, load_style
from stylehead.runs import RunDirectory
from stylehead.viewer.shared_generator import SharedGenerator

STYLE, PREVIEWS = "style.safetensors", "previews"
_MOST_POINTS = 600


class Follower:
    """Follows a run.

    Args:
        run: Its directory.
    """

    def __init__(self, run: RunDirectory) -> None:
        self._run, self._seen = run, (-1, "")
        self._plot: Any = None
        self._preview: Any = None
        self._words: Any = None
        self.name = str(run.manifest().get("prompt") or run.path.name)

    def style(self, base: str) -> Style | None:
        """The newest style there is: the finished one, else of the last checkpoint; None before the first.

        Args:
            base: Fingerprint of the generator that is looked at, without a style.

        Raises:
            JobError: It belongs to another generator.
        """
        path = self._run.path / STYLE
        if path.is_file():
            style = load_style(path)
            if style.base != base:
                raise JobError(f"{path} was trained on another generator than this one.")
            return style
        found = self._run.saved.newest(lambda _why: None)
        if found is None:
            return None
        weights = {name: tensor.float() for name, tensor in found[1].items()}
        return Style(weights, base, {"stylehead.prompt": self.name})

    def show(self, gui: Any) -> None:
        """Add a folder to the controls: words, curve and preview."""
        with gui.add_folder("Training"):
            self._words = gui.add_markdown(self.words())
            steps, losses = self.curve()
            series: tuple[dict[str, Any], ...] = ({}, {"label": "loss", "stroke": "#3060c0", "width": 2})
            scales = {"x": {"time": False}}
            self._plot = gui.add_uplot((steps, losses), series, scales=scales, aspect=1.6)
            self._preview = gui.add_image(self.preview(), label="preview", format="jpeg")

    def look(self, stage: SharedGenerator) -> bool:
        """See what is new; returns whether the head has changed."""
        self._words.content = self.words()
        self._plot.data = self.curve()
        state = self._state()
        if state == self._seen:
            return False
        self._seen = state
        self._preview.image = self.preview()
        style = self.style(stage.base)
        if style is None:
            return False
        stage.replace_style(self.name, style)
        return True

    def words(self) -> str:
        """Where it stands, in a sentence or two."""
        manifest, events = self._run.manifest(), self._run.events()
        step = int(events[-1].get("step", 0)) if events else 0
        total = (manifest.get("config") or {}).get("iterations")
        of = f" of {total}" if total else ""
        outcome = str(manifest.get("outcome", "running"))
        if outcome == "running" and not self._run.busy():
            outcome = "stopped"
        return f"**{self.name}**\n\nstep {step}{of}, {outcome}"

    def curve(self) -> tuple[np.ndarray, np.ndarray]:
        """Steps and losses, [N] each, thinned to what can be told apart."""
        pairs = [(event["step"], loss_of(event)) for event in self._run.events() if "step" in event]
        usable = [(step, loss) for step, loss in pairs if loss is not None]
        thinned = usable[:: max(1, len(usable) // _MOST_POINTS)] or [(0, 0.0)]
        steps, losses = np.array(thinned, np.float64).T
        return steps, losses

    def preview(self) -> np.ndarray:
        """The newest preview, bytes [H, W, 3]; a white pixel before the first."""
        path = self._newest()
        if path is None:
            return np.full((1, 1, 3), 255, np.uint8)
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB"))

    def _newest(self) -> Path | None:
        whole = (self._run.path / PREVIEWS).glob("[!.]*.jpg")  # one that is being written has a dot
        found = sorted(whole, key=lambda path: path.stat().st_mtime)
        return found[-1] if found else None

    def _state(self) -> tuple[int, str]:
        """What changes when there is something to see: the last checkpoint's step, the newest preview."""
        saved, newest = self._run.checkpoints(), self._newest()
        finished = 10**9 if (self._run.path / STYLE).is_file() else 0
        return (finished or (saved[-1].step if saved else -1), str(newest))


def loss_of(event: Mapping[str, Any]) -> float | None:
    """The loss of a step: its own, the sum of its terms, or the largest gradient of a score; None without."""
    found = measured_numbers(event)
    terms = [value for name, value in found.items() if name.startswith("losses/")]
    scores = [value for name, value in found.items() if name.startswith("gradient_rms/")]
    if "loss" in found:
        return found["loss"]
    return sum(terms) if terms else max(scores, default=None)
