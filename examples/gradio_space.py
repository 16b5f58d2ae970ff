"""A demo page, as for a Hugging Face Space: python examples/gradio_space.py (needs `pip install gradio`).

It shows heads of the embedded generator in the styles that it is given. Nothing is sent anywhere: analytics
are off, no public link is asked for, and it listens on this machine alone unless --host says otherwise.
"""

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np

from stylehead.export.frames import Look
from stylehead.generator import PanoHead, load_style
from stylehead.viewer.shared_generator import Gaze, SharedGenerator, ShownHead
from stylehead.weights.presets import resolve_preset

BACKGROUNDS = ["white", "black", "#202028"]


class Demo:
    """What the page calls.

    Args:
        styles: Style files.
    """

    def __init__(self, styles: list[Path]) -> None:
        generator = PanoHead.load(resolve_preset("auto").preset.require_generator()).requires_grad_(False)
        self.names = [path.stem if path.stem != "style" else path.parent.name for path in styles]
        found = {name: load_style(path) for name, path in zip(self.names, styles, strict=True)}
        self.stage = SharedGenerator(generator, found)

    def picture(
        self, seed: float, psi: float, style: str | None, strength: float, yaw_deg: float, background: str
    ) -> np.ndarray:
        """One picture [S, S, 3]."""
        strengths = ((style, strength),) if style in self.names else ()
        scene = ShownHead(seed=int(seed), psi=psi, strengths=strengths)
        return self.stage.see(scene, gaze(yaw_deg), Look(256, background))


def gaze(yaw_deg: float) -> Gaze:
    """A camera at the height of the head."""
    from stylehead.geometry import look_at

    return Gaze(look_at(np.radians(yaw_deg), 0.0)[0].double().numpy())


def page(demo: Demo) -> Any:
    """The page, as gradio builds it."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    import gradio

    controls = [
        gradio.Number(42, label="seed", precision=0, minimum=0, maximum=2**32 - 1),
        gradio.Slider(0, 1, 0.75, label="psi"),
        gradio.Dropdown(["none", *demo.names], value=(demo.names or ["none"])[0], label="style"),
        gradio.Slider(0, 1.5, 1.0, label="strength"),
        gradio.Slider(-180, 180, 0, step=5, label="yaw, degrees"),
        gradio.Dropdown(BACKGROUNDS, value="white", label="background"),
    ]
    return gradio.Interface(
        demo.picture, controls, gradio.Image(label="head", buttons=["download", "fullscreen"]),  # share: none
        title="stylehead", live=True, analytics_enabled=False, flagging_mode="never",
    )  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    """Serve the page until Ctrl-C."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--style", type=Path, action="append", default=[], help="a style file; repeatable")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=7861, help="its port")
    options = parser.parse_args(arguments)
    page(Demo(options.style)).launch(server_name=options.host, server_port=options.port, share=False)


if __name__ == "__main__":
    main()
