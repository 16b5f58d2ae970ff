"""The viewer in a real Chromium: mouse, keys, two visitors, a narrow window; where there is one."""

import threading
from collections.abc import Iterator
from pathlib import Path

import chromium
import numpy as np
import pytest

from stylehead.generator import PanoHead, load_style
from stylehead.jobs.named_styles import PACKAGE_STYLES
from stylehead.viewer.shared_generator import SharedGenerator
from stylehead.weights.presets import MINI_WEIGHTS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium.program() is None, reason="there is no Chromium here"),
]
STYLES = ("joker", "pixar", "sketch", "statue", "werewolf", "zombie")
THERE = "document.querySelector('canvas') && document.body.innerText.includes('turntable')"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    pytest.importorskip("viser")
    from stylehead.viewer.serve import Viewer

    styles = {name: load_style(PACKAGE_STYLES / f"{name}.safetensors") for name in STYLES}
    generator = PanoHead.load(MINI_WEIGHTS / "generator.safetensors").requires_grad_(False)
    stage = SharedGenerator(generator, styles)
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


def slider(number: int) -> str:
    """The track of a slider: first psi, then styles."""
    return f"document.querySelectorAll('[role=slider]')[{number}].parentElement"


def test_sliders_menus_and_buttons_change_the_head(address: str, tmp_path: Path) -> None:
    with chromium.opened(address, tmp_path, size=(900, 900)) as page:
        page.wait(THERE)
        joker = page.settled()
        page.click(slider(1), across=0.01)
        photo = page.settled(joker)
        assert np.abs(canvas(photo) - canvas(joker)).mean() > 3
        page.click(slider(2), across=0.66)
        assert np.abs(canvas(page.settled(photo)) - canvas(photo)).mean() > 1
        page.click(slider(2), across=0.01)
        assert np.abs(canvas(page.settled()) - canvas(photo)).mean() < 0.5
        page.choose("background", "black")
        dark = page.settled(photo)
        assert canvas(dark)[:, :8].mean() < 30 < 225 < canvas(photo)[:, :8].mean()
        page.choose("beside", "another head")
        assert np.abs(canvas(page.settled(dark)) - canvas(dark)).mean() > 3
        page.choose("beside", "nobody")
        page.settled()
        page.click("[...document.querySelectorAll('button')].find(e => e.innerText === 'random')")
        assert np.abs(canvas(page.settled(dark)) - canvas(dark)).mean() > 1


def test_on_a_telephone_nothing_is_cut_and_the_controls_leave_the_head_free(
    address: str, tmp_path: Path
) -> None:
    with chromium.opened(address, tmp_path, size=(500, 900)) as page:
        page.resize(420, 900)
        page.send("Page.reload")
        page.wait(THERE)
        picture = page.settled()
        assert page.evaluate("document.documentElement.scrollWidth") <= 420
        boxes = page.evaluate(
            "[...document.querySelectorAll('button,input')].map(e => e.getBoundingClientRect())"
            ".filter(b => b.width > 0).map(b => [b.left, b.right])"
        )
        assert boxes
        assert all(left >= -1 and right <= 421 for left, right in boxes)
        above = "document.elementFromPoint(x, y).tagName === 'CANVAS'"
        assert page.evaluate(f"[20, 150, 280, 400].every(x => [200, 280, 350].every(y => {above}))")
        assert np.ptp(picture[200:355]) > 150
        assert (picture[365:, :150] > 240).all()  # the head ends where the controls begin
