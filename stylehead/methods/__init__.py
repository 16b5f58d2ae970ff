"""The methods, one file each, with settings, needs and terms; and the trainer over them.

Names are imported when they are used: settings and the list of methods need no torch, methods do.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stylehead.images import FeatureMaps
    from stylehead.methods.contract import DepthFunction, Method, Needs, Networks, Terms
    from stylehead.methods.trainer import RunSummary, StepRecord, Stylizer

__all__ = [
    "DepthFunction",
    "FeatureMaps",
    "Method",
    "Needs",
    "Networks",
    "RunSummary",
    "StepRecord",
    "Stylizer",
    "Terms",
]

_HOMES = {
    **dict.fromkeys(("RunSummary", "StepRecord", "Stylizer"), "trainer"),
    **dict.fromkeys(("DepthFunction", "Method", "Needs", "Networks", "Terms"), "contract"),
    "FeatureMaps": "contract",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
