"""Restyle 3D heads from a text prompt, keeping every person who they are.

The names below are loaded when they are first used, so that `import stylehead` takes no time:

    run = stylehead.stylize("Pixar character", iterations=20)
    film = stylehead.render(seed=42, style=run.style, yaw_steps=36)
    film.save("head.mp4")
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stylehead.api import Evaluated, InvertRun, Rendered, StylizeRun, evaluate, invert, render, stylize
    from stylehead.errors import StyleheadError
    from stylehead.generator import PanoHead, load_style
    from stylehead.teacher import Teacher

__version__ = "0.3.0"
__all__ = [
    "Evaluated",
    "InvertRun",
    "PanoHead",
    "Rendered",
    "StyleheadError",
    "StylizeRun",
    "Teacher",
    "__version__",
    "evaluate",
    "invert",
    "load_style",
    "render",
    "stylize",
]

_ELSEWHERE = {
    "PanoHead": "stylehead.generator",
    "StyleheadError": "stylehead.errors",
    "Teacher": "stylehead.teacher",
    "load_style": "stylehead.generator",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used."""
    if name.startswith("_") or name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_ELSEWHERE.get(name, "stylehead.api")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
