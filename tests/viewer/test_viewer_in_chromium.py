"""The viewer in a real Chromium: mouse, keys, two visitors, a narrow window; where there is one."""

import threading
from collections.abc import Iterator
from pathlib import Path

import chromium
import numpy as np
import pytest

from stylehead.generator import PanoHead
from stylehead.viewer.shared_generator import SharedGenerator
from stylehead.weights.presets import MINI_WEIGHTS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium.program() is None, reason="there is no Chromium here"),
]
THERE = "document.querySelector('canvas') && document.body.innerText.includes('turntable')"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    pytest.importorskip("viser")
    from stylehead.viewer.serve import Viewer

    stage = SharedGenerator(PanoHead.load(MINI_WEIGHTS / "generator.safetensors").requires_grad_(False))
    viewer, stopped = Viewer(stage, "127.0.0.1", 0), threading.Event()
    serving = threading.Thread(target=viewer.run, args=(stopped,))
    serving.start()
    yield viewer.address
    stopped.set()
    serving.join()
    viewer.close()


def canvas(picture: np.ndarray) -> np.ndarray:
    """The part that shows the head: right of what software rendering makes the page say, left of controls."""
    return picture[190:, :560]


def test_mouse_and_keys_turn_the_head_and_visitors_do_not_meet(address: str, tmp_path: Path) -> None:
    with (
        chromium.opened(address, tmp_path / "a") as mine,
        chromium.opened(address, tmp_path / "b") as theirs,
    ):
        for page in (mine, theirs):
            page.wait(THERE)
        start, other = mine.settled(), theirs.settled()
        assert np.ptp(canvas(start)) > 150  # a head on white
        mine.drag((300, 350), (180, 350))
        dragged = mine.settled(start)
        assert np.abs(canvas(dragged) - canvas(start)).mean() > 3
        mine.press("ArrowRight", 39)
        assert np.abs(canvas(mine.settled(dragged)) - canvas(dragged)).mean() > 0.5
        assert np.abs(canvas(theirs.settled()) - canvas(other)).mean() < 0.5


def test_a_narrow_window_cuts_no_control(address: str, tmp_path: Path) -> None:
    with chromium.opened(address, tmp_path, size=(500, 900)) as page:
        page.resize(420, 900)
        page.wait(THERE)
        page.settled()
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 420
        boxes = page.evaluate(
            "[...document.querySelectorAll('button,input')].map(e => e.getBoundingClientRect())"
            ".filter(b => b.width > 0).map(b => [b.left, b.right])"
        )
        assert boxes
        assert all(left >= -1 and right <= 421 for left, right in boxes)
