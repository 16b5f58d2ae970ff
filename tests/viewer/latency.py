"""Measure how long a head takes to follow the mouse: python tests/viewer/latency.py (needs a Chromium).

Printed are medians, and the slowest tenth, over movements of the mouse that come one after the other:

- server: from the camera's message to the bytes of the new picture being sent;
- browser: from the mouse to a page that looks otherwise, with OpenGL by software where there is no other.
"""

import base64
import statistics
import tempfile
import time
from pathlib import Path

import chromium
import numpy as np
from test_viewer_in_chromium import arrived, serving

from stylehead.generator import PanoHead
from stylehead.viewer.panel import Panel
from stylehead.viewer.shared_generator import SharedGenerator
from stylehead.weights.presets import MINI_WEIGHTS

MOVEMENTS = 40


class Clock:
    """Stands before a panel and notes when it is told of a movement, and when it has sent the picture."""

    def __init__(self) -> None:
        self.moved: list[float] = []
        self.sent: list[float] = []
        move, draw = Panel._moved, Panel._draw

        async def moved(panel: Panel, event: object) -> None:
            self.moved.append(time.perf_counter())
            await move(panel, event)

        def drawn(panel: Panel, *, full: bool) -> None:
            draw(panel, full=full)
            self.sent.append(time.perf_counter())

        Panel._moved, Panel._draw = moved, drawn  # type: ignore[method-assign]

    def latencies(self) -> list[float]:
        """Milliseconds from the last message before a picture was begun to the picture's end."""
        pairs = [(at, next((end for end in self.sent if end > at), None)) for at in self.moved]
        return [1000 * (end - at) for at, end in pairs if end is not None]


def frames(page: chromium.Page) -> bytes:
    """The page as it is shown now."""
    return base64.b64decode(page.send("Page.captureScreenshot", format="jpeg", quality=50)["data"])


def main() -> None:
    """Move the mouse and print what was measured."""
    clock, browser = Clock(), []
    generator = PanoHead.load(MINI_WEIGHTS / "generator.safetensors").requires_grad_(False)
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(SharedGenerator(generator, {})) as at,
        chromium.opened(at, Path(folder)) as page,
    ):
        arrived(page)
        started = time.perf_counter()
        frames(page)
        looking = time.perf_counter() - started  # a look at the page itself takes as long
        clock.moved.clear()
        page._mouse("mousePressed", (150, 350))
        for step in range(MOVEMENTS):
            before, began = frames(page), time.perf_counter()
            page._mouse("mouseMoved", (154 + 4 * step, 350))
            while frames(page) == before and time.perf_counter() - began < 5:
                pass
            browser.append(1000 * (time.perf_counter() - began - looking))
            time.sleep(0.5)
        page._mouse("mouseReleased", (300, 350))
    for name, values in (("server", clock.latencies()), ("browser", browser)):
        slow = float(np.quantile(values, 0.9))
        print(f"{name:8} {statistics.median(values):5.0f} ms  slowest tenth {slow:5.0f} ms  of {len(values)}")


if __name__ == "__main__":
    main()
