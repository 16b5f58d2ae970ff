"""A real Chromium, steered through its own debugging protocol: no other package is needed than viser's."""

import base64
import io
import itertools
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

NAMES = ("chromium", "chromium-browser", "google-chrome")

BLINKING = 200
"""Values of a picture that a text cursor changes as it comes and goes, at most."""


def program() -> str | None:
    """Where a Chromium is, if there is one."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Page:
    """One page: what it shows, and hands on it."""

    def __init__(self, socket: Any) -> None:
        self._socket, self._numbers = socket, itertools.count(1)

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv(timeout=60))
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return dict(answer["result"])

    def evaluate(self, script: str) -> Any:
        return self.send("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def picture(self) -> np.ndarray:
        data = self.send("Page.captureScreenshot", format="png")["data"]
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            return np.asarray(image.convert("RGB")).astype(int)

    def wait(self, script: str, seconds: float = 60.0) -> None:
        """Wait until a script is true."""
        end = time.monotonic() + seconds
        while not self.evaluate(script):
            assert time.monotonic() < end, script
            time.sleep(0.2)

    def settled(self, other: np.ndarray | None = None, seconds: float = 90.0) -> np.ndarray:
        """The picture, once it differs from another one and has stood still for a while.

        A busy machine sends the full picture long after the coarse one.
        """
        end, last, still = time.monotonic() + seconds, None, 0
        while still < 3:
            assert time.monotonic() < end, "the picture does not change, or never stands still"
            now = self.picture()
            differs = other is None or np.abs(now - other).mean() > 0.3
            same = differs and last is not None and (np.abs(now - last) > 8).sum() <= BLINKING
            last, still = now, still + 1 if same else 0
            time.sleep(0.6)
        return now

    def drag(self, start: tuple[int, int], end: tuple[int, int], steps: int = 8) -> None:
        self._mouse("mousePressed", start)
        for step in range(1, steps + 1):
            at = [a + (b - a) * step // steps for a, b in zip(start, end, strict=True)]
            self._mouse("mouseMoved", (at[0], at[1]))
        self._mouse("mouseReleased", end)

    def _mouse(self, kind: str, at: tuple[int, int]) -> None:
        pressed = {"button": "left", "buttons": 1, "clickCount": 1}
        self.send("Input.dispatchMouseEvent", type=kind, x=at[0], y=at[1], **pressed)

    def box(self, element: str) -> tuple[float, float, float, float]:
        """Left, top, width and height of what a script finds."""
        sides = "[b.left, b.top, b.width, b.height]"
        script = f"(() => {{const b = ({element}).getBoundingClientRect(); return {sides}}})()"
        left, top, width, height = self.evaluate(script)
        return left, top, width, height

    def click(self, element: str, across: float = 0.5) -> None:
        """Click on what a script finds, so far across it (0: its left edge, 1: its right one)."""
        left, top, width, height = self.box(element)
        at = (round(left + across * width), round(top + height / 2))
        self._mouse("mousePressed", at)
        self._mouse("mouseReleased", at)

    def choose(self, menu: str, entry: str) -> None:
        """Take an entry of the menu of a name."""
        self.click(f"[...document.querySelectorAll('label')].find(e => e.innerText === '{menu}').control")
        entries = "[...document.querySelectorAll('[role=option]')]"
        found = f"{entries}.find(e => e.innerText === '{entry}' && e.offsetParent)"
        self.wait(f"!!({found})")
        self.click(found)

    def press(self, key: str, code: int) -> None:
        facts = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        for kind in ("rawKeyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, **facts)

    def resize(self, width: int, height: int) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.send("Emulation.setDeviceMetricsOverride", **size)


@contextmanager
def opened(address: str, folder: Path, size: tuple[int, int] = (900, 600)) -> Iterator[Page]:
    """Open a page in a browser of its own, which ends with the block."""
    from websockets.sync.client import connect

    found = program()
    assert found is not None
    words = ["--headless", "--no-sandbox", "--hide-scrollbars", "--remote-debugging-port=0"]
    words += [f"--user-data-dir={folder}", f"--window-size={size[0]},{size[1]}", address]
    browser = subprocess.Popen(
        [found, *words], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env={**os.environ}
    )
    try:
        assert browser.stderr is not None
        port = next(m[1] for line in browser.stderr if (m := re.search(r"ws://[^:]+:(\d+)/", line)))
        with connect(_target(port), max_size=2**27, origin=None) as socket:
            yield Page(socket)
    finally:
        browser.kill()
        browser.wait()
        assert browser.stderr is not None
        browser.stderr.close()


def _target(port: str) -> str:
    from urllib.request import urlopen

    end = time.monotonic() + 30
    while time.monotonic() < end:
        with urlopen(f"http://127.0.0.1:{port}/json") as answer:
            for target in json.load(answer):
                if target["type"] == "page":
                    return str(target["webSocketDebuggerUrl"])
        time.sleep(0.2)
    raise AssertionError("the browser opened no page")
