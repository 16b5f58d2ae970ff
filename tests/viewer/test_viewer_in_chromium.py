"""The viewer in a real Chromium: mouse, keys, savings, trainings, visitors, windows; where there is one."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import chromium
import numpy as np
import pytest
from PIL import Image

from stylehead.export.recipe import read_recipe
from stylehead.generator import PanoHead, load_style
from stylehead.jobs.named_styles import PACKAGE_STYLES
from stylehead.jobs.report import Silent
from stylehead.viewer.gather import ViewArguments, gather
from stylehead.viewer.shared_generator import SharedGenerator
from stylehead.weights.presets import MINI_WEIGHTS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium.program() is None, reason="there is no Chromium here"),
]
STYLES = ("joker", "pixar", "sketch", "statue", "werewolf", "zombie")
THERE = "document.querySelector('canvas') && document.body.innerText.includes('turntable')"


@contextmanager
def serving(stage: SharedGenerator, follower: object = None) -> Iterator[str]:
    """Serve a viewer as long as the block lasts; gives its address."""
    pytest.importorskip("viser")
    from stylehead.viewer.serve import Viewer

    viewer, stopped = Viewer(stage, "127.0.0.1", 0, follower), threading.Event()  # type: ignore[arg-type]
    thread = threading.Thread(target=viewer.run, args=(stopped,))
    thread.start()
    try:
        yield viewer.address
    finally:
        stopped.set()
        thread.join()
        viewer.close()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    styles = {name: load_style(PACKAGE_STYLES / f"{name}.safetensors") for name in STYLES}
    generator = PanoHead.load(MINI_WEIGHTS / "generator.safetensors").requires_grad_(False)
    with serving(SharedGenerator(generator, styles)) as at:
        yield at


def canvas(picture: np.ndarray) -> np.ndarray:
    """The part that shows the head: right of what software rendering makes the page say, left of controls."""
    return picture[190:, :560]


def arrived(
    page: chromium.Page, head: Callable[[np.ndarray], np.ndarray] = canvas, seconds: float = 120.0
) -> np.ndarray:
    """The page once its controls are there and the part with the head is no longer white."""
    page.wait(THERE)
    end = time.monotonic() + seconds
    while np.ptp(head(page.picture())) < 100:
        assert time.monotonic() < end, "no head comes"
        time.sleep(0.2)
    return page.settled()


def test_mouse_and_keys_turn_the_head_and_visitors_do_not_meet(address: str, tmp_path: Path) -> None:
    with (
        chromium.opened(address, tmp_path / "a") as mine,
        chromium.opened(address, tmp_path / "b") as theirs,
    ):
        start, other = arrived(mine), arrived(theirs)
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


def button(label: str) -> str:
    """The button of a label."""
    return f"[...document.querySelectorAll('button')].find(e => e.innerText === '{label}')"


def test_sliders_menus_and_buttons_change_the_head(address: str, tmp_path: Path) -> None:
    with chromium.opened(address, tmp_path, size=(900, 900)) as page:
        joker = arrived(page)
        page.click(slider(1), across=0.01)
        photo = page.settled(joker)
        assert np.abs(canvas(photo) - canvas(joker)).mean() > 3
        page.click(slider(2), across=0.66)
        mixed = page.settled(photo)
        assert np.abs(canvas(mixed) - canvas(photo)).mean() > 1
        page.click(slider(2), across=0.01)
        assert np.abs(canvas(page.settled(mixed)) - canvas(photo)).mean() < 0.5
        page.choose("background", "black")
        dark = page.settled(photo)
        assert canvas(dark)[:, :8].mean() < 30 < 225 < canvas(photo)[:, :8].mean()
        page.choose("beside", "another head")
        both = page.settled(dark)
        assert np.abs(canvas(both) - canvas(dark)).mean() > 3
        page.choose("beside", "nobody")
        page.settled(both)
        page.click(button("random"))
        assert np.abs(canvas(page.settled(dark)) - canvas(dark)).mean() > 1


def test_on_a_telephone_nothing_is_cut_and_the_controls_leave_the_head_free(
    address: str, tmp_path: Path
) -> None:
    with chromium.opened(address, tmp_path, size=(500, 900)) as page:
        page.resize(420, 900)
        page.send("Page.reload")
        picture = arrived(page, lambda picture: picture[200:355])
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


def save(page: chromium.Page, label: str, path: Path) -> None:
    """Press a button and follow the link that comes, until the file is there."""
    link = f"document.querySelector('a[download=\"{path.name}\"]')"
    page.click(button(label))
    page.wait(f"!!{link}", 600)
    page.evaluate(f"{link}.click()")  # it still slides in
    end = time.monotonic() + 60
    while not path.is_file():
        assert time.monotonic() < end, f"{path.name} does not come"
        time.sleep(0.2)


@pytest.mark.timeout(1800)
def test_picture_turntable_and_mesh_are_saved_as_they_are_seen(address: str, tmp_path: Path) -> None:
    trimesh = pytest.importorskip("trimesh")
    pytest.importorskip("xatlas")
    with chromium.opened(address, tmp_path / "browser", size=(1280, 800)) as page:
        page.resize(1280, 800)
        arrived(page)
        page.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
        for label, name in (("picture", "head.png"), ("turntable", "turntable.mp4"), ("mesh", "head.glb")):
            save(page, label, tmp_path / name)
        page.wait("!document.body.innerText.includes('comes here')")  # nothing is said to be drawn
    with Image.open(tmp_path / "head.png") as picture:
        front = np.asarray(picture.convert("RGB")).astype(int)
    assert read_recipe(tmp_path / "head.png")["styles"] == [{"prompt": "joker", "strength": 1.0}]
    with av.open(str(tmp_path / "turntable.mp4")) as opened:
        film = np.stack([frame.to_ndarray(format="rgb24") for frame in opened.decode(video=0)]).astype(int)
    assert film.shape == (36, *front.shape)
    assert np.abs(film[0] - front).mean() < 4 < np.abs(film[18] - front).mean()  # from the front, and behind
    mesh = trimesh.load(tmp_path / "head.glb", force="mesh")
    assert len(mesh.faces) > 10_000
    assert mesh.visual.material.baseColorTexture.size > (256, 256)


CROSSING = """(() => {
  const boxes = [...document.querySelectorAll('label, button, input:not([type=hidden])')]
    .filter(e => e.offsetParent && (e.innerText || e.tagName === 'INPUT'))
    .map(e => [e.innerText || e.value, e.getBoundingClientRect()]).filter(([, b]) => b.width > 1);
  const cross = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
  const cut = b => b.left < -1 || b.right > innerWidth + 1 || b.top < -1 || b.bottom > innerHeight + 1;
  return {
    count: boxes.length,
    wrong: boxes.flatMap(([name, a], i) => [
      ...(cut(a) ? [name + ' is cut'] : []),
      ...boxes.slice(i + 1).filter(([, b]) => cross(a, b)).map(([other]) => name + ' over ' + other),
    ]),
  };
})()"""
"""Words and controls that lie over each other or leave the window."""


def test_at_a_desk_nothing_overlaps_or_is_cut_and_the_head_is_beside_the_controls(
    address: str, tmp_path: Path
) -> None:
    with chromium.opened(address, tmp_path, size=(1280, 800)) as page:
        page.resize(1280, 800)
        picture = arrived(page)
        found = page.evaluate(CROSSING)
        assert found["count"] > 20
        assert not found["wrong"]
        page_size = "(e => [e.scrollWidth, e.scrollHeight])(document.documentElement)"
        assert page.evaluate(page_size) == [1280, 800]
        left = page.box(button("picture"))[0]
        at = "document.elementFromPoint"
        assert page.evaluate(f"{at}({left - 40}, 400).tagName === 'CANVAS'")
        assert np.ptp(picture[200:, 320 : int(left) - 40]) > 150


@pytest.mark.timeout(1800)
def test_a_training_is_followed_from_before_its_first_checkpoint_to_its_end(tmp_path: Path) -> None:
    """Words, curve, preview and head change while another process trains."""
    run = tmp_path / "run"
    words = ["stylize", "--prompt", "Pixar character", "--method", "ld", "--iterations", "60", "-q",
             "--checkpoint-every", "30", "--preview-every", "30", "--no-grid", "--out", str(run)]  # fmt: skip
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen([sys.executable, "-m", "stylehead", *words], env=env) as training:
        end = time.monotonic() + 300
        while not (run / "run.json").is_file():
            assert training.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)
        training.send_signal(signal.SIGSTOP)  # until the page has shown the untouched head
        stage, follower = gather(ViewArguments(run=run), Silent())
        with serving(stage, follower) as at, chromium.opened(at, tmp_path / "browser", (1280, 800)) as page:
            untouched = arrived(page)
            assert "of 60, running" in page.evaluate("document.body.innerText")
            training.send_signal(signal.SIGCONT)
            page.wait("document.body.innerText.includes('Styles')", 600)  # with the first checkpoint
            styled = page.settled(untouched, 600)
            assert np.abs(canvas(styled) - canvas(untouched)).mean() > 0.3
            page.wait("document.body.innerText.includes('step 60 of 60, finished')", 900)
            widths = page.evaluate("[...document.querySelectorAll('img')].map(e => e.naturalWidth)")
            assert max(widths) > 128  # the preview: the white pixel before it has one
            assert page.evaluate("!!document.querySelector('.uplot canvas')")
        assert training.wait() == 0
